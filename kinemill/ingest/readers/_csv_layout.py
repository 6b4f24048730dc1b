"""Layout of a CSV file: separator, header and edges, which are needed to read its rows."""

import csv
import io
import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kinemill.ingest.raw import Reason, Unreadable, reason, unique_names
from kinemill.ingest.text_values import MISSING, is_date
from kinemill.task.units import read_unit

LONGEST_LINE = 1 << 18  # bytes, enough for ten thousand columns
BOM = b"\xef\xbb\xbf"
SEPARATORS = (",", ";", "\t", "|")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
COMMENT = "#"
COMMENTS = (b"#", b"%", b"//")  # above a table, as NumPy, MATLAB and C++ programs write them
NO_ROWS = "record the log again, or leave it out at `ingest.exclude`"
PREAMBLE = 200  # lines above a header, in which an instrument describes its recording
EXACT_DIGITS = 15  # digits of integers that float64 holds exactly; epoch ns have 19

INDEX = "index"  # name that pandas gives to the index of its rows, if it writes none
COLUMN = "column_"  # and its number: the name of a column that has none
ROW = ""  # the name of a column of row numbers: it is left out
SHORT_HEADER = "the header has a name less than the rows have values: the first value is no column"
MOST_DAMAGED = 0.1  # share of the lines of a text that hold controls
MOST_ZEROS = 128  # bytes of damage in front of a header
_CONTROLS = bytes({*range(9), *range(14, 32)} - {26, 27})  # that no text has
_NUMBER = re.compile(
    r"['(]?[+−–-]?(\d+[.,]?\d*|[.,]\d+)([eEdD][+-]?\d+)?[-')]?|nan|[+-]?inf", re.IGNORECASE
)
_YAML = re.compile(rb"\s*[\w-]+:\s*[\[{]")  # a list or mapping in a line, as in settings of a robot
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")  # digits in groups of three
GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")  # the same, surely no decimal comma in front
_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_WITH_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
# The same without doubt, in a row: 0,125 or 1,5, but not 1,234.
_SURE_COMMA = re.compile(
    rb"(?m)(?:^|[;\t| \"])[+-]?(?:0?,\d+|\d{4,},\d+|\d+,(?:\d\d?|\d{4,}))(?=[;\t| \"\r\n])"
)
_RULED = re.compile(rb"[-=+|:\s]*(--|==)[-=+|:\s]*")  # a line under a header
ENCODED_LINES = 200  # with other letters than ASCII, which show the encoding
_LATIN = r"(?<![^\x00-\x7f])[À-ÖØ-öø-ž°µ²³·–—±€«»“”„’Ω‰]{1,2}(?![^\x00-\x7f])"
# Encodings of spreadsheets, the first of equally likely ones, and what their texts hold.
_ENCODINGS = {
    "cp1252": _LATIN,
    "cp1250": _LATIN,
    "cp1251": "[А-яЁёІіЇїЄє№°µ²³·–±]+",
    "euc_kr": "[가-힣、-〟！-～°℃㎜·]+",
    "gb2312": "[一-鿿、-〟！-～°℃·・±²³]+",
    "cp932": "[぀-ヿ一-鿿、-〟！-～°℃㎜]+",
    "big5": "[一-鿿、-〟！-～°℃·±]+",
    "euc_jp": "[぀-ヿ一-鿿、-〟！-～°℃]+",
    "koi8_r": "[Ѐ-ӿ°·²]+",
    "cp866": "[Ѐ-ӿ№°·]+",
    "mac_roman": _LATIN,
}
# Letters that are odd next to each other: of two alphabets, around signs, a capital after others.
_MIXED = re.compile(
    "[A-Za-z][Ѐ-ӿぁ-ヺ㐀-鿿가-힣]|[Ѐ-ӿぁ-ヺ㐀-鿿가-힣][A-Za-z]|[а-я][А-Я]|[А-я][±№°µ][А-я]"
    "|[a-zà-ÿ][À-ÖØ-ÞĄĆĘŁŃŒŚŠŸŹŻŽ]"
)


