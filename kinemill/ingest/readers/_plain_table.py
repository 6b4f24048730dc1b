"""Text tables that are rewritten: without a header, aligned by spaces, in UTF-16, or with CR alone.

`save -ascii` of MATLAB, `savetxt` of NumPy and older data sets write plain tables, that is numbers
without a header, or columns aligned by spaces. Such a table is converted to CSV text with tabs
between its fields. Without a header, its columns are `column_1`, `column_2` and so on. A table with
remarks of a logger under its header is converted too; the remarks are left out.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import islice, pairwise
from pathlib import Path

import polars as pl

from kinemill.ingest.file_stat import StatKey, stat_key
from kinemill.ingest.name_heuristics import is_stamp, plain_letters, split_words
from kinemill.ingest.raw import Unreadable, elements
from kinemill.ingest.readers._csv_layout import (
    BOM,
    COLUMN,
    COMMENTS,
    PREAMBLE,
    SEPARATORS,
    UTF16,
    are_units,
    as_utf8,
    decode,
    find_separator,
    has_controls,
    header_line,
    header_names,
    is_binary,
    is_content,
    is_row,
    is_value,
    split,
    whole_file,
    with_newlines,
    without_damage,
)
from kinemill.ingest.readers._header_block import CLOCK, names_and_units, stated_rate
from kinemill.ingest.readers._limits import check_lines
from kinemill.ingest.terms import word_set
from kinemill.ingest.text_values import is_date, parse_dates, plain_digits

BLOCK = 1 << 20  # bytes
HEAD = 1 << 16  # bytes that show whether a table is plain
ROWS = 3  # lines under the first one that show the columns
# A cell that begins as a list: `"[0.1, 0.2]"`, `{1;2}`, `array([1, 2])`, `Vector3(x=1, y=2)`.
_LIST = re.compile(
    rb"[\",;\t|]\s*(?:[A-Za-z_]\w*(?=\())?[\[({]+\s*(?:np\.\w+\(|\w+=|'\w+': |\"+\w+\"+: ?)?"
    rb"(?:[-+.]?\d|nan|\])"
)
# Rows of the monitor and the plotter of Arduino: `12:00:00.010 -> angle:0.3,torque:1`.
_ARROW = re.compile(rb"^(\d\d:\d\d:\d\d\.\d{3}) -> ", re.MULTILINE)
_LABEL = re.compile(rb"([A-Za-z_][\w ]*)[:=][ ]*(?=[-+.\d])")
_LABELED = re.compile(
    rb"^(?:\d\d:\d\d:\d\d\.\d{3}[,\t])?(?:[A-Za-z_]\w*[:=] ?[-+.\d][-+.\deE]*[,;\t ]*)+$",
    re.MULTILINE,
)
_ELEMENT = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)"
_NUMBER = re.compile(_ELEMENT)
_KINDS = r",?\s*(dtype=[\w.]+|device='[^']*')|np\.float\d+"
_WORDS = r"[A-Za-z_]\w*\(|[\"']?[A-Za-z]\w*[\"']?\s*[:=]"
_POINT = r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?"  # groups of digits have none
_CELL = re.compile(
    rf"[\[({{<]+\s*{_ELEMENT}([\s,;\[\](){{}}]+{_ELEMENT})+[\s,\])}}>]*|{_POINT}(\s*[\s,;|:/]\s*{_POINT})+"
)
_COMMAS = r"\d,\d{3,}\s*;"  # of decimals, in `[0,3000; 0,1500]`
# Names of columns that hold parts of a date, without accents.
_DATE_PARTS = {
    part: word_set(words)
    for part, words in {
        "year": "year yyyy jahr annee ano anno jaar rok ar 年",
        "month": "month mon monat mois mes mese maand miesiac manad 月",
        "day": "day tag jour dia giorno dag dzien 日",
        "hour": "hour hours hr hh h stunde heure hora ora uur godzina timme 时 時",
        "minute": "minute minutes min mm m minuto minuut minuta minut 分",
        "second": "second seconds sec ss s sekunde seconde segundo secondo sekunda sekund 秒",
        "millisecond": "millisecond milliseconds millis millitm msec ms millisekunde "
        "millisekunden milliseconde milisegundo millisecondo milisekunda 毫秒",
        "microsecond": "microsecond microseconds micros usec us mikrosekunde",
    }.items()
}
_DIGITS = {"millisecond": 3, "microsecond": 6}  # of the parts of a second
_FRACTION = re.compile(r"\d:\d\d:\d\d[.,:;]\d")  # a date with parts of a second
_WORD = re.compile(r"[^\W\d_]{2}")
_SEPARATORS = (b";", b"\t", b",", b"|", None)  # None: spaces


@dataclass(frozen=True)
class _Plain:
    """Layout of a plain table.

    Attributes:
        names: names of its columns.
        separator: separator of its fields; None: one space or more.
        above: lines above its rows, without comments and blank ones: a title, the names, remarks.
        remarks: whether a logger writes remarks between the rows, such as `INFO  log closed`.
        units: units of its columns, if several lines above its rows state names and units.
    """

    names: list[str]
    separator: bytes | None
    above: int = 0
    remarks: bool = False
    units: list[str] = field(default_factory=list[str])

    def text(self, content: bytes) -> bytes:
        """Return the content of a file as CSV text, without comments and blank lines."""
        text = io.BytesIO()
        separator = self.separator if self.units and self.separator else b"\t"
        header = io.StringIO()
        writer = csv.writer(header, delimiter=separator.decode(), lineterminator="\n")
        writer.writerow(self.names)
        if any(self.units):
            writer.writerow(self.units)
        text.write(header.getvalue().rstrip("\n").encode())
        # A list of all lines would take fifty bytes for each.
        source = io.BytesIO(content.removeprefix(BOM))
        lines = (line for line in source if is_content(line))
        if self.units and self.separator:  # rows keep their spelling
            *_, first = islice(lines, self.above + 1)
            return text.getvalue() + b"\n" + first + source.read()
        for line in islice(lines, self.above, None):
            if not (self.remarks and self._is_remark(line)):
                text.write(b"\n" + self._row(line))
        if not content[content.rfind(b"\n") + 1 :].strip():
            text.write(b"\n")
        return text.getvalue()

    def _is_remark(self, line: bytes) -> bool:
        """Return whether a line has few fields, and no value; half a row has values."""
        fields = line.split(self.separator)
        is_short = 2 * len(fields) <= len(self.names)
        return is_short and not any(is_value(decode(field).strip()) for field in fields)

    def _row(self, line: bytes) -> bytes:
        return b"\t".join(field.strip() for field in line.strip(b" \r\n").split(self.separator))


def source_of(path: Path) -> Path | bytes:
    """Return the path of a CSV file, or the content of another table as CSV text, UTF-8 with LF.

    Raises:
        Unreadable: It is not valid UTF-16, as its first bytes state, or a line is too long.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        check_lines(path, _header_at(head))
        is_utf16 = head.startswith(UTF16)
        has_newlines = b"\n" in head or b"\r" not in head
        is_damaged = _has_controls(path)
        converters = [*_converters_of(as_utf8(head))]
        if not is_utf16 and _is_latin(head):
            converters.insert(0, lambda content: decode(content).encode())
        if not (converters or is_damaged or is_utf16) and has_newlines:
            return path
        content = head + file.read()
    if is_utf16:
        try:
            content = content[: len(content) // 2 * 2].decode("utf-16").encode()
        except UnicodeDecodeError as error:
            problem = f"is not text in UTF-16 ({error})"
            raise Unreadable(whole_file(problem, "text", "save it again")) from error
        converters = _converters(with_newlines(content[:HEAD]))
    elif is_damaged:
        content, _ = without_damage(content)
    content = with_newlines(content)
    for convert in converters:
        content = convert(content)
    return content


def _is_latin(head: bytes) -> bool:
    """Return whether the first bytes of a text are not UTF-8, but Windows-1252."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start < len(head) - 4 and not is_binary(head)  # else a character is cut
    return False


@lru_cache(4)  # a draft reads the head of a log several times
def _converters_of(head: bytes) -> tuple[Callable[[bytes], bytes], ...]:
    return tuple(_converters(head))


def _converters(head: bytes) -> list[Callable[[bytes], bytes]]:
    """Return what turns a text that begins with `head` into CSV text, one after another."""
    converters = list[Callable[[bytes], bytes]]()
    if (joined := _with_header_line(head)) != head:
        converters.append(_with_header_line)
        head = joined
    is_monitor = _ARROW.search(head) is not None
    labels = Counter(tuple(_LABEL.findall(line)) for line in _LABELED.findall(head))
    if is_monitor or max(labels.values(), default=0) > ROWS:  # settings have each label once
        converters.append(_without_labels)
        head = _without_labels(head)
    if (layout := _layout_of(head)) is not None:
        converters.append(layout.text)
        head = layout.text(head)
    names, cells = _top_of(head)
    if _LIST.search(head) or any(_CELL.fullmatch(re.sub(_WORDS, "(", cell)) for cell in cells):
        converters.append(_with_elements)
    elif _clock_columns(names, cells):
        converters.append(_on_shared_clock)
    elif _date_columns(names, cells):
        converters.append(_with_dates)
    return converters


def _top_of(head: bytes) -> tuple[list[str], list[str]]:
    """Return the names of a header, and the cells of the first row under it; none without one."""
    head = head.removeprefix(BOM)
    try:
        header, *below = (line.strip(b"\r") for line in head.split(b"\n")[header_line(head) :])
        row = next(filter(is_content, below), b"")
        separator = find_separator(header, row)
        cells = split(decode(row), separator)
        return [n.strip() for n in header_names(header, separator)], [c.strip() for c in cells]
    except Unreadable:
        return [], []


def _with_header_line(content: bytes) -> bytes:
    """Return a table whose header has spaces in place of line breaks inside quotes."""
    lines = content.split(b"\n", PREAMBLE)
    at = next((at for at, line in enumerate(lines[:-1]) if line.count(b'"') % 2), len(lines))
    joined = b" ".join(line.strip(b"\r") for line in lines[at : at + 1])
    end = at + 1
    while joined.count(b'"') % 2 and end < len(lines) - 1:
        joined += b" " + lines[end].strip(b"\r")
        end += 1
    is_header = end < len(lines) - 1 and lines[end].count(b'"') % 2 == 0
    if is_header and is_row(lines[end].strip(b"\r"), joined):
        return b"\n".join([*lines[:at], joined, *lines[end:]])
    return content


def _without_labels(content: bytes) -> bytes:
    """Return rows such as `12:00:00.010 -> angle:0.3,torque:1` as a header and fields.

    The monitor of Arduino writes the time and an arrow, its plotter reads the labels.
    """
    content = with_newlines(content.replace(b"\r\n", b"\n"))
    has_arrows = _ARROW.search(content) is not None
    sample = content[content.find(b"\n") :][:HEAD]
    separator = next((sign for sign in (b"\t", b",") if sign in sample), b" ")
    content = _ARROW.sub(rb"\1" + separator, content)
    labeled = _LABELED.search(content)
    if labeled is None:
        first, _, rest = content.partition(b"\n")
        _, _, names = first.partition(separator)
        is_header = not is_value(decode(names.split(separator)[0]).strip())
        return CLOCK.encode() + separator + names + b"\n" + rest if is_header else content
    names = [name.strip() for name in _LABEL.findall(labeled[0])]
    start = content.rfind(b"\n", 0, labeled.start()) + 1
    header = separator.join([*([CLOCK.encode()] if has_arrows else []), *names])
    return header + b"\n" + _LABEL.sub(b"", content[start:])


def _clock_columns(names: list[str], cells: list[str]) -> list[int]:
    """Return the columns of clocks that start groups of columns, from the first; [] if one does.

    Each second column is a clock, or some repeat the name of the first, as `time_1` that of `time`,
    and its first cell, apart from zeros at its end.
    """
    clocks = [at for at, n in enumerate(names) if CLOCK in split_words(n) or is_stamp(n)]
    if len(names) > 3 and clocks == [*range(0, len(names), 2)] and len(names) % 2 == 0:
        return clocks
    plain = [re.sub(r"[\W_]*\d*[\W_]*$", "", name).lower() for name in names]
    starts = [cell.rstrip("0.,") for cell in cells]
    clocks = [at for at in clocks if plain[at] == plain[0] and starts[at : at + 1] == starts[:1]]
    is_grouped = len(clocks) > 1 and clocks[0] == 0 and all(b - a > 1 for a, b in pairwise(clocks))
    return clocks if is_grouped and clocks[-1] < len(names) - 1 else []


def _on_shared_clock(content: bytes) -> bytes:
    """Return a table of groups of clock and values as one with the first clock for all values.

    Cells are empty where a value has no sample at the time of another one.
    """
    frame = _as_text(content)
    names = [name.strip() for name in frame.columns]
    starts = _clock_columns(*_top_of(content[:HEAD]))
    clocks = frame[:, starts]
    first = clocks[:, 0]
    if all(first.equals(clock) for clock in clocks):
        shared = frame.drop(clocks.columns[1:])
    else:
        groups = [frame[:, start:end] for start, end in pairwise([*starts, frame.width])]
        groups = [
            group.filter(~pl.all_horizontal(pl.nth(range(1, group.width)).is_null()))
            .rename({group.columns[0]: names[0]})
            .drop_nulls(names[0])
            for group in groups
        ]
        shared = reduce(
            lambda table, group: table.join(group, names[0], "full", coalesce=True), groups
        )
        is_dated = is_date(shared[names[0]][0])
        order = (
            parse_dates(shared[names[0]])
            if is_dated
            else plain_digits(shared[names[0]], decimal_comma=True).cast(pl.Float64, strict=False)
        )
        shared = shared[order.arg_sort()]
    return shared.write_csv(separator=";").encode()


def _date_columns(names: list[str], cells: list[str]) -> dict[str, str]:
    """Return the columns of the parts of a date by part; empty if one column holds whole dates.

    These are hours, minutes and seconds, or dates in whole seconds next to parts of a second.
    """
    parts = {
        part: name
        for name in names
        for part, words in _DATE_PARTS.items()
        if plain_letters(name).lower() in words
    }
    if {"hour", "minute", "second"} <= parts.keys():
        return parts
    pairs = zip(names, cells, strict=False)
    date = next((n for n, cell in pairs if is_date(cell) and not _FRACTION.search(cell)), None)
    rest = next((part for part in _DIGITS if part in parts), None)
    return {} if date is None or rest is None else {"date": date, rest: parts[rest]}


def _with_dates(content: bytes) -> bytes:
    """Return a table whose columns of parts of a date are one column of dates."""
    columns = _date_columns(*_top_of(content[:HEAD]))
    frame = _as_text(content)
    frame = frame.rename({name: name.strip() for name in frame.columns})
    parts = {part: pl.col(name).str.strip_chars() for part, name in columns.items()}
    rest = next((part for part in _DIGITS if part in parts), None)
    fraction = pl.lit(None) if rest is None else parts[rest].str.zfill(_DIGITS[rest])
    if "date" in parts and rest is not None:
        if frame.select(parts[rest].str.len_chars().max()).item() != _DIGITS[rest]:
            return content
        stamp = parts["date"]
    else:
        second = parts["second"].str.replace(",", ".", literal=True)
        stamp = pl.concat_str(parts["hour"], parts["minute"].str.zfill(2), separator=":")
        stamp = pl.concat_str(stamp, second.str.replace(r"^(\d)(\.|$)", "0$1$2"), separator=":")
        days = [parts[part].str.zfill(2) for part in ("year", "month", "day") if part in parts]
        day = pl.concat_str(days, separator="-") if len(days) == 3 else None
        stamp = stamp if day is None else pl.concat_str(day, stamp, separator=" ")
    stamp = pl.when(fraction.is_null()).then(stamp).otherwise(stamp + "." + fraction)
    others = [name for name in frame.columns if name not in columns.values()]
    frame = frame.select(stamp.alias(columns.get("date", CLOCK)), *others)
    return frame.write_csv(separator=";").encode()


def count_damaged(path: Path) -> int:
    """Return how many lines of a text hold bytes that no text has; 0 in other files."""
    return without_damage(path.read_bytes())[1] if _has_controls(path) else 0


def _has_controls(path: Path) -> bool:
    """Return whether a text holds bytes that no text has, as a loss of power leaves them."""
    return _holds_controls(path, stat_key(path.stat()))


@lru_cache(64)
def _holds_controls(path: Path, identity: StatKey) -> bool:
    del identity  # of the content
    with path.open("rb") as file:
        head = file.read(HEAD)
        if is_binary(head) or head.startswith(UTF16):
            return False
        file.seek(0)
        # In blocks: pages of a mapped file would count as memory of the process.
        return any(has_controls(block) for block in iter(lambda: file.read(BLOCK), b""))


def _with_elements(content: bytes) -> bytes:
    """Return a table whose cells with lists of numbers are columns, one for each element.

    `"[0.1, 0.2]"` and `"[0.1 0.2]"` are what pandas and NumPy write. Cells with another number of
    elements than the first filled one are empty.
    """
    frame = _as_text(content)
    columns = list[pl.Series]()
    for column in frame:
        cells = column.str.strip_chars().str.replace_all(_KINDS, "").str.replace_all(_WORDS, "(")
        if cells.str.contains(_COMMAS).any() and not cells.str.contains(".", literal=True).any():
            cells = cells.str.replace_all(",", ".", literal=True)
        first = cells.filter(cells.str.len_chars() > 2).head(1).to_list()  # [] is empty
        if not first or not _CELL.fullmatch(first[0]):
            columns.append(column)
            continue
        lists = cells.str.extract_all(_ELEMENT)
        width = len(_NUMBER.findall(first[0]))
        lists = pl.select(pl.when(lists.list.len() == width).then(lists)).to_series()
        columns += [
            lists.list.get(index, null_on_oob=True).alias(name)
            for index, name in enumerate(elements(column.name.strip(), width))
        ]
    return pl.DataFrame(columns).write_csv().encode()


def _as_text(content: bytes) -> pl.DataFrame:
    """Return the columns of a table (n, columns) as its cells spell them."""
    lines = content.split(b"\n", PREAMBLE)
    header = header_line(content)
    return pl.read_csv(
        content,
        separator=find_separator(lines[header], lines[header + 1]),
        skip_lines=header,
        infer_schema=False,
        truncate_ragged_lines=True,
        encoding="utf8-lossy",
        glob=False,
    )


def _header_at(head: bytes) -> int | None:
    """Return the number of bytes above the header of a CSV file; None if quotes mean nothing."""
    if head.startswith(UTF16):
        return None
    try:
        header = header_line(head.removeprefix(BOM))
    except Unreadable:
        return None  # `inspect` raises the same error
    return sum(len(line) + 1 for line in head.split(b"\n")[:header])


def is_plain(head: bytes) -> bool:
    """Return whether a file begins with rows of numbers without a CSV header."""
    head = as_utf8(head)
    return b"\0" not in head and (
        _layout_of(head) is not None or _without_labels in _converters(head)
    )


def _layout_of(head: bytes) -> _Plain | None:
    lines = head.removeprefix(BOM).split(b"\n")[:PREAMBLE]
    lines = lines[:-1] if len(lines) < PREAMBLE and len(head) == HEAD else lines
    content = [line.strip(b" \r") for line in lines if is_content(line)]
    if _is_column(content[: ROWS + 1]):
        return _Plain([f"{COLUMN}1"], None)
    first = next((at for at in range(len(content)) if _separator_of(content[at:])), 0)
    separators = _separator_of(content[first:])
    if not separators or len(content) < ROWS:
        return None
    separator = separators[0]
    width = len(content[first].split(separator))
    if first:
        return _below_text(content[: first + ROWS], first, separator, width)
    comments = [line.strip(b" \r") for line in lines if line.startswith(COMMENTS)]
    if comments and separator is not None and len(comments[-1].split(separator)) == width:
        return None  # a header of CSV
    above = [_names(comment.lstrip(b"#%/ "), width) for comment in comments[-2:]]
    if separator is None and len(above) == 2 and above[0] and above[1] and are_units(above[1]):
        return _Plain(above[0], None, units=above[1])
    names = above[-1] if above and separator is None else None
    return _Plain(names or _numbered(width), separator)


def _separator_of(lines: Sequence[bytes]) -> list[bytes | None]:
    """Return the separators of the fields if the first lines are rows of numbers."""
    rows = lines[:ROWS]
    is_aligned = any(b" \t" in row or b"\t " in row for row in rows)
    n_texts = {
        separator: _count_texts(rows, separator)
        for separator in _SEPARATORS
        if len(rows) > 1 and not (separator == b"\t" and is_aligned)
    }
    least = min((n for n in n_texts.values() if n is not None), default=None)
    return [] if least is None else [separator for separator, n in n_texts.items() if n == least]


def _below_text(
    lines: Sequence[bytes], first: int, separator: bytes | None, width: int
) -> _Plain | None:
    """Return the layout of rows below names that are aligned by spaces, or below a title.

    Args:
        lines: all down to some rows.
        first: the first row.
        separator: separator of its fields.
        width: number of its fields.
    """
    if separator is not None and (block := names_and_units(*_cells(lines, first, separator))):
        return _Plain(block[0], separator, first, units=block[1])
    header = lines[first - 1]
    if 2 * len(header.split(separator)) <= width:
        names = None if separator is None else _names_above(lines[: first - 1], separator, width)
        return _Plain(names or _numbered(width), separator, first, remarks=names is not None)
    # One space between all fields is a separator of CSV.
    is_aligned = separator is None and any(b"  " in line or b"\t" in line for line in lines)
    units = decode(header).split()
    if is_aligned and first > 1 and are_units(units) and (names := _names(lines[first - 2], width)):
        return _Plain(names, separator, first, units=units)
    names = _names(header, width) if is_aligned else None
    return None if names is None else _Plain(names, separator, first)


def _cells(
    lines: Sequence[bytes], first: int, separator: bytes
) -> tuple[list[list[str]], list[str]]:
    """Return the cells of the lines above the row `first`, and those of the row."""
    *above, row = [
        [cell.strip() for cell in split(decode(line), separator.decode())]
        for line in lines[: first + 1]
    ]
    return above, row


def rate_above(head: bytes) -> float | None:
    """Return the rate, Hz, that the lines above a table state, or None."""
    above = decode(as_utf8(head)).split("\n")[:PREAMBLE]
    last = max((at for at, line in enumerate(above) if _WORD.search(line)), default=-1)
    lines = above[: last + 2]  # no rows
    return stated_rate([_split_remark(line.lstrip("#% ")) for line in lines])


def _split_remark(line: str) -> list[str]:
    """Return the cells of a line above a table; `Rate: 1,5 kHz` has a decimal comma."""
    sign = next((sign for sign in SEPARATORS[1:] if sign in line), ",")
    sign = r",\s" if sign == "," and re.search(r"=|:\s|：", line) else rf"[{sign}]"
    return re.split(rf"{sign}|=|:\s|：", line)


def _names_above(lines: Sequence[bytes], separator: bytes, width: int) -> list[str] | None:
    """Return the last line of different names; remarks of a logger may lie under it."""
    for line in reversed(lines):
        names = [decode(field).strip() for field in line.split(separator)]
        if len(set(names)) == width == len(names) and all(names) and not any(map(is_value, names)):
            return names
    return None


def _numbered(width: int) -> list[str]:
    return [f"{COLUMN}{number}" for number in range(1, width + 1)]


def _count_texts(lines: Sequence[bytes], separator: bytes | None) -> int | None:
    """Return how many columns of rows are texts, such as a mode; None if the lines are not rows.

    Rows hold as many fields each, at least two, and most of them values. A header has its names
    where rows have values.
    """
    rows = [[decode(field).strip() for field in line.split(separator)] for line in lines]
    if not rows[0][-1]:  # LabVIEW ends its first row with an empty comment
        rows = [[*row, ""] if len(row) == len(rows[0]) - 1 else row for row in rows]
    widths = {len(row) for row in rows}
    if len(widths) != 1 or widths <= {0, 1} or any(sum(map(bool, row)) < 2 for row in rows):
        return None
    columns = [{is_value(field) for field in column if field} for column in zip(*rows, strict=True)]
    n_texts = columns.count({False})
    n_values = columns.count({True})
    n_empty = columns.count(set())
    if n_texts + n_values + n_empty < len(columns) or n_texts >= n_values:
        return None
    if n_texts and len(rows) < ROWS:
        return None
    return n_texts


def _is_column(lines: Sequence[bytes]) -> bool:
    """Return whether each line is a number; one with a comma may be two numbers."""
    return len(lines) > ROWS and all(b"," not in line and is_value(decode(line)) for line in lines)


def _names(header: bytes, width: int) -> list[str] | None:
    """Return names of columns that spaces separate, or two spaces where a name has one itself."""
    text = decode(header)
    candidates = (text.split(), re.split(r"\s{2,}|\t", text))
    return next((names for names in candidates if len(names) == width), None)
