"""Columns of a log without a task: the input of a draft.

Text tables are read here, more leniently than by a reader. For other formats the reader lists the
columns (`draft/schema_inference.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from kinemill.errors import BadLog
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import PER_SECOND, STEP, guess, is_stamp, split_words
from kinemill.ingest.other_formats import other_format
from kinemill.ingest.own_clocks import is_slower
from kinemill.ingest.raw import (
    TICKS,
    ColumnAttributes,
    Unreadable,
    nanoseconds_of,
    split_index,
    unique_names,
)
from kinemill.ingest.readers._csv_layout import (
    NO_ROWS,
    decode,
    find_separator,
    header_line,
    header_names,
    is_marked,
    open_source,
)
from kinemill.ingest.readers._plain_table import COLUMN, source_of
from kinemill.ingest.text_values import is_date, parse_dates, plain_digits, spell_booleans

HEAD = 1 << 18  # bytes of a text table that hold its header
MOST = 1_000_000  # rows read
SLOW = 4.0  # times the step of the fastest column; slower ones leave few rows in common
RISING = 0.9  # share of rows in which a clock rises
DURATION = {"duration", "timestep"}  # first or last word of a time step
BURSTS = 0.1  # share of short steps of a clock that shows when rows were received
PICKLE = b"\x80"  # first byte of a pickle of protocol 2 or later
FEWEST_STAMPS = 20  # different numbers of a clock with too few digits
FEWEST_NAMED = 4  # the same for a column with the name of a clock, or of epoch times
FRESH = 0.5  # share of rows with another timestamp than the row before, below which digits lack
COARSE = "most rows repeat its last date"
SLOW_COMMANDS = 20.0  # the same for commands, which are held, if no fast column has any

Samples = tuple[Floats, Floats]  # (n,) s since the first timestamp, (n,) in the log's unit


@dataclass(frozen=True)
class Table:
    """The columns of a log, or of one part of it.

    Args:
        path: the log.
        time: name of the clock column or field; None if rows are counted, or messages have the time
            at which they were logged.
        time_unit: unit of the clock, if it is a number.
        values: samples of each numeric column, on the clock of the table or on its own.
        left_out: other columns, with reasons.
        part: part of the log, if it has several.
        rate: rate of rows without timestamps, Hz, as given by the user.
        labels: other names of columns, where they are more descriptive.
        text: instruction of the log.
        own_clocks: whether topics have their own timestamps.
        experiment: name of the experiment, if the file holds several side by side; empty otherwise.
        sources: names of its columns in the file, where they differ from those of the first
            experiment, which `values` has.
        attributes: what the log states of its columns, by column without the index of an element.
        origin: timestamp at 0 s, in s of the clock of the log; 0 if rows are counted.
        sums_time: whether `time` holds the time since the row before.
    """

    path: Path
    time: str | None
    time_unit: str
    values: dict[str, Samples]
    left_out: dict[str, str]
    part: str = ""
    rate: float | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    text: str = ""
    own_clocks: bool = False
    experiment: str = ""
    sources: dict[str, str] = field(default_factory=dict[str, str])
    attributes: dict[str, ColumnAttributes] = field(default_factory=dict[str, ColumnAttributes])
    origin: float = 0.0
    sums_time: bool = False

    def attributes_of(self, name: str) -> ColumnAttributes:
        """Return what the log states of a column, or of the vector that it is an element of."""
        return self.attributes.get(split_index(name)[0], ColumnAttributes())

    @property
    def step(self) -> float:
        """Usual distance of two timestamps of the fastest clock, s."""
        return min(usual_step(seconds) for seconds, _ in self.values.values())


def split_clocks(table: Table) -> Table:
    """Return a table whose slower columns have their samples alone, and a clock of their own.

    Columns much slower than the fastest are left out: their rows have little in common.
    """
    slower = {
        name: (seconds[present], values[present])
        for name, (seconds, values) in table.values.items()
        if is_slower(present := np.isfinite(values))
    }
    if not slower:
        return table
    values = {**table.values, **slower}
    steps = {name: usual_step(seconds) for name, (seconds, _) in values.items()}
    slowest = SLOW * min(steps.values())
    slowest_command = SLOW_COMMANDS * min(steps.values())
    far = {name for name, step in steps.items() if step > slowest}
    commands = {name for name in values if guess(name).role == "action"}
    if commands <= far:  # commands are held
        far -= {name for name in commands if steps[name] <= slowest_command}
    return replace(
        table,
        values={name: samples for name, samples in values.items() if name not in far},
        left_out={**table.left_out, **dict.fromkeys(far, f"slower than {1.0 / slowest:.2g} Hz")},
        own_clocks=True,
    )


def usual_step(seconds: Floats) -> float:
    """Return the median distance of rising timestamps (n,) s."""
    steps = np.diff(seconds)
    steps = steps[steps > 0.0]
    return float(np.median(steps)) if len(steps) else np.inf


def read_text(path: Path, rate: float | None = None) -> Table:
    """Read every column of a text table.

    Raises:
        BadLog: the file holds no table.
    """
    text, separator = _text(path)
    frame, units = _without_units(text)
    if not frame.height:
        raise BadLog(path, "holds a header and no rows", expected="rows under it", fix=NO_ROWS)
    dates = _dates(frame) if rate is None else None
    columns = {
        name: _numbers(frame[name], quoted_comma=separator == ",")
        for name in frame.columns
        if name != dates
    }
    numbers = {name: values for name, values in columns.items() if values is not None}
    left_out = {name: "holds no numbers" for name in columns if name not in numbers}
    if dates is not None:
        table = _dated(path, frame[dates], numbers, left_out)
    elif rate is None and (split := _split_clock(numbers)):
        table = _stamped_by_two(path, split, numbers, left_out)
    else:
        table = table_of(path, numbers, left_out, rate)
    return replace(table, attributes=units)


def _split_clock(numbers: Mapping[str, Floats]) -> str | None:
    """Return the column of the whole seconds of a clock in two columns; None without one."""
    return next((name for name in numbers if nanoseconds_of(name, list(numbers))), None)


def _dated(
    path: Path, dates: pl.Series, numbers: dict[str, Floats], left_out: dict[str, str]
) -> Table:
    """Return columns (n,) on dates (n,), or on another clock if most rows repeat the last date."""
    stamps = parse_dates(dates.str.strip_chars())
    first = stamps.drop_nulls()[0]
    seconds = (stamps - first).cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e9
    if not advances(seconds) and _clock(numbers) is not None:
        return table_of(path, numbers, left_out | {dates.name: COARSE})
    table = stamped(path, dates.name, seconds, numbers, left_out, unit="s")
    return replace(table, origin=table.origin + int(first) / 1e9)


def _stamped_by_two(
    path: Path, seconds: str, numbers: dict[str, Floats], left_out: dict[str, str]
) -> Table:
    """Return columns (n,) on timestamps in two columns: whole seconds, and nanoseconds."""
    rest = nanoseconds_of(seconds, list(numbers)) or ""
    least = float(np.nanmin(numbers[seconds]))
    since = numbers[seconds] - least
    remaining = {name: values for name, values in numbers.items() if name not in {seconds, rest}}
    table = stamped(path, seconds, since + 1e-9 * numbers[rest], remaining, left_out, unit="s")
    return replace(table, origin=table.origin + least)


def _without_units(frame: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, ColumnAttributes]]:
    """Return the rows below a line of units, and the unit of each column."""
    first, second = (
        [(cell or "").strip() for cell in row] for row in (*frame.head(2).rows(), (), ())[:2]
    )
    if not any(first) or any(map(_is_value, first)) or not any(map(_is_value, second)):
        return frame, {}
    units = zip(frame.columns, first, strict=True)
    return frame.slice(1), {name: ColumnAttributes(unit=unit) for name, unit in units if unit}


def _is_value(text: str) -> bool:
    return _is_number(text) or is_date(text)


def _dates(frame: pl.DataFrame) -> str | None:
    """Return the first column of dates, the clock of the log; None without one."""
    for column in frame:
        first = column.drop_nulls().head(1).str.strip_chars()
        if len(first) and is_date(first[0]):
            return column.name
    return None


def _text(path: Path) -> tuple[pl.DataFrame, str]:
    """Return the rows of a text table, and what separates its fields."""
    try:
        source = source_of(path)
    except Unreadable as error:
        raise _of_file(path, error) from error
    with open_source(source) as file:
        head = file.read(HEAD)
    if b"\0" in head:
        raise _binary(path, head)
    text = head.removeprefix(b"\xef\xbb\xbf")
    try:
        skipped = header_line(text) if text.strip() else 0
    except Unreadable as error:
        raise _of_file(path, error) from error
    header, row = (line.rstrip(b"\r") for line in (*text.split(b"\n")[skipped:], b"", b"")[:2])
    separator = find_separator(header, row)
    names = [name.strip() for name in header_names(header, separator)]
    marked = is_marked(header, separator)  # then the # would be a name
    is_utf8 = decode(header + row).encode() == header + row
    encoding = "utf8-lossy" if is_utf8 else "windows-1252-lossy"
    try:
        frame = pl.read_csv(
            source,
            separator=separator,
            has_header=not marked,
            skip_lines=skipped + marked,
            n_rows=MOST,
            infer_schema=False,
            encoding=encoding,
            truncate_ragged_lines=True,
            glob=False,
        )
    except pl.exceptions.PolarsError as error:
        raise BadLog(path, f"holds no table ({str(error).splitlines()[0]})") from error
    if len(names) != len(frame.columns):
        raise BadLog(path, f"its header has {len(names)} or {len(frame.columns)} columns")
    keep = {old: new for old, new in zip(frame.columns, unique_names(names), strict=True) if new}
    return frame.select(list(keep)).rename(keep), separator


def _binary(path: Path, head: bytes) -> BadLog:
    if detected := other_format(path):
        return BadLog(
            path, f"is {detected[0]}", expected="a log that a reader reads", fix=detected[1]
        )
    kind = "a pickle, which could run code" if head.startswith(PICKLE) else "binary data, not text"
    fix = "write the numbers as text, .npy or .npz, or name the file after its format"
    return BadLog(path, f"holds {kind}", expected="a text table", fix=fix)


def _of_file(path: Path, error: Unreadable) -> BadLog:
    """Return an error of a reader with the name of the file."""
    first = error.reasons[0]
    return BadLog(path, str(first["found"]), expected=first["expected"], fix=first["fix"])


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "" if "." in text else "."))
    except ValueError:
        return False
    return True


def _numbers(column: pl.Series, *, quoted_comma: bool) -> Floats | None:
    """Return a column as numbers with NaN for missing ones; None if it is not numeric."""
    text = spell_booleans(column).str.strip_chars()
    text = plain_digits(text, decimal_comma=not quoted_comma, quoted_comma=quoted_comma)
    numbers = text.cast(pl.Float64, strict=False)
    filled = text.count()
    if not filled or numbers.count() < 0.5 * filled:
        return None
    return numbers.fill_null(np.nan).to_numpy().copy()


def table_of(
    path: Path, numbers: dict[str, Floats], left_out: dict[str, str], rate: float | None = None
) -> Table:
    """Return columns of one length as a table, on the clock among them or by `rate`, Hz.

    Raises:
        BadLog: no column is a clock, no rate is given, and none is stated.
    """
    clock = _clock(numbers) if rate is None else None
    if clock is not None and _counts_rows(numbers[clock]) and _states_steps(numbers):
        clock = None
    rate = rate or (stated_rate(numbers) if clock is None else None)
    if rate is not None:
        samples = {name: (np.arange(len(v)) / rate, v) for name, v in numbers.items()}
        return Table(path, None, "s", samples, left_out, rate=rate)
    if clock is None and (steps := _step_column(numbers)):
        remaining = {name: values for name, values in numbers.items() if name != steps}
        table = stamped(path, steps, np.nancumsum(numbers[steps]), remaining, left_out)
        return replace(table, sums_time=True)
    if clock is None:
        raise BadLog(
            path,
            "no column rises as a clock does",
            expected="timestamps under a name such as time or timestamp, or dates such as "
            "2024-05-01 12:00:00 or 1.5.2024 12:00:00",
            fix="for a log without timestamps, set its rows per second: --rate HZ"
            f"{_rounded(numbers)}",
        )
    remaining = {name: values for name, values in numbers.items() if name != clock}
    return stamped(path, clock, numbers[clock], remaining, left_out)


def stamped(
    path: Path,
    clock: str,
    stamps: Floats,
    numbers: dict[str, Floats],
    left_out: dict[str, str],
    unit: str | None = None,
) -> Table:
    """Return columns (n,) on timestamps (n,), by default of an inferred unit.

    Rows out of order are dropped.

    Raises:
        BadLog: Most rows repeat the timestamp before.
    """
    unit = unit or _time_unit(clock, stamps)
    if not advances(stamps):
        raise coarse_clock(path, clock, stamps / TICKS[unit])
    ticks = TICKS[unit]
    good = np.isfinite(stamps)
    seconds = (stamps[good] - stamps[good][0]) / ticks
    rising = np.diff(seconds, prepend=-np.inf) > 0.0
    values = {name: (seconds[rising], v[good][rising]) for name, v in numbers.items()}
    return Table(path, clock, unit, values, left_out, origin=float(stamps[good][0]) / ticks)


def advances(stamps: Floats) -> bool:
    """Return whether a clock (n,) changes in more than half of its rows; others have few digits."""
    steps = np.diff(stamps[np.isfinite(stamps)])
    return not len(steps) or bool(np.mean(steps != 0.0) > FRESH)


def coarse_clock(path: Path, name: str, seconds: Floats) -> BadLog:
    """Return the error of a clock with too few digits, such as one of whole seconds, (n,) s."""
    finite = seconds[np.isfinite(seconds)]
    return BadLog(
        path,
        f"{name} has {len(np.unique(finite))} different timestamps in {len(finite)} rows",
        expected="a clock with enough digits to tell rows apart",
        fix=f"set the rows per second: --rate {_rate_of(finite) or 'HZ'}",
    )


def _rate_of(stamps: Floats) -> str:
    """Return the rows (n,) per unit of a clock that repeats its numbers; empty if they never rise.

    The first and the last number may have fewer rows than the others.
    """
    rises = np.flatnonzero(np.diff(stamps) > 0.0)
    if len(rises) < 2:
        return ""
    return f"{(rises[-1] - rises[0]) / (stamps[rises[-1]] - stamps[rises[0]]):.4g}"


def stated_rate(numbers: Mapping[str, Floats]) -> float | None:
    """Return the rate, Hz, that a column such as `fs` or `Ts` states by its only number, if any."""
    for name in (*PER_SECOND, *STEP):
        values = np.unique(numbers[name][np.isfinite(numbers[name])]) if name in numbers else []
        if len(values) == 1 and 0.0 < values[0] < 1e9:
            return float(values[0] if name in PER_SECOND else 1.0 / values[0])
    return None


def _counts_rows(values: Floats) -> bool:
    """Return whether (n,) numbers rise by 1 in each row, as those of rows do."""
    return len(values) > 1 and bool(np.all(np.diff(values) == 1.0))


def _states_steps(numbers: Mapping[str, Floats]) -> bool:
    """Return whether a column other than a clock holds the rate, or the time between rows."""
    return stated_rate(numbers) is not None or _step_column(numbers) is not None


def _step_column(numbers: Mapping[str, Floats]) -> str | None:
    """Return the column of the time since the row before, which is never negative, by its name."""
    for name, values in numbers.items():
        is_named = name in STEP or {*split_words(name)[:1], *split_words(name)[-1:]} & DURATION
        finite = values[np.isfinite(values)]
        if is_named and len(finite) and finite.min() >= 0.0 and np.mean(finite > 0.0) > RISING:
            return name
    return None


def _clock(numbers: dict[str, Floats]) -> str | None:
    """Return the clock column: a rising one with a name of a clock, else the first that rises.

    Times at which rows arrived in bursts are no clock if the log has others, as in `header.stamp`.
    A column with such a name may repeat up to half of its numbers: a logger that is faster than
    its source writes rows twice.
    """
    rising = [
        name
        for name, values in numbers.items()
        if len(values) > 2 and np.nanmean(np.diff(values) > 0.0) > RISING
    ]
    named = [name for name in rising if is_stamp(name)]
    named += [name for name in rising if name not in named and _ends_as_stamp(name)]
    named.sort(key=lambda name: _has_bursts(numbers[name]))  # otherwise in their order
    named += [name for name in numbers if name not in named and _repeats(name, numbers[name])]
    # A rising height has another meaning by its name; without a header, time comes first.
    unnamed = [
        name
        for name in rising
        if guess(name).what == "unknown" and (name == f"{COLUMN}1" or not name.startswith(COLUMN))
    ]
    evenly = [name for name in unnamed if _even(numbers[name])]
    return next(iter([*named, *evenly]), None)


def _ends_as_stamp(name: str) -> bool:
    """Return whether a name ends as that of a clock does: `header.stamp`, `sim_time`, `Systime`."""
    return any(
        word in {"stamp", "timestamp"} or word.endswith("time") for word in split_words(name)[-1:]
    )


def _repeats(name: str, values: Floats) -> bool:
    """Return whether a column has the name of a clock, never falls, and mostly rises."""
    steps = np.diff(values[np.isfinite(values)])
    if len(steps) < 2 or not (is_stamp(name) or _ends_as_stamp(name)):
        return False
    return bool(steps.min() >= 0.0 and np.mean(steps > 0.0) > FRESH)


def _rounded(numbers: Mapping[str, Floats]) -> str:
    """Return a hint at a column that may be a clock with too few digits; empty if there is none."""
    for name, values in numbers.items():
        stamps = values[np.isfinite(values)]
        is_named = is_stamp(name) or _ends_as_stamp(name) or bool(len(stamps) and stamps[0] >= 1e9)
        n_different = len(np.unique(stamps))
        if not is_named and (guess(name).what != "unknown" or n_different < FEWEST_STAMPS):
            continue
        if n_different < FEWEST_NAMED or (np.diff(stamps) < 0.0).any():
            continue
        unit = _time_unit(name, stamps)
        rate = _rate_of(stamps / TICKS[unit])
        return (
            f"; {name} never falls, but repeats its numbers: --rate {rate} if it is time in {unit}"
        )
    return ""


def _has_bursts(values: Floats) -> bool:
    """Return whether many steps of a clock (n,) are a tenth of their mean or less."""
    steps = np.diff(values[np.isfinite(values)])
    return bool(np.mean(steps < 0.1 * np.mean(steps)) > BURSTS)


def _even(values: Floats) -> bool:
    steps = np.diff(values[np.isfinite(values)])
    return len(steps) > 1 and bool(np.nanpercentile(steps, 90) < 3 * np.nanmedian(steps))


# Epoch times since 2001 in s have 10 digits, in ms 13, in us 16, in ns 19.
_EPOCH = [(1e18, "ns"), (1e15, "us"), (1e12, "ms"), (1e9, "s")]


def _time_unit(name: str, stamps: Floats) -> str:
    """Infer the unit of timestamps: by name, as epoch times, or by common sampling rates."""
    named = next((unit for unit in ("ms", "us", "ns") if unit in split_words(name)), None)
    largest = float(np.nanmax(stamps))
    step = float(np.nanmedian(np.diff(stamps)))
    epoch = next((unit for least, unit in _EPOCH if largest >= least), None)
    # Robots log at 1 Hz to 100 kHz: 1000 ticks are 1 ms, and not 1 s, of most.
    relative = "s" if step < 10 else "ms" if step < 990 else "us" if step < 9.9e5 else "ns"
    whole = bool(np.all(np.mod(stamps[np.isfinite(stamps)], 1.0) == 0.0))
    if relative == "s" and whole and epoch is None and step >= 2:
        relative = "ms"
    return named or epoch or relative


def attributes_by_column(
    stated: Mapping[str, ColumnAttributes], table: Table
) -> dict[str, ColumnAttributes]:
    """Return what a log states of the columns of a table.

    `stated` uses the full path of a column; that of an episode begins with its group. `table` uses
    the names below that group.
    """
    attributes_: dict[str, ColumnAttributes] = {}
    for name in dict.fromkeys(
        split_index(table.sources.get(value, value))[0] for value in table.values
    ):
        grouped = (attributes for path, attributes in stated.items() if path.endswith(f"/{name}"))
        if (attributes := stated.get(name) or next(grouped, None)) is not None:
            attributes_[name] = attributes
    return attributes_