@dataclass(frozen=True)
class Layout:
    """Header, first row and last row of a file.

    Attributes:
        names: names of the header, without spaces and quotes; a repeated one is numbered.
        separator: separator of the fields.
        header_line: number of lines before the header.
        start: number of bytes before the first line under the header.
        first_row: first row, without its newline.
        last_row: last line, without its newline.
        cut: whether the file does not end in a newline.
        blank_end: number of blank lines at the end.
        decimal_comma: whether numbers are written as 1,5; None: the digits of each column show it.
        comments: whether lines under the header start with #, or one holds the units.
        units: units of the columns in the line under the header, by name.
        remarks: what a reader of the draft has to know.
    """

    names: list[str]
    separator: str
    header_line: int
    start: int
    first_row: bytes
    last_row: bytes
    cut: bool
    blank_end: int
    decimal_comma: bool | None
    comments: bool
    units: dict[str, str] = field(default_factory=dict[str, str])
    remarks: tuple[str, ...] = ()

    def fields(self, line: bytes) -> list[str]:
        """Return the fields of one line.

        Raises:
            Unreadable: The line contains a carriage return.
        """
        return split(decode(line), self.separator)

    def first(self, index: int) -> str:
        """Return a field of the first row; an empty one if the row is shorter."""
        fields = self.fields(self.first_row)
        return fields[index].strip() if index < len(fields) else ""

    @property
    def drop_last(self) -> bool:
        """Whether the last row may be half a row: `2,3.` would be read as 3.0."""
        if not self.last_row or self.last_row.startswith(COMMENT.encode()):
            return False
        named = max(index for index, name in enumerate(self.names) if name) + 1
        return self.cut or len(self.fields(self.last_row)) < named


def whole_file(problem: str, expected: str, fix: str) -> Reason:
    """Return a reason about the file as a whole."""
    return reason("format", "file", problem, expected=expected, fix=fix)


def decode(content: bytes) -> str:
    """Return a line, or a whole text, in UTF-8 or else in its most likely encoding."""
    encoding = encoding_of(content)
    # GBK has more signs, but would fit other texts as well.
    return content.decode("gbk" if encoding == "gb2312" else encoding, errors="replace")


def encoding_of(content: bytes) -> str:
    """Return the encoding of a text: UTF-8, or that in which the fewest letters are odd."""
    try:
        content.decode()
    except UnicodeDecodeError:
        lines = (line for line in content.split(b"\n") if not line.isascii())
        sample = b"\n".join(islice(lines, ENCODED_LINES))
        return min(_ENCODINGS, key=lambda encoding: _count_odd(sample, encoding))
    return "utf-8"


def _count_odd(sample: bytes, encoding: str) -> int:
    """Return how many characters no text in this encoding has in such a neighborhood."""
    text = sample.decode(encoding, errors="replace")
    usual = sum(map(len, re.findall(_ENCODINGS[encoding], text)))
    return sum(not letter.isascii() for letter in text) - usual + len(_MIXED.findall(text))


def as_utf8(head: bytes) -> bytes:
    """Return the first bytes of a text in UTF-8, with lines that end in LF or CRLF."""
    if head.startswith(UTF16):
        head = head.decode("utf-16", errors="ignore").encode()
    return with_newlines(head if is_binary(head) else without_damage(head)[0])


def with_newlines(content: bytes) -> bytes:
    """Return a text whose lines end in LF, if all of them end in CR alone."""
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def split(line: str, separator: str) -> list[str]:
    """Split one line into fields without quotes.

    Raises:
        Unreadable: It contains a carriage return, or a field is too long.
    """
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
    except csv.Error as error:
        cause = (
            "a carriage return in a field" if "new-line" in str(error) else "a field is too long"
        )
        problem = f"has a line that cannot be split: {cause}"
        raise Unreadable(whole_file(problem, "rows of separated fields", "repair it")) from error


def is_units_row(first: list[str], second: list[str]) -> bool:
    """Return whether the first line under a header holds no number, and the second one does."""

    def has_number(fields: list[str]) -> bool:
        return any(_NUMBER.fullmatch(field.strip()) or is_date(field.strip()) for field in fields)

    return any(cell.strip() for cell in first) and not has_number(first) and has_number(second)


