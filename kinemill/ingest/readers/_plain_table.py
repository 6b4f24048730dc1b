"""Text tables that are rewritten: without a header, aligned by spaces, or in UTF-16.

`save -ascii` of MATLAB, `savetxt` of NumPy and older data sets write plain tables, that is numbers
without a header, or columns aligned by spaces. Such a table is read as the CSV text that it stands
for, with tabs between its fields. Without a header, its columns are `column_1`, `column_2` and so
on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers._csv_layout import (
    BOM,
    COMMENT,
    PREAMBLE,
    UTF16,
    as_utf8,
    decode,
    is_content,
    is_value,
    whole_file,
)

HEAD = 1 << 16  # bytes that show whether a table is plain
ROWS = 3  # lines under the first one that show the columns
_SEPARATORS = (b";", b"\t", b",", None)  # None: spaces


@dataclass(frozen=True)
class _Plain:
    """Layout of a plain table.

    Attributes:
        names: of its columns.
        separator: separator of its fields; None: one space or more.
        has_header: whether its first line holds names.
    """

    names: list[str]
    separator: bytes | None
    has_header: bool

    def text(self, content: bytes) -> bytes:
        """Return the content of a file as CSV text, without comments and blank lines."""
        lines = content.removeprefix(BOM).split(b"\n")
        rows = [self._row(line) for line in lines if is_content(line)]
        end = b"" if lines[-1].strip() else b"\n"
        header = "\t".join(self.names).encode()
        return b"\n".join([header, *(rows[1:] if self.has_header else rows)]) + end

    def _row(self, line: bytes) -> bytes:
        return b"\t".join(field.strip() for field in line.strip(b" \r").split(self.separator))


def source_of(path: Path) -> Path | bytes:
    """Return a text table, or the CSV text in UTF-8 that a plain one, or one in UTF-16, stands for.

    Raises:
        Unreadable: it is no valid UTF-16, as its first bytes state.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        layout = _layout_of(head)
        if layout is None and not head.startswith(UTF16):
            return path
        content = head + file.read()
    if head.startswith(UTF16):
        try:
            content = content[: len(content) // 2 * 2].decode("utf-16").encode()
        except UnicodeDecodeError as error:
            problem = f"is no text in UTF-16 ({error})"
            raise Unreadable(whole_file(problem, "text", "save it again")) from error
        layout = _layout_of(content[:HEAD])
    return content if layout is None else layout.text(content)


def is_plain(head: bytes) -> bool:
    """Return whether a file begins as a plain table does."""
    head = as_utf8(head)
    return b"\0" not in head and _layout_of(head) is not None


def _layout_of(head: bytes) -> _Plain | None:
    lines = head.removeprefix(BOM).split(b"\n")[:PREAMBLE]
    lines = lines[:-1] if len(lines) < PREAMBLE and len(head) == HEAD else lines
    content = [line.strip(b" \r") for line in lines if is_content(line)][: ROWS + 1]
    comments = [line.strip(b" \r") for line in lines if line.startswith(COMMENT.encode())]
    rows = content[1:]
    separators = [one for one in _SEPARATORS if _are_rows(rows, one)]
    if len(rows) < ROWS - 1 or not separators:
        return None
    separator = separators[0]
    width = len(rows[0].split(separator))
    if not _are_rows([content[0], rows[0]], separator):
        # One space between all fields is a separator of CSV.
        is_aligned = separator is None and any(b"  " in line or b"\t" in line for line in content)
        names = _names(content[0], width) if is_aligned else None
        return None if names is None else _Plain(names, separator, has_header=True)
    if comments and separator is not None and len(comments[-1].split(separator)) == width:
        return None  # a header of CSV
    above = _names(comments[-1].lstrip(b"# "), width) if comments and separator is None else None
    names = above or [f"column_{number}" for number in range(1, width + 1)]
    return _Plain(names, separator, has_header=False)


def _are_rows(lines: Sequence[bytes], separator: bytes | None) -> bool:
    """Return whether lines hold as many fields each, at least two, and all of them values."""
    rows = [[decode(field).strip() for field in line.split(separator)] for line in lines]
    widths = {len(row) for row in rows}
    if len(widths) != 1 or widths <= {0, 1}:
        return False
    return all(is_value(field) for row in rows for field in row)


def _names(header: bytes, width: int) -> list[str] | None:
    """Return names of columns that spaces separate, or two spaces where a name has one itself."""
    text = decode(header)
    candidates = (text.split(), re.split(r"\s{2,}|\t", text))
    return next((names for names in candidates if len(names) == width), None)
