"""Columns of a text table without a task, and columns on the clock that a draft chooses.

The rows are those of the CSV reader. For other formats the reader lists the columns
(`schema_inference.py`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from kinemill.draft.clock import (
    ClockChoice,
    advances,
    choose_clock,
    ends_as_stamp,
    rate_of,
    rounded_hint,
    stated_rate,
    step_column,
    ticks_of,
    with_unit,
)
from kinemill.draft.constants import CLOCK_RISING, RATE_MISMATCH
from kinemill.draft.rates import meet
from kinemill.draft.table import Reason, Table, usual_step
from kinemill.errors import BadLog
from kinemill.ingest.clock import Floats, is_newest_first, repair_stamps
from kinemill.ingest.name_heuristics import split_words
from kinemill.ingest.raw import TICKS, ColumnAttributes, is_rest, rest_of_seconds
from kinemill.ingest.readers._csv_layout import (
    COLUMN,
    COMMENTS,
    UTF16,
    Layout,
    decode,
    encoding_of,
    is_binary,
)
from kinemill.ingest.readers._plain_table import count_damaged, rate_above
from kinemill.ingest.readers.csv import FEW_TEXTS, read_as_text
from kinemill.ingest.terms import word_set
from kinemill.ingest.text_values import (
    is_date,
    parse_dates,
    plain_digits,
    spell_booleans,
    unit_of_cells,
)
from kinemill.ingest.topics import is_slower
from kinemill.ingest.unsupported_formats import unsupported_error

HEAD = 1 << 18  # bytes that show whether a file is text
FEWEST_ROWS = 3  # of a recording
MOST_HEADERS = 3  # lines between rows that are named
PICKLE = b"\x80"  # first byte of a pickle of protocol 2 or later
# Words of a column that counts rows.
ROWS = word_set("frame frames sample samples number nr no index idx seq sequence count counter n k")
COARSE = Reason("most rows repeat its last date", "clock")
NEWEST_FIRST = "the newest row is first: rows are read from the last one to the first"


def split_clocks(table: Table, rate: float | None = None) -> Table:
    """Return a table whose slower columns have only their samples, with a separate clock.

    Columns much slower than `rate`, Hz, or than where states and commands meet are left out.
    """
    slower = {
        name: (seconds[present], values[present])
        for name, (seconds, values) in table.values.items()
        if is_slower(present := np.isfinite(values))
    }
    if not slower:
        return table
    values = {**table.values, **slower}
    # A clock in rows of all topics is no column that sets the rate.
    clocks = [
        name
        for name, (_, stamps) in table.values.items()
        if name not in slower and ends_as_stamp(name) and not (np.diff(stamps) < 0.0).any()
    ]
    steps = {n: usual_step(seconds) for n, (seconds, _) in values.items() if n not in clocks}
    names, step, left_out, remarks = meet(steps, rate if table.time else None)
    left_out |= dict.fromkeys(clocks, Reason("another clock: it rises with time", "clock"))
    return replace(
        table,
        values={name: samples for name, samples in values.items() if name in names},
        left_out={**table.left_out, **left_out},
        topic_clocks=True,
        meeting=step or table.meeting,
        remarks=(*table.remarks, *remarks),
    )


def read_text(path: Path, rate: float | None = None) -> Table:
    """Read every column of a text table.

    Raises:
        BadLog: The file is binary.
        Unreadable: It holds no table.
    """
    text, numbers, layout = _read(path)
    stated = rate_above(_head(path))
    is_text = Reason("holds no numbers", "text")
    left_out: dict[str, str] = {name: is_text for name in text.columns if name not in numbers}
    dates = _dates(text)
    pairs = (
        (name, *pair)
        for name in numbers
        if (pair := rest_of_seconds(name, numbers))
        and is_rest(numbers[name], numbers[pair[0]], pair[1])
    )
    pair = None if rate else next(pairs, None)
    if dates is not None:
        numbers.pop(dates, None)
        left_out.pop(dates, None)
        table = _dated(path, text[dates], numbers, left_out, rate)
    elif pair:
        table = _stamped_by_pair(path, pair, numbers, left_out)
    else:
        table = table_of(path, numbers, left_out, rate, layout.units, stated)
    units = {name: ColumnAttributes(unit=unit) for name, unit in layout.units.items() if unit}
    remarks = (
        *table.remarks,
        *layout.remarks,
        *_unused_names(path, layout.names),
        *_unused_lines(path, text, layout),
        *_texts_in(text, numbers, layout),
        *contradictions(stated or (stated_rate(numbers) if table.time else None), table),
    )
    return replace(table, attributes=units, remarks=remarks)


def contradictions(rate: float | None, table: Table) -> list[str]:
    """Return what the metadata of a log states otherwise than its rows: the rate, Hz."""
    if rate is None or abs(rate * table.step - 1.0) < RATE_MISMATCH:
        return []
    return [
        f"the metadata states {rate:g} Hz, and timestamps are {table.step:.4g} s apart: "
        f"one of them is wrong by {rate * table.step:.3g}"
    ]


def _unused_names(path: Path, names: list[str]) -> list[str]:
    """Return a remark on a commented header that does not fit the columns without names."""
    if not all(name.startswith(COLUMN) for name in names):
        return []
    lines = [decode(line) for line in _head(path).split(b"\n") if line.startswith(COMMENTS)]
    words = re.split(r"[,;\s]+", lines[-1].strip("#%/ \r")) if lines else []
    if len(words) < 2:
        return []
    return [
        f"the comment {lines[-1][:80]!r} holds {len(words)} names, and rows {len(names)} values"
    ]


def _unused_lines(path: Path, text: pl.DataFrame, layout: Layout) -> Iterator[str]:
    """Yield remarks on lines that are no rows: damaged ones, other headers, and short rows."""
    head = _head(path).rpartition(b"\n")[0]
    if not head.startswith(UTF16) and (encoding := encoding_of(head)) != "utf-8":
        yield f"it is not in UTF-8, and read as {encoding}, by its letters"
    if damaged := count_damaged(path):
        yield f"{damaged} lines hold bytes of no text, as a loss of power leaves them: left out"
    width = text.width
    is_empty = [column.null_count() == len(column) for column in text]
    if is_empty[-1] and len(layout.fields(layout.first_row)) < width:
        yield f"the header has {width} names, and rows fewer values: names may not fit"
    first = text[text.columns[0]]
    if len(text) == 0 or re.match(r"[^\d.,+-]", first[0] or "a"):  # not a column of numbers
        return
    is_name = first.str.contains(r"^[A-Za-z_]{2,}").fill_null(value=False)
    for row in text.filter(is_name).head(MOST_HEADERS).rows():
        names = [name for name in row if name and re.match(r"[A-Za-z_]", name)]
        if 2 * len(names) > width and names != text.columns:
            yield f"a line between the rows names other columns: {', '.join(names)}"


def _texts_in(text: pl.DataFrame, numbers: Mapping[str, Floats], layout: Layout) -> Iterator[str]:
    """Yield remarks on texts in columns of numbers (n,): they are missing values."""
    for name, values in numbers.items():
        if name in text and text[name].count() > np.count_nonzero(np.isfinite(values)):
            plain = plain_digits(spell_booleans(text[name]), decimal_comma=layout.decimal_comma)
            texts = text[name].filter(
                plain.is_not_null() & plain.cast(pl.Float64, strict=False).is_null()
            )
            if len(texts):
                is_refused = len(texts) > FEW_TEXTS * text[name].count()
                yield (
                    f"{name}: {len(texts)} of {len(plain)} values are texts such as {texts[0]!r}: "
                    f"{'the log is quarantined' if is_refused else 'read as missing'}"
                )
        if name in text and _may_group(text[name], layout):
            at = text[name].str.contains(".", literal=True).arg_true()[0]
            yield (
                f"{name}: {text[name][at]!r} is read as {values[at]:.10g}, as other numbers of the "
                f"table have decimal commas"
            )


def read_numbers(path: Path) -> tuple[dict[str, Floats], list[str]]:
    """Return the columns of numbers of a text table, (n,) each, and the names of the others.

    Raises:
        BadLog: The file is binary.
        Unreadable: It holds no table.
    """
    text, numbers, _ = _read(path)
    return numbers, [name for name in text.columns if name not in numbers]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _read(path: Path) -> tuple[pl.DataFrame, dict[str, Floats], Layout]:
    head = _head(path)
    if is_binary(head):
        raise _binary(path, head)
    text, layout = read_as_text(path)
    columns = ((column.name, _numbers(column, layout)) for column in text)
    units = {column.name: unit for column in text if (unit := unit_of_cells(column))}
    layout = replace(layout, units=units | layout.units)
    return text, {name: values for name, values in columns if values is not None}, layout


def _dated(
    path: Path,
    dates: pl.Series,
    numbers: dict[str, Floats],
    left_out: dict[str, str],
    rate: float | None,
) -> Table:
    """Return columns (n,) on dates (n,), or on another clock if most rows repeat the last date."""
    stamps = parse_dates(dates)
    first = int(cast(int, stamps.drop_nulls().first() or 0))
    elapsed = (stamps - first).cast(pl.Float64).fill_null(np.nan).to_numpy()
    if not (stamps.count() and advances(elapsed)):
        text = f"holds no dates, but texts such as {dates.drop_nulls()[0]!r}"
        why = COARSE if stamps.count() else Reason(text, "text")
        if rate is not None or choose_clock(numbers) is not None:
            return table_of(path, numbers, left_out | {dates.name: why}, rate)
        if not stamps.count():
            raise BadLog(path, f"{dates.name} {text}", expected="2024-05-01 12:00:00, or seconds")
        raise coarse_clock(path, dates.name, elapsed / TICKS["ns"])
    table = on_clock(path, elapsed, TICKS["ns"], numbers, left_out)
    origin = table.origin + first / TICKS["ns"]
    meeting = 1.0 / rate if rate else None
    rule = "it holds dates"
    return replace(table, time=dates.name, origin=origin, clock_rule=rule, meeting=meeting)


def _stamped_by_pair(
    path: Path, pair: tuple[str, str, int], numbers: dict[str, Floats], left_out: dict[str, str]
) -> Table:
    """Return columns (n,) on timestamps in two columns: whole seconds, and parts of a second."""
    seconds, rest, per_second = pair
    least = float(np.nanmin(numbers[seconds]))
    since = numbers[seconds] - least
    remaining = {name: values for name, values in numbers.items() if name not in {seconds, rest}}
    table = on_clock(path, since + numbers[rest] / per_second, 1.0, remaining, left_out)
    rule = f"whole seconds, and 1/{per_second} s in {rest}"
    return replace(table, time=seconds, origin=table.origin + least, clock_rule=rule)


def _dates(frame: pl.DataFrame) -> str | None:
    """Return the first column of dates that change, the clock of the log; None without dates."""
    firsts = ((column, column.drop_nulls().head(1).str.strip_chars()) for column in frame)
    dated = [column for column, first in firsts if len(first) and is_date(first[0])]
    changing = (column for column in dated if (column != column.drop_nulls()[0]).any())
    column = next(changing, next(iter(dated), None))
    return None if column is None else column.name


def _binary(path: Path, head: bytes) -> BadLog:
    if error := unsupported_error(path):
        return error
    is_pickle = head.startswith(PICKLE)
    kind = "a pickle, which could run code" if is_pickle else "data that no reader recognizes"
    fix = "write the numbers as text, .npy or .npz, or name the file after its format"
    return BadLog(path, f"holds {kind}", expected="a text table", fix=fix)


def _numbers(column: pl.Series, layout: Layout) -> Floats | None:
    """Return a column as numbers with NaN for missing ones; None if it is not numeric."""
    numbers = column.cast(pl.Float64, strict=False)
    filled = column.count()
    if numbers.count() < filled or _may_group(column, layout):
        text = plain_digits(spell_booleans(column), decimal_comma=layout.decimal_comma)
        numbers = text.cast(pl.Float64, strict=False)
        filled = text.count()
    if not filled or numbers.count() < 0.5 * filled:
        return None
    return finite_or_nan(numbers)


def finite_or_nan(column: pl.Series) -> Floats:
    """Return numbers (n,) with NaN for missing and infinite ones."""
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
    values[np.isinf(values)] = np.nan
    return values


def _may_group(column: pl.Series, layout: Layout) -> bool:
    """Return whether points may group digits, as in 1.234 next to 0,5."""
    return layout.decimal_comma is True and column.str.contains(".", literal=True).any()


def table_of(
    path: Path,
    numbers: dict[str, Floats],
    left_out: dict[str, str],
    rate: float | None = None,
    units: Mapping[str, str] | None = None,
    stated: float | None = None,
) -> Table:
    """Return columns of one length as a table, on the clock among them or by `rate`, Hz.

    With a clock among the columns, `rate` is that of the draft. `stated` is the rate in the lines
    above the table, Hz.

    Raises:
        BadLog: no column is a clock, no rate is given, and none is stated.
    """
    clock = choose_clock(numbers, units)
    row_rate = rate or stated_rate(numbers) or stated
    steps = step_column(numbers)
    if clock is not None:
        stamps = numbers[clock.name]
        counts_rows = _counts_rows(stamps) and (row_rate or steps)
        if not counts_rows and (not rate or (clock.is_stated and advances(stamps))):
            meeting = 1.0 / rate if rate else None
            return replace(stamped(path, clock, numbers, left_out), meeting=meeting)
    if row_rate is not None and (frames := _frames_with_gaps(numbers)):
        rule = f"it counts rows at {row_rate:g} Hz, and skips some"
        return stamped(path, ClockChoice(frames, 1.0 / row_rate, rule), numbers, left_out)
    if row_rate is not None:
        seconds = np.arange(max(map(len, numbers.values()), default=0)) / row_rate
        samples = {name: (seconds, values) for name, values in numbers.items()}
        rule = f"rows at {row_rate:g} Hz, stated in the log" if rate is None else ""
        return Table(path, None, "s", samples, left_out, rate=row_rate, clock_rule=rule)
    if steps:
        total = {**numbers, steps: np.nancumsum(numbers[steps])}
        table = stamped(path, with_unit(steps, total), total, left_out)
        return replace(table, sums_time=True)
    rows = max(map(len, numbers.values()), default=0)
    if 0 < rows < FEWEST_ROWS:
        raise BadLog(path, f"too short: {rows} rows", expected=f"{FEWEST_ROWS} or more")
    raise BadLog(
        path,
        "no column rises as a clock does",
        expected="timestamps under a name such as time or timestamp, or dates such as "
        "2024-05-01 12:00:00 or 1.5.2024 12:00:00",
        fix="for a log without timestamps, set its rows per second: --rate HZ"
        f"{rounded_hint(numbers)}",
    )


def stamped(
    path: Path, clock: ClockChoice, numbers: Mapping[str, Floats], left_out: dict[str, str]
) -> Table:
    """Return columns (n,) on the clock among them.

    Rows out of order are dropped.

    Raises:
        BadLog: Most rows repeat the timestamp before.
    """
    stamps = numbers[clock.name]
    ticks = ticks_of(clock.spelled_unit)
    if not advances(stamps):
        raise coarse_clock(path, clock.name, stamps / ticks)
    remaining = {name: values for name, values in numbers.items() if name != clock.name}
    table = on_clock(path, stamps, ticks, remaining, left_out)
    return replace(
        table,
        time=clock.name,
        time_unit=clock.spelled_unit,
        clock_rule=clock.rule,
        remarks=(*clock.remarks, *table.remarks),
    )


def on_clock(
    path: Path,
    stamps: Floats,
    ticks: float,
    numbers: Mapping[str, Floats],
    left_out: dict[str, str],
) -> Table:
    """Return columns (n,) on stamps (n,) in ticks; rows are sorted and spread as by ingest."""
    remarks = list[str]()
    if is_newest_first(stamps):
        stamps = stamps[::-1]
        numbers = {name: values[::-1] for name, values in numbers.items()}
        remarks.append(NEWEST_FIRST)
    good = np.isfinite(stamps)
    origin = float(stamps[good][0])
    seconds, repairs = repair_stamps(
        (stamps[good] - origin) / ticks,
        ticks,
        np.inf,
        [pl.Series(values[good]) for values in numbers.values()],
        origin / ticks,
    )
    remarks += [f"{item['check']}: {item['found']}; {item['fix']}" for item in repairs]
    fresh = np.diff(seconds, prepend=-np.inf) != 0.0
    if good.all() and fresh.all():
        samples = {name: (seconds, values) for name, values in numbers.items()}
    else:
        clock = seconds[fresh]
        samples = {name: (clock, values[good][fresh]) for name, values in numbers.items()}
    back = int(np.count_nonzero(np.diff(seconds) < 0.0))
    lost = len(stamps) - int(np.count_nonzero(fresh))
    if back:
        remarks.append(f"time goes back {back} times: each stretch is a recording")
    return Table(
        path,
        None,
        "s",
        samples,
        left_out,
        origin=origin / ticks,
        lost_rows=lost,
        remarks=tuple(remarks),
    )


def coarse_clock(path: Path, name: str, seconds: Floats) -> BadLog:
    """Return the error of a clock with too few digits, such as one of whole seconds, (n,) s."""
    finite = seconds[np.isfinite(seconds)]
    return BadLog(
        path,
        f"{name} has {len(np.unique(finite))} different timestamps in {len(finite)} rows",
        expected="a clock with enough digits to tell rows apart",
        fix=f"set the rows per second: --rate {rate_of(finite) or 'HZ'}",
    )


def _counts_rows(values: Floats) -> bool:
    """Return whether (n,) numbers rise by 1 in each row, as those of rows do."""
    return len(values) > 1 and bool(np.all(np.diff(values) == 1.0))


def _frames_with_gaps(numbers: Mapping[str, Floats]) -> str | None:
    """Return the column that counts the rows and skips those that are lost; None without one."""
    for name, values in numbers.items():
        steps = np.diff(values)
        is_rising = len(steps) > 1 and bool(np.all(steps >= 1.0)) and not np.mod(steps, 1.0).any()
        if is_rising and CLOCK_RISING < np.mean(steps == 1.0) < 1.0 and {*split_words(name)} & ROWS:
            return name
    return None