def is_value(text: str) -> bool:
    """Return whether a field is a number, a date, or spelled as a missing value."""
    number = _NUMBER.fullmatch(text) or _GROUPED.fullmatch(text)
    return number is not None or text in MISSING or is_date(text)


def is_long_integer(text: str) -> bool:
    """Return whether a field is an integer that float64 would round, such as epoch nanoseconds."""
    return re.fullmatch(rf"[+-]?\d{{{EXACT_DIGITS + 1},}}", text) is not None


def open_source(source: Path | bytes) -> BinaryIO:
    """Return an open file, or a buffer of bytes in its place."""
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def inspect(source: Path | bytes) -> Layout:
    """Return the layout of a file, or of bytes in its place, from its first and last lines.

    Raises:
        Unreadable: The text has no header or no rows, or a line contains a carriage return.
    """
    with open_source(source) as file:
        head = file.read(LONGEST_LINE)
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - LONGEST_LINE))
        tail = file.read()
    lines = head.split(b"\n")
    header, header_line = _header(lines)
    start = sum(len(line) + 1 for line in lines[: header_line + 1])
    content = (line.strip(b"\r") for line in lines[header_line + 1 :] if is_content(line))
    rows = list(islice(content, 20))
    separator = find_separator(header, rows[0] if rows else b"")
    names = [name.strip() for name in header_names(header, separator)]
    cells = [[cell.strip() for cell in split(decode(row), separator)] for row in rows]
    below = lines[header_line + 1].strip() if header_line + 1 < len(lines) else b""
    units = dict(zip(names, _units_below(header, below), strict=False))
    if has_units := len(rows) > 1 and is_units_row(*cells[:2]):
        units = dict(zip(names, (cell.strip("()[]") for cell in cells[0]), strict=False))
        start = head.index(b"\n", head.index(rows.pop(0), start)) + 1
    if not rows:
        problem = "holds a header and no rows"
        raise Unreadable(whole_file(problem, "rows under it", NO_ROWS))
    numbered = _numbers_rows(cells[has_units:], len(names))
    if not names[0] and _is_index([row[0] for row in cells[has_units:] if row]):
        names[0] = INDEX
    for at, name in enumerate(names[1:], 1):
        if not name and any(cell for row in cells[has_units:] for cell in row[at : at + 1]):
            names[at] = f"{COLUMN}{at + 1}"
    end = tail.rstrip(b"\r\n")
    newlines = tail[len(end) :].count(b"\n")
    return Layout(
        unique_names([ROW, *names] if numbered else names),
        separator,
        header_line,
        start,
        rows[0],
        end.rsplit(b"\n", 1)[-1],
        newlines == 0,
        max(newlines - 1, 0),
        _has_decimal_comma(cells[has_units:], separator, head[start:] + tail),
        has_units
        or numbered
        or b"\n#" in tail
        or b"\n#" in head[start - 1 :]
        # A space separates the # from the first name, as if it were a name.
        or (separator == " " and header.startswith(COMMENT.encode())),
        units,
        (SHORT_HEADER,) if numbered else (),
    )


def _numbers_rows(cells: list[list[str]], width: int) -> bool:
    """Return whether rows have a field more than the header: their number or name, as R does."""
    names = [row[0] for row in cells if len(row) == width + 1 and row[-1]]
    if len(names) < len(cells) or len(cells) < 2:
        return False
    return _count_rows(names) or not any(map(is_value, names))


def _is_index(cells: list[str]) -> bool:
    """Return whether a column without a name holds values, and not the numbers of its rows."""
    return all(cell and is_value(cell) for cell in cells) and not _count_rows(cells)


def _count_rows(cells: list[str]) -> bool:
    """Return whether cells are whole numbers, each higher by 1 than the one before."""
    numbers = [int(cell) for cell in cells if cell.isdigit()]
    return len(numbers) == len(cells) and numbers == [*range(numbers[0], numbers[-1] + 1)]


def is_content(line: bytes) -> bool:
    """Return whether a line is neither blank nor a comment."""
    is_comment = line.startswith((*COMMENTS, b"sep="))  # Excel states its separator
    return bool(line.strip()) and not is_comment and not _RULED.fullmatch(line)


