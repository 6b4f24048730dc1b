"""Text tables that are rewritten: without a header, aligned by spaces, in UTF-16, or with CR alone.

`save -ascii` of MATLAB, `savetxt` of NumPy and older data sets write plain tables, that is numbers
without a header, or columns aligned by spaces. Such a table is converted to CSV text with tabs
between its fields. Without a header, its columns are `column_1`, `column_2` and so on. A table with
remarks of a logger under its header is converted too; the remarks are left out.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from kinemill.ingest.raw import Unreadable, elements
from kinemill.ingest.readers._csv_layout import (
    BOM,
    COMMENT,
    PREAMBLE,
    UTF16,
    as_utf8,
    decode,
    find_separator,
    header_line,
    is_binary,
    is_content,
    is_value,
    whole_file,
    with_newlines,
    without_damage,
)
from kinemill.ingest.readers._limits import check_lines

BLOCK = 1 << 20  # bytes
HEAD = 1 << 16  # bytes that show whether a table is plain
ROWS = 3  # lines under the first one that show the columns
COLUMN = "column_"  # and its number: the name of a column without a header
_LIST = re.compile(rb"\"\s*(array\()?[\[(]+\s*[-+.\dn]")  # a quoted cell that begins as a list
_ELEMENT = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)"
_CELL = re.compile(
    rf"(array\()?[\[(]+\s*{_ELEMENT}([\s,;\[\]()]+{_ELEMENT})*[\s,\])]*(dtype=\w+\))?"
)
_SEPARATORS = (b";", b"\t", b",", None)  # None: spaces


@dataclass(frozen=True)
class _Plain:
    """Layout of a plain table.

    Attributes:
        names: names of its columns.
        separator: separator of its fields; None: one space or more.
        above: lines above its rows, without comments and blank ones: a title, the names, remarks.
        remarks: whether a logger writes remarks between the rows, such as `INFO  log closed`.
    """

    names: list[str]
    separator: bytes | None
    above: int = 0
    remarks: bool = False

    def text(self, content: bytes) -> bytes:
        """Return the content of a file as CSV text, without comments and blank lines."""
        text = io.BytesIO()
        text.write("\t".join(self.names).encode())
        # A list of all lines would take fifty bytes for each.
        lines = (line for line in io.BytesIO(content.removeprefix(BOM)) if is_content(line))
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
        has_newlines = b"\n" in head or b"\r" not in head
        plain = as_utf8(head)
        layout = _layout_of(plain)
        has_lists = bool(_LIST.search(plain))
        is_damaged = count_damaged(path) > 0
        if not (layout or has_lists or is_damaged) and has_newlines and not head.startswith(UTF16):
            return path
        content = head + file.read()
    if head.startswith(UTF16):
        try:
            content = content[: len(content) // 2 * 2].decode("utf-16").encode()
        except UnicodeDecodeError as error:
            problem = f"is not text in UTF-16 ({error})"
            raise Unreadable(whole_file(problem, "text", "save it again")) from error
        layout = _layout_of(with_newlines(content[:HEAD]))
    elif is_damaged:
        content, _ = without_damage(content)
    content = with_newlines(content)
    if layout is not None:
        return layout.text(content)
    return _with_elements(content) if has_lists else content


def count_damaged(path: Path) -> int:
    """Return how many lines of a text hold zeros that a loss of power left; 0 in other files."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        if is_binary(head) or head.startswith(UTF16):
            return 0
        file.seek(0)
        # In blocks: pages of a mapped file would count as memory of the process.
        if not any(b"\0" in block for block in iter(lambda: file.read(BLOCK), b"")):
            return 0
    return without_damage(path.read_bytes())[1]


def _with_elements(content: bytes) -> bytes:
    """Return a table whose cells with lists of numbers are columns, one for each element.

    `"[0.1, 0.2]"` and `"[0.1 0.2]"` are what pandas and NumPy write. Cells with another number of
    elements than the first one are empty.
    """
    lines = content.split(b"\n")
    header = header_line(content)
    frame = pl.read_csv(
        content,
        separator=find_separator(lines[header], lines[header + 1]),
        skip_lines=header,
        infer_schema=False,
        truncate_ragged_lines=True,
        encoding="utf8-lossy",
        glob=False,
    )
    columns = list[pl.Series]()
    for column in frame:
        cells = column.str.strip_chars()
        first = cells.drop_nulls().head(1).to_list()
        if not first or not _CELL.fullmatch(first[0]):
            columns.append(column)
            continue
        lists = cells.str.extract_all(_ELEMENT)
        width = len(lists.drop_nulls()[0])
        lists = pl.select(pl.when(lists.list.len() == width).then(lists)).to_series()
        columns += [
            lists.list.get(index, null_on_oob=True).alias(name)
            for index, name in enumerate(elements(column.name.strip(), width))
        ]
    return pl.DataFrame(columns).write_csv().encode()


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
    return b"\0" not in head and _layout_of(head) is not None


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
    comments = [line.strip(b" \r") for line in lines if line.startswith(COMMENT.encode())]
    if comments and separator is not None and len(comments[-1].split(separator)) == width:
        return None  # a header of CSV
    above = _names(comments[-1].lstrip(b"# "), width) if comments and separator is None else None
    return _Plain(above or _numbered(width), separator)


def _separator_of(lines: Sequence[bytes]) -> list[bytes | None]:
    """Return the separators of the fields if the first lines are rows of numbers."""
    rows = lines[:ROWS]
    n_texts = {
        separator: _count_texts(rows, separator) for separator in _SEPARATORS if len(rows) > 1
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
    header = lines[first - 1]
    if 2 * len(header.split(separator)) <= width:
        names = None if separator is None else _names_above(lines[: first - 1], separator, width)
        return _Plain(names or _numbered(width), separator, first, remarks=names is not None)
    # One space between all fields is a separator of CSV.
    is_aligned = separator is None and any(b"  " in line or b"\t" in line for line in lines)
    names = _names(header, width) if is_aligned else None
    return None if names is None else _Plain(names, separator, first)


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
    widths = {len(row) for row in rows}
    if len(widths) != 1 or widths <= {0, 1}:
        return None
    columns = [{is_value(field) for field in column} for column in zip(*rows, strict=True)]
    n_texts = columns.count({False})
    n_values = columns.count({True})
    if n_texts + n_values < len(columns) or n_texts >= n_values or (n_texts and len(rows) < ROWS):
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
