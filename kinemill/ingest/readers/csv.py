"""CSV logs: one header line, one row per timestamp, one column per channel.

Fields are separated by comma, semicolon, tab or |, whichever is most frequent in the header, or by
spaces; numbers may have a decimal comma. Lines that start with # are
comments, except for the header. Timestamps are numbers in `ingest.time_unit`, dates
(`text_values.py`), or seconds in a column such as `stamp.sec` next to `stamp.nanosec`. In a column
of true and false, on and off, or open and closed, these are 1 and 0. `"1,234.5"` is 1234.5. Lines
above the header, in which an instrument describes its recording, are skipped. Row 1 is the first
line after the header; comments and blank lines are not counted. A header that is not UTF-8 is read
as Windows-1252. Rows may hold one value each (`_long_table.py`).
"""

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.ingest.raw import (
    SUBSECONDS,
    TICKS,
    TIME,
    About,
    Columns,
    Images,
    RawLog,
    Reader,
    Reason,
    Texts,
    Unreadable,
    join_stamps,
    match_columns,
    reason,
    row_numbers,
)
from kinemill.ingest.readers._csv_layout import (
    BOM,
    COMMENT,
    SEPARATORS,
    Layout,
    as_utf8,
    inspect,
    is_long_integer,
    open_source,
    whole_file,
)
from kinemill.ingest.readers._dataflash_text import is_text
from kinemill.ingest.readers._episodes import NAMES as MARKS
from kinemill.ingest.readers._episodes import NUMBERS, episode_starts, split_episodes
from kinemill.ingest.readers._long_table import LongTable, as_long, may_be_long, pivot
from kinemill.ingest.readers._nested import read_table
from kinemill.ingest.readers._plain_table import count_damaged, source_of
from kinemill.ingest.readers._table_media import media_columns, with_media
from kinemill.ingest.text_values import (
    MISSING,
    is_date,
    parse_dates,
    plain_digits,
    spell_booleans,
)
from kinemill.task import Task
from kinemill.task.plugins import READERS

LARGE = 1 << 20  # bytes
MOST = 1_000_000  # rows that a draft reads
FEW_TEXTS = 0.05  # share of texts in a column of numbers that are missing values
# polars parses a large file on all cores; the next one reuses its memory.
_TURN = Lock()