def _header(lines: list[bytes]) -> tuple[bytes, int]:
    """Return the header and its line number.

    It is the first line that is not a comment, or the last comment before it, if that first line
    has as many fields and most of them are numbers. If that line has no rows under it, but a later
    one has, the lines above that one describe the recording.
    """
    lines = [lines[0].removeprefix(BOM), *lines[1:]] if lines else []
    content = next((at for at, line in enumerate(lines) if is_content(line)), len(lines))
    comments = [at for at, line in enumerate(lines[:content]) if line.strip()]
    # A tab at the edge of a line separates a column without a name.
    text = lines[content].strip(b" \r\n") if content < len(lines) else b""
    if comments:
        comment = lines[comments[-1]].strip()
        if not text or is_row(text, comment):
            above = lines[comments[-2]].strip() if len(comments) > 1 else b""
            is_named = is_row(text, above) and bool(_units_below(above, comment))
            return (above, comments[-2]) if is_named else (comment, comments[-1])
    if not text:
        raise Unreadable(whole_file("is empty", "a header line and rows", NO_ROWS))
    if b"\r" in text:
        problem = "has lines that end in CR alone"
        raise Unreadable(whole_file(problem, "LF or CRLF", "convert it"))
    content = _below_preamble(lines, content)
    return lines[content].strip(b" \r\n"), content


@lru_cache(4)  # each kind of table asks for that of the same head
def header_line(head: bytes) -> int:
    """Return the number of lines above the header of a text.

    Raises:
        Unreadable: The text has none.
    """
    return _header(head.split(b"\n"))[1]


def _below_preamble(lines: list[bytes], first: int) -> int:
    """Return the line number of the first header with rows under it; `first` if none has any."""
    numbers = (at for at in range(first, min(len(lines), first + PREAMBLE)))
    candidates = [at for at in numbers if is_content(lines[at])]
    stripped = [lines[at].strip(b" \r\n") for at in candidates]
    try:
        for index, text in enumerate(stripped):
            below = stripped[index + 1 : index + 4]
            is_named = index == 0 or _are_names(header_names(text, find_separator(text, b"")))
            rows = [is_row(row, text) for row in below]
            # The line under a header may hold the units.
            if is_named and (rows[:2] in ([True], [True, True]) or rows[1:] == [True, True]):
                return candidates[index]
    except Unreadable:  # a quote without end
        return first
    return first


def _units_below(header: bytes, line: bytes) -> list[str]:
    """Return the units in a comment below a commented header; empty if it holds no units."""
    if not (header.startswith(COMMENTS) and line.startswith(COMMENTS)):
        return []
    separator = find_separator(header, line)
    cells = [cell.strip().strip("()[]") for cell in header_names(line, separator)]
    is_as_wide = len(cells) == len(header_names(header, separator))
    return cells if is_as_wide and are_units(cells) else []


def are_units(cells: list[str]) -> bool:
    """Return whether all of several cells, apart from empty ones, are units."""
    return len(cells) > 1 and any(cells) and all(read_unit(cell) for cell in cells if cell)


def _are_names(fields: list[str]) -> bool:
    """Return whether a line holds different names, and neither numbers nor missing values."""
    names = [field.strip() for field in fields]
    while names and not names[-1]:  # a separator at the end
        names.pop()
    return len(set(names)) > 1 and all(names) and not any(map(is_value, names))


def find_separator(header: bytes, row: bytes) -> str:
    """Return the separator: a space only without any other, if it makes as many names as fields.

    A sign that no row has is part of the names, such as the commas of `_elev,yoke1 | ailrn,yoke1`.
    """
    text = decode(header)
    fields = decode(row)
    signs = [sign for sign in SEPARATORS if sign in fields] or SEPARATORS
    # `Speed, m/s;Torque, Nm` above `1,5;2,5` has as many commas in both lines, and semicolons.
    separator = max(
        signs,
        key=lambda sign: (
            text.count(sign) == fields.count(sign) > 0 and sign != ",",
            text.count(sign),
        ),
    )
    width = len(header_names(header, " "))
    if separator in text or width == 1 or len(decode(row).split(" ")) - width not in {0, 1}:
        return separator
    return " "


