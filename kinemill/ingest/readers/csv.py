"""CSV logs: one header line, one row per time stamp, one column per channel.

Fields are separated by comma, semicolon or tab, whichever the header has most of. Row 1 is the
first line after the header.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kinemill.ingest.raw import (
    TICKS,
    TIME,
    Columns,
    RawLog,
    Reader,
    Reason,
    Unreadable,
    match_columns,
    reason,
)
from kinemill.spec import Task
from kinemill.spec.plugins import READERS

LONGEST_LINE = 1 << 18  # bytes: ten thousand columns; no header or row is longer
MISSING = ["NA", "N/A", "na", "n/a", "null", "NULL", "None", "none"]  # written for "no value"
EXACT_DIGITS = 15  # float64 holds integers of as many digits exactly; epoch ns have 19
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class _Layout:
    """How one file is written: what must be known before its rows can be read."""

    names: list[str]  # of the header, spaces and quotes taken off
    separator: str
    first_row: bytes
    last_row: bytes  # without its newline
    cut: bool  # the file does not end in a newline
    blank_end: int  # blank lines at the end

    def fields(self, line: bytes) -> list[str]:
        return _split(line.decode(errors="replace"), self.separator)

    @property
    def drop_last(self) -> bool:
        """Whether the last row may be half a row: `2,3.` would be read as 3.0."""
        named = max(index for index, name in enumerate(self.names) if name) + 1
        return bool(self.last_row) and (self.cut or len(self.fields(self.last_row)) < named)


def read(path: Path, task: Task) -> RawLog:
    """Read one CSV file, columns matched by name; values keep the log's own units.

    A last line without its newline, or with too few fields, is dropped and counted: nobody can
    know how much of it is missing.

    Raises:
        Unreadable: a column is missing or stands twice, a value is not a number, a row has more
            fields than the header, or the file holds no rows.
    """
    layout = _inspect(path)
    columns = match_columns(layout.names, task)
    frame = _numbers(path, layout, columns)
    frame = frame.head(max(frame.height - layout.blank_end, 0)) if layout.blank_end else frame
    reasons: list[Reason] = []
    if layout.drop_last:
        last = frame.height + (1 if layout.cut else 0)
        frame = frame if layout.cut else frame.head(frame.height - 1)
        reasons.append(_cut_reason(last, layout))
    return RawLog(frame, columns.sources, TICKS[task.ingest.time_unit], len(reasons), reasons)


def _cut_reason(row: int, layout: _Layout) -> Reason:
    fields = layout.fields(layout.last_row)
    return reason(
        "cut_line",
        f"row {row}",
        f"the last line has {len(fields)} fields and {'no' if layout.cut else 'a'} newline",
        expected=f"{len(layout.names)} fields and a newline",
        fix="nothing to do: the row is left out",
    )


def _inspect(path: Path) -> _Layout:
    with path.open("rb") as file:
        head = file.read(LONGEST_LINE)
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - LONGEST_LINE))
        tail = file.read()
    if head.startswith(UTF16):
        raise Unreadable(_whole("is text in UTF-16", "UTF-8", "save it as UTF-8"))
    lines = head.removeprefix(BOM).lstrip(b"\r\n").split(b"\n", 2)
    header = lines[0].strip(b" \r")  # a tab may stand before or after a column without a name
    if not header.strip():
        raise Unreadable(_whole("is empty", "a header line and rows", "delete it"))
    if b"\r" in header:
        raise Unreadable(_whole("has lines that end in CR alone", "LF or CRLF", "convert it"))
    separator = max(",;\t", key=header.decode(errors="replace").count)
    names = [name.strip() for name in _split(header.decode(errors="replace"), separator)]
    names[0] = names[0].lstrip("#").strip()  # numpy.savetxt writes `# time,...`
    end = tail.rstrip(b"\r\n")
    newlines = tail[len(end) :].count(b"\n")
    rows = b"\n".join(lines[1:]).lstrip()
    if not rows:
        raise Unreadable(_whole("holds a header and no rows", "rows under it", "delete it"))
    first, last = rows.split(b"\n", 1)[0], end.rsplit(b"\n", 1)[-1]
    return _Layout(names, separator, first, last, newlines == 0, max(newlines - 1, 0))


def _whole(found: str, expected: str, fix: str) -> Reason:
    return reason("format", "file", found, expected=expected, fix=fix)


def _split(line: str, separator: str) -> list[str]:
    for fields in csv.reader([line.rstrip("\r\n")], delimiter=separator):
        return fields
    return []


def _numbers(path: Path, layout: _Layout, columns: Columns) -> pl.DataFrame:
    """Read the wanted columns as numbers: at full speed, and with care where that fails."""
    source = _whole_lines(path, layout) if layout.cut else path
    try:
        names = pl.read_csv(
            source, n_rows=0, infer_schema=False, separator=layout.separator, glob=False
        ).columns
        if len(names) != len(layout.names):
            message = f"has a header of {len(names)} or of {len(layout.names)} columns"
            raise Unreadable(_whole(message, "one header line without line breaks", "repair it"))
        wanted = {TIME: names[columns.time]}
        wanted |= {channel: names[place] for channel, place in columns.channels.items()}
        for kind in _time_kinds(layout, columns):
            try:
                return _at_full_speed(source, layout.separator, wanted, kind)
            except pl.exceptions.ComputeError:
                continue
        _refuse_long_rows(source, layout)
        return _with_care(source, layout, wanted, columns)
    except (pl.exceptions.PolarsError, csv.Error) as error:
        message = f"cannot be read as CSV ({(str(error).splitlines() or ['?'])[0]})"
        raise Unreadable(_whole(message, "rows of separated fields", "repair it")) from error


def _whole_lines(path: Path, layout: _Layout) -> bytes:
    with path.open("rb") as file:
        return file.read(path.stat().st_size - len(layout.last_row))


def _time_kinds(layout: _Layout, columns: Columns) -> list[type[pl.DataType]]:
    """Stamps such as epoch nanoseconds need Int64; a later `0.01` after `0` needs Float64."""
    fields = layout.fields(layout.first_row)
    first = fields[columns.time].strip() if columns.time < len(fields) else ""
    exact = re.fullmatch(rf"[+-]?\d{{{EXACT_DIGITS + 1},}}", first)
    return [pl.Int64, pl.Float64] if exact else [pl.Float64]


def _at_full_speed(
    source: Path | bytes, separator: str, wanted: dict[str, str], time: type[pl.DataType]
) -> pl.DataFrame:
    kinds = {name: pl.Float64 for name in wanted.values()} | {wanted[TIME]: time}
    rows = pl.scan_csv(
        source,
        separator=separator,
        infer_schema=False,
        schema_overrides=kinds,
        glob=False,  # a home may be called `runs[2]`
        encoding="utf8-lossy",  # an odd byte in a comment column does not spoil the numbers
    )
    return rows.select(_renamed(wanted)).collect()


def _renamed(wanted: dict[str, str]) -> list[pl.Expr]:
    time = pl.col(wanted[TIME]).alias(TIME)
    channels = [
        pl.col(column).cast(pl.Float64).alias(name)
        for name, column in wanted.items()
        if name != TIME
    ]
    return [time, *channels]


def _with_care(
    source: Path | bytes, layout: _Layout, wanted: dict[str, str], columns: Columns
) -> pl.DataFrame:
    """Read text and turn it into numbers, forgiving spaces and signs for "no value".

    Raises:
        Unreadable: a value is text, with row, channel and text of the first in each channel.
    """
    text = (
        pl.scan_csv(
            source,
            separator=layout.separator,
            infer_schema=False,
            null_values=MISSING,
            glob=False,
            encoding="utf8-lossy",
            truncate_ragged_lines=True,  # what is cut off was seen to be empty
        )
        .select(pl.col(column).str.strip_chars().alias(name) for name, column in wanted.items())
        .select(pl.all().replace([*MISSING, ""], None))
        .collect()
    )
    numbers = text.cast(pl.Float64, strict=False)
    exact = text[TIME].cast(_time_kinds(layout, columns)[0], strict=False)
    if exact.null_count() == text[TIME].null_count():
        numbers = numbers.with_columns(exact)
    reasons = [found for name in wanted if (found := _text_in(name, text[name], numbers[name]))]
    if reasons:
        raise Unreadable(*reasons)
    return numbers


def _text_in(name: str, text: pl.Series, numbers: pl.Series) -> Reason | None:
    bad = (text.is_not_null() & numbers.is_null()).arg_true()
    if not len(bad):
        return None
    more = f" and {len(bad) - 1} more rows" if len(bad) > 1 else ""
    return reason(
        "number",
        f"row {bad[0] + 1}{more}",
        f"the text {text[bad[0]]!r}",
        channel=None if name == TIME else name,
        expected="a number, or nothing for a missing value",
        fix="correct the row, or name another column",
    )


def _rows(source: Path | bytes, separator: str) -> Iterator[list[str]]:
    file = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
    with io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="") as text:
        yield from csv.reader(text, delimiter=separator)


def _refuse_long_rows(source: Path | bytes, layout: _Layout) -> None:
    """Refuse a row with more fields than the header; empty ones (a trailing comma) are fine."""
    rows, width = _rows(source, layout.separator), len(layout.names)
    next((row for row in rows if row), None)  # the header
    for number, row in enumerate(rows, start=1):
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


def _recognises(head: bytes) -> bool:
    """Tell text with a line of several fields from anything else."""
    if b"\0" in head:
        return False
    line = head.removeprefix(BOM).lstrip().split(b"\n", 1)[0]
    return any(separator in line for separator in (b",", b";", b"\t"))


READERS.register("csv")(Reader((".csv",), _recognises, read))