def read_as_text(path: Path) -> tuple[pl.DataFrame, Layout]:
    """Return all columns with a name as text (n,), null for a missing value, and the layout.

    Raises:
        Unreadable: The file holds no table.
    """
    source = source_of(path)
    layout = inspect(source)
    indices = {name: at for at, name in enumerate(layout.names) if name}
    return _as_text(source, layout, indices, MOST), layout


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Read one CSV file, with columns matched by name; values keep the units of the log.

    Episodes that a column marks are parts, see `_episodes`.

    A last line without a newline, or with too few fields, is dropped and counted: a truncated
    "2,3." would parse as 3.0.

    Raises:
        Header: The task has no channels.
        Unreadable: A column is missing or repeated, a value is not a number, a row has more fields
            than the header, or the file holds no rows.
    """
    source = source_of(path)
    layout = inspect(source)
    if (table := _long_table(source, layout, task)) is not None:
        return _read_long(*table, layout, task)
    columns = match_columns(layout.names, task)
    media = media_columns(dict.fromkeys(layout.names, pl.String()), task)
    frame, reasons = _numbers(source, layout, columns)
    if damaged := count_damaged(path):
        reasons.append(_damage_reason(damaged))
    contents = dict[str, Images | Texts]()
    if media:
        indices = {name: layout.names.index(name) for name in media.values()}
        texts = _as_text(_whole_lines(source, layout), layout, indices)
        frame, contents = with_media(frame, texts, media, task)
    frame = frame.head(max(frame.height - layout.blank_end, 0)) if layout.blank_end else frame
    if layout.drop_last:
        last = frame.height + (1 if layout.cut else 0)
        frame = frame if layout.cut else frame.head(frame.height - 1)
        reasons.append(_cut_reason(last, layout))
    frame, ticks = _with_ticks(frame, layout, columns, task)
    lost = damaged + layout.drop_last
    log = RawLog(frame, columns.sources, ticks, lost, reasons, media=contents)
    return split_episodes(log, _marks(source, layout, frame.height))


def _with_ticks(
    frame: pl.DataFrame, layout: Layout, columns: Columns, task: Task
) -> tuple[pl.DataFrame, float]:
    """Return rows with their timestamps, and the ticks per second of these."""
    if columns.time is None:
        return frame.with_columns(row_numbers(frame.height)), columns.rate or task.ingest.ticks
    is_dated = is_date(layout.first(columns.time))
    ticks = TICKS["ns"] if is_dated else task.ingest.ticks
    return join_stamps(frame, columns.per_second, ticks)


def is_wide(path: Path) -> bool:
    """Return whether a file may be one wide table: neither long, nor of episodes."""
    try:
        source = source_of(path)
        layout = inspect(source)
        marks = _marks(source, layout)
        if marks and episode_starts(marks, len(next(iter(marks.values())))):
            return False
        return _long_table(source, layout) is None
    except Unreadable:
        return True


def _marks(
    source: Path | bytes, layout: Layout, rows: int | None = None
) -> dict[str, NDArray[Any]]:
    """Return the columns that mark episodes, of the first rows: flags as numbers, else as text."""
    indices = {name: at for at, name in enumerate(layout.names) if name in MARKS}
    if not indices:
        return {}
    texts = _as_text(_whole_lines(source, layout), layout, indices)
    texts = texts if rows is None else texts.head(rows)
    return {
        text.name: text.to_numpy()
        if text.name in NUMBERS
        else spell_booleans(text).cast(pl.Float64, strict=False).to_numpy()
        for text in texts
    }


def _damage_reason(lines: int) -> Reason:
    return reason(
        "damaged_lines",
        "whole log",
        f"{lines} lines hold bytes of no text, as a loss of power leaves them",
        expected="text",
        fix="nothing to do: these lines are left out",
    )


def _cut_reason(row: int, layout: Layout) -> Reason:
    fields = layout.fields(layout.last_row)
    return reason(
        "cut_line",
        f"row {row}",
        f"the last line has {len(fields)} fields and {'no' if layout.cut else 'a'} newline",
        expected=f"{len(layout.names)} fields and a newline",
        fix="nothing to do: the row is left out",
    )


def about(path: Path) -> About:
    """Return the clock and the units of the signals of a long table; nothing for other tables.

    Raises:
        Unreadable: The file has no header or no rows.
    """
    source = source_of(path)
    layout = inspect(source)
    if (long := _long_table(source, layout)) is None:
        return About()
    table, rows = long
    return About(columns=table.units(rows), clock=table.times[0])


def _long_table(
    source: Path | bytes, layout: Layout, task: Task | None = None
) -> tuple[LongTable, pl.DataFrame] | None:
    """Return the columns of a long table and all its rows as text; None if the file is none."""
    if not may_be_long(layout.names, task, layout.fields(layout.first_row)):
        return None
    indices = {name: at for at, name in enumerate(layout.names) if name}
    text = _as_text(_whole_lines(source, layout), layout, indices)
    text = text.head(text.height - (layout.drop_last and not layout.cut))
    if (long := as_long(text)) is None:
        return None
    table, text = long
    # InfluxDB repeats the header.
    return table, text.filter(pl.col(table.value).ne_missing(table.value))


def _read_long(table: LongTable, text: pl.DataFrame, layout: Layout, task: Task) -> RawLog:
    """Read a table with one value per row; row k of the log is its k-th timestamp.

    Raises:
        Unreadable: A signal is missing, or one of its values is not a number.
    """
    commas = {"decimal_comma": layout.decimal_comma}
    signals = table.signals(text)
    is_bad = table.bad(text)
    value = text[table.value].set(is_bad, None)
    names = [*table.times, *signals.drop_nulls().unique(maintain_order=True)]
    columns = match_columns(names, task)
    plain = plain_digits(spell_booleans(value), **commas)
    numbers = plain.cast(pl.Float64, strict=False)
    reasons = list[Reason]()
    for channel, at in columns.channels.items():
        is_signal = signals == names[at]
        bad = (
            (is_signal & plain.is_not_null() & numbers.is_null()).fill_null(value=False).arg_true()
        )
        reasons += [_no_number(channel, value, bad)] if len(bad) else []
    if reasons:
        raise Unreadable(*reasons)
    times = [
        parse_dates(stamps).cast(pl.Datetime("ns"))
        if is_date(first := str(stamps.drop_nulls()[0]))
        else _stamps(stamps, plain_digits(stamps, **commas), first)
        for stamps in text.select(table.times)
    ]
    log = read_table(pivot(pl.DataFrame(times), signals, numbers), task)
    return replace(log, reasons=[*log.reasons, *_quality_reasons(is_bad)])


def _quality_reasons(is_bad: pl.Series) -> list[Reason]:
    """Return the reason for values of bad quality (n,), if there are any."""
    if not (count := int(is_bad.sum())):
        return []
    return [
        reason(
            "quality",
            "whole log",
            f"{count} of {len(is_bad)} values whose quality is not good",
            expected="values of good quality",
            fix="nothing to do: these values are missing",
        )
    ]


def _numbers(
    source: Path | bytes, layout: Layout, columns: Columns
) -> tuple[pl.DataFrame, list[Reason]]:
    """Read the requested columns as numbers; fall back to the lenient parser."""
    source = _whole_lines(source, layout) if layout.cut else source
    try:
        is_doubtful = layout.decimal_comma is None
        is_quoted = layout.decimal_comma and layout.separator == ","
        is_grouped = layout.decimal_comma and _holds(b".", source, layout)  # 1.234 is 1234
        is_lenient = layout.comments or is_doubtful or is_quoted or is_grouped
        for kind in [] if is_lenient else _time_kinds(layout, columns):
            try:
                frame = _read_fast(source, layout, columns, kind)
            except pl.exceptions.ComputeError:
                continue
            if _is_complete(frame, layout, columns) or _has_every_field(
                source, layout, frame.height
            ):
                return frame, []
        data = source.read_bytes() if isinstance(source, Path) else source
        _refuse_long_rows(data, layout)
        return _read_leniently(data, layout, columns)
    except (pl.exceptions.PolarsError, csv.Error) as error:
        raise _no_csv(error) from error


def _no_csv(error: Exception) -> Unreadable:
    message = f"cannot be read as CSV ({(str(error).splitlines() or ['?'])[0]})"
    return Unreadable(whole_file(message, "rows of separated fields", "repair it"))


def _whole_lines(source: Path | bytes, layout: Layout) -> bytes:
    """Return the text of a file up to its last newline."""
    content = source.read_bytes() if isinstance(source, Path) else source
    return content[: len(content) - layout.cut * len(layout.last_row)]


def _time_kinds(layout: Layout, columns: Columns) -> list[type[pl.DataType]]:
    """Return the types to try: epoch ns need Int64; a later `0.01` after `0` needs Float64."""
    first = "" if columns.time is None else layout.first(columns.time)
    if is_date(first):
        return []
    return [pl.Int64, pl.Float64] if is_long_integer(first) else [pl.Float64]


def _read_fast(
    source: Path | bytes, layout: Layout, columns: Columns, time: type[pl.DataType]
) -> pl.DataFrame:
    names = pl.read_csv(
        source,
        n_rows=0,
        skip_lines=layout.header_line,
        separator=layout.separator,
        infer_schema=False,
        glob=False,
    ).columns
    if len(names) != len(layout.names):
        problem = f"has a header of {len(names)} or of {len(layout.names)} columns"
        raise Unreadable(whole_file(problem, "one header line without line breaks", "repair it"))
    indices = columns.stamps | columns.channels
    rows = pl.scan_csv(
        source,
        skip_lines=layout.header_line,
        separator=layout.separator,
        infer_schema=False,
        schema_overrides={
            names[at]: time if name == TIME else pl.Float64 for name, at in indices.items()
        },
        decimal_comma=layout.decimal_comma is True,
        glob=False,  # a path may contain `[2]`
        encoding="utf8-lossy",  # invalid bytes in a text column do not affect numbers
    )
    # Two channels may have the same source.
    query = rows.select(pl.col(names[at]).alias(name) for name, at in indices.items())
    with _TURN if isinstance(source, Path) and source.stat().st_size >= LARGE else nullcontext():
        return query.collect()


def _is_complete(frame: pl.DataFrame, layout: Layout, columns: Columns) -> bool:
    """Return whether a frame has a number for every field of the file.

    Then no row was short. polars refuses a long row, because the last column is requested.
    """
    read = {*columns.stamps.values(), *columns.channels.values()}
    return len(read) == len(layout.names) and not any(series.null_count() for series in frame)


def _has_every_field(source: Path | bytes, layout: Layout, rows: int) -> bool:
    """Return whether there are as many separators as this number of rows has.

    polars only parses the requested columns: it takes merged lines and comments for rows.
    """
    n_separators = 0
    sign = ord(layout.separator)
    block = bytearray(1 << 18)  # fits into the processor's cache
    window = np.frombuffer(block, dtype=np.uint8)
    with open_source(source) as file:
        file.seek(layout.start)
        while size := cast(io.BufferedReader, file).readinto(block):
            n_separators += int(np.count_nonzero(window[:size] == sign))
    return n_separators == (rows - layout.blank_end) * (len(layout.names) - 1)


def _holds(sign: bytes, source: Path | bytes, layout: Layout) -> bool:
    """Return whether a sign is below the header."""
    with open_source(source) as file:
        file.seek(layout.start)
        return any(sign in block for block in iter(lambda: file.read(LARGE), b""))


def _read_leniently(
    data: bytes, layout: Layout, columns: Columns
) -> tuple[pl.DataFrame, list[Reason]]:
    """Read text and convert it to numbers; allow spaces, comments and spellings of missing values.

    A few texts in a column of numbers are missing values, each column with a reason.

    Raises:
        Unreadable: More values are text, with row, channel and text of the first one of a channel.
    """
    indices = columns.stamps | columns.channels
    text = _as_text(data, layout, indices)
    commas = {"decimal_comma": layout.decimal_comma}
    plain = text.with_columns(plain_digits(spell_booleans(column), **commas) for column in text)
    numbers = plain.cast(pl.Float64, strict=False)
    if columns.time is not None:
        numbers = numbers.with_columns(_stamps(text[TIME], plain[TIME], layout.first(columns.time)))
    problems = {
        name: problem
        for name in indices
        if (problem := _text_reason(name, text[name], plain[name], numbers[name]))
    }
    wrong = {
        name: problem
        for name, problem in problems.items()
        if numbers[name].count() < (1.0 - FEW_TEXTS) * plain[name].count()
    }
    if wrong:
        raise Unreadable(*wrong.values())
    return numbers, list(problems.values())


def _as_text(
    source: Path | bytes, layout: Layout, indices: Mapping[str, int], rows: int | None = None
) -> pl.DataFrame:
    """Read columns as text, null for empty fields; of the first rows, by default of all.

    Raises:
        Unreadable: Its quotes or its fields make no rows.
    """
    skipped = 0
    if isinstance(source, Path):
        with source.open("rb") as file:
            skipped = file.read(layout.start).count(b"\n")
    query = (
        pl.scan_csv(
            source if isinstance(source, Path) else source[layout.start :],
            has_header=False,
            skip_lines=skipped,
            schema={str(index): pl.String() for index in range(len(layout.names))},
            separator=layout.separator,
            null_values=list(MISSING),
            comment_prefix=COMMENT,
            glob=False,
            encoding="utf8-lossy",
            truncate_ragged_lines=True,  # the removed fields are empty
            extra_columns="ignore",
            missing_columns="insert",
            n_rows=rows,
        )
        .select(pl.col(str(at)).str.strip_chars().alias(name) for name, at in indices.items())
        .select(pl.all().replace([*MISSING, ""], None))
    )
    try:
        return query.collect()
    except pl.exceptions.PolarsError as error:
        raise _no_csv(error) from error


def _stamps(text: pl.Series, plain: pl.Series, first: str) -> pl.Series:
    """Return timestamps as Float64, as Int64 if all are whole and long, or dates as Int64 ns.

    Args:
        text: timestamps as in the file (n,).
        plain: their digits (n,), as `plain_digits` spells them.
        first: the first of them.
    """
    if is_date(first):
        return parse_dates(text)
    exact = plain.cast(pl.Int64, strict=False)
    if is_long_integer(first) and exact.null_count() == plain.null_count():
        return exact
    return plain.cast(pl.Float64, strict=False)


def _text_reason(name: str, text: pl.Series, plain: pl.Series, numbers: pl.Series) -> Reason | None:
    bad = (plain.is_not_null() & numbers.is_null()).arg_true()
    channel = None if name in {TIME, SUBSECONDS} else name
    return _no_number(channel, text, bad) if len(bad) else None


def _no_number(channel: str | None, text: pl.Series, bad: pl.Series) -> Reason:
    """Return the reason for texts in rows `bad` (k,) of a column of numbers."""
    more = f" and {len(bad) - 1} more rows" if len(bad) > 1 else ""
    return reason(
        "number",
        f"row {bad[0] + 1}{more}",
        f"the text {text[bad[0]]!r}",
        channel=channel,
        expected="a number, or nothing for a missing value",
        fix="correct the row, or name another column",
    )


def _rows(data: bytes, layout: Layout) -> Iterator[list[str]]:
    """Yield the fields of each row, without blank lines and comments."""
    file = io.BytesIO(data)
    file.seek(layout.start)
    with io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="") as text:
        rows = csv.reader(text, delimiter=layout.separator)
        yield from (row for row in rows if row and not row[0].startswith(COMMENT))


def _refuse_long_rows(data: bytes, layout: Layout) -> None:
    """Refuse a row with more fields than the header; empty ones (a trailing comma) are allowed."""
    width = len(layout.names)
    for number, row in enumerate(_rows(data, layout), start=1):
        if any(field.strip() for field in row[width:]):
            raise Unreadable(
                reason(
                    "fields",
                    f"row {number}",
                    f"{len(row)} fields",
                    expected=f"{width}, as in the header",
                    fix="repair the row; two lines may have run into one, or , is the decimal sign",
                )
            )


def _recognizes(head: bytes) -> bool:
    """Return whether text has a line of several fields."""
    head = as_utf8(head)
    if b"\0" in head or is_text(head) or head.removeprefix(BOM).lstrip().startswith((b"{", b"[")):
        return False  # JSON and DataFlash logs have commas as well
    lines = head.removeprefix(BOM).split(b"\n")
    line = next((line for line in lines if line.strip() and not line.startswith(b"#")), lines[0])
    return any(separator.encode() in line for separator in SEPARATORS)


READERS.register("csv")(Reader((".csv", ".tsv"), _recognizes, read, about=about))