def header_names(header: bytes, separator: str) -> list[str]:
    """Return the fields of a header, without a `#`, `%` or `//` at its start.

    Raises:
        Unreadable: The line contains a carriage return.
    """
    return split(re.sub(r"^(#+|%+|//)", "", decode(header)).strip(" "), separator)


def is_table(head: bytes) -> bool:
    """Return whether text begins with a header and a row of numbers, below units or not."""
    head = as_utf8(head)
    lines = head.split(b"\n")
    try:
        header, number = _header(lines)
        below = (line.strip(b"\r") for line in lines[number + 1 : -1] if is_content(line))
        row = next(below, b"")
        units = header_names(row, find_separator(header, row))
        if are_units([unit.strip("()[]") for unit in units]):
            row = next(below, b"")
        return b"\0" not in head and not _YAML.match(header) and is_row(row, header)
    except Unreadable:
        return False


def is_row(text: bytes, header: bytes) -> bool:
    """Return whether a line is a row under a header: as many fields, most of them numbers."""
    separator = find_separator(header, text)
    width = len(header_names(header, separator))
    fields = [field.strip() for field in split(decode(text), separator)]
    if len(fields) == width + 1 and fields[0].isdigit() and separator == " ":
        fields = fields[1:]  # the number of the row
    numbers = [field for field in fields if is_value(field) and field not in MISSING]
    return len(fields) == width > 1 and len(numbers) * 2 > width


def _has_decimal_comma(cells: list[list[str]], separator: str, text: bytes) -> bool | None:
    """Return whether numbers have a decimal comma: some do, and none has a decimal point.

    Between commas, a quoted 1,234 is a group of digits, unless others show decimal commas. None if
    all numbers with a comma in the first rows, and in `text`, could be either.
    """
    fields = [cell for row in cells for cell in row]
    is_number = [bool(_NUMBER.fullmatch(cell) or _GROUPED.fullmatch(cell)) for cell in fields]
    with_comma = [cell for cell in fields if _WITH_COMMA.fullmatch(cell)]
    points = [c for c, number in zip(fields, is_number, strict=True) if number and "." in c]
    are_groups = bool(with_comma) and separator != ","  # 1.234 next to 0,5
    if points and not (are_groups and all(map(_POINTS.fullmatch, points))):
        return False
    is_sure = any(not GROUPS.fullmatch(cell) for cell in with_comma)
    if is_sure or separator == ",":
        return is_sure
    return _SURE_COMMA.search(text) is not None or (None if b"," in text else False)


def is_binary(head: bytes) -> bool:
    """Return whether bytes hold no text; zeros and a few damaged lines in a text do not count."""
    if head.startswith(UTF16):
        return False
    first, *lines = head.split(b"\n")
    controls = _CONTROLS.replace(b"\0", b"")
    n_damaged = sum(_is_damaged(line, controls) for line in lines)
    zeros = first.count(b"\0")  # a tar file begins with many
    return (
        zeros > MOST_ZEROS
        or (zeros > 0 and not first.isascii())
        or _is_damaged(first, controls)
        or n_damaged > MOST_DAMAGED * len(lines)
    )


def has_controls(content: bytes) -> bool:
    """Return whether a text holds bytes that no text has."""
    codes = np.frombuffer(content, np.uint8)
    # Codes 0 to 8 and 14 to 31; smallest codes are found thirty times faster than bytes of a set.
    if not len(codes) or (codes.min() > 8 and (codes - np.uint8(14)).min() > 17):
        return False
    return _is_damaged(content)


def _is_damaged(line: bytes, controls: bytes = _CONTROLS) -> bool:
    return len(line.translate(None, controls)) < len(line)


def without_damage(content: bytes) -> tuple[bytes, int]:
    """Return a text without the lines that a power loss damaged, and their number.

    Zeros in most lines fill fields of a fixed length. The header is repaired.
    """
    if not has_controls(content):
        return content, 0
    lines = content.split(b"\n")
    if sum(b"\0" in line for line in lines) > 0.5 * len(lines):
        return content.replace(b"\0", b""), 0
    lines[0] = lines[0].replace(b"\0", b"")
    sound = [line for line in lines if not _is_damaged(line)]
    text = b"\n".join(sound)
    return (text if text.endswith(b"\n") else text + b"\n"), len(lines) - len(sound)
