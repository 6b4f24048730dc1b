"""Limits of text and compressed logs, checked before a parser takes memory or time for them.

A log of some kilobytes can unpack to gigabytes, and a parser takes a gigabyte for one cell, or
minutes for a million keys. Each limit is far above robot logs; sound logs of any size pass.
"""

import json
import re
from pathlib import Path
from typing import Any

from kinemill.ingest.raw import Reason, Unreadable, reason
from kinemill.ingest.readers._arrays import damaged_file

LONGEST_LINE = 16 << 20  # bytes of a line of text, or of a quoted field
UNPACKED = 64 << 20  # bytes that any compressed log may unpack to
RATIO = 100  # unpacked bytes per byte; CSV reaches 30, constant columns more
LARGEST_UNPACKED = 4 << 30  # bytes
MOST_KEYS = 10_000  # different keys of a JSON log
MOST_CELLS = 32 << 20  # rows times keys, or a cell for each _CELL bytes
_CELL = 4  # bytes; the text of a row with all keys takes more for each
LARGEST_JSON = 256 << 20  # bytes that a JSON document takes in memory, estimated
_BLOCK = 1 << 20
_KEY = re.compile(rb'"([^"]*)"\s*:')
_ROW = re.compile(rb"[\[,]\s*\{")  # a row of a JSON array
_QUOTE = b'"'


def unpacked_limit(size: int) -> int:
    """Return how many bytes a compressed log of `size` bytes may unpack to."""
    return min(max(UNPACKED, RATIO * size), LARGEST_UNPACKED)


def check_lines(path: Path) -> None:
    """Check that no line of a text, and no quoted field, is longer than `LONGEST_LINE`.

    Lines end in LF, or all in CR.

    Raises:
        Unreadable: One is longer.
    """
    offset = 0  # of the block
    start = 0  # of the line
    quote: int | None = None  # offset of the last quote, after which no other one came
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            newline = b"\n" if b"\n" in block else b"\r"
            first = block.find(newline)
            if offset + (first if first >= 0 else len(block)) - start > LONGEST_LINE:
                raise Unreadable(_too_long("a line", start))
            if first >= 0:
                start = offset + block.rfind(newline) + 1
            end = block.find(_QUOTE)
            gap_end = offset + (end if end >= 0 else len(block))
            if quote is not None and gap_end - quote > LONGEST_LINE:
                if _opens_field(path, quote):
                    raise Unreadable(_too_long("an open quote and a field", quote))
                quote = None
            if end >= 0:
                quote = offset + block.rfind(_QUOTE)
            offset += len(block)


def _opens_field(path: Path, quote: int) -> bool:
    """Return whether the quote at a byte of a text opens a field, rather than closes it."""
    before = max(0, quote - _BLOCK)
    with path.open("rb") as file:
        file.seek(before)
        line = re.split(rb"[\r\n]", file.read(quote - before))[-1]
    is_first = not line.strip() or line.endswith((b",", b";", b"\t", b"|"))
    return is_first and not line.startswith(b"#") and line.count(_QUOTE) % 2 == 0


def _too_long(what: str, start: int) -> Reason:
    return reason(
        "size",
        f"byte {start}",
        f"{what} of more than {LONGEST_LINE} bytes",
        expected="lines of rows; the longest of robot logs have some kilobytes",
        fix="repair the log: a quote is not closed, or newlines are missing",
    )


def check_keys(path: Path, *, is_array: bool) -> None:
    """Check that the rows of a JSON log have no more keys than a table has columns.

    Args:
        path: the log.
        is_array: whether it is one JSON array, rather than one row per line.

    Raises:
        Unreadable: They have more.
    """
    keys, n_rows, size = set[bytes](), 0, 0
    with path.open("rb") as file:
        # A block ends in a whole line, or in the middle of a row of an array.
        while block := file.read(_BLOCK) + (b"" if is_array else file.readline(LONGEST_LINE)):
            keys.update(_KEY.findall(block))
            n_rows += len(_ROW.findall(block)) if is_array else block.count(b"\n")
            size += len(block)
            if len(keys) > MOST_KEYS or len(keys) * n_rows > max(MOST_CELLS, size // _CELL):
                raise Unreadable(
                    reason(
                        "size",
                        f"byte {size}",
                        f"{len(keys)} different keys in {n_rows} rows",
                        expected=f"at most {MOST_KEYS} keys, which most rows have",
                        fix="write arrays instead of numbered keys, or one log for each topic",
                    )
                )


def parse_json(path: Path) -> Any:
    """Parse a JSON document.

    Raises:
        Unreadable: It is damaged, nested too deep, or would take too much memory.
    """
    size = path.stat().st_size
    if size > LARGEST_JSON:
        raise Unreadable(_too_large(size))
    content = path.read_bytes()
    # Bytes of memory in CPython: the text twice, numbers, texts, and empty lists and objects.
    estimate = size * (2 if content.isascii() else 5) + 32 * content.count(b",")
    estimate += 36 * content.count(_QUOTE) + 72 * (content.count(b"[") + content.count(b"{"))
    if estimate > LARGEST_JSON:
        raise Unreadable(_too_large(estimate))
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise damaged_file("JSON", error) from error


def _too_large(size: int) -> Reason:
    return reason(
        "size",
        "file",
        f"a JSON document that takes {size} bytes of memory",
        expected=f"at most {LARGEST_JSON}",
        fix="write one JSON object per line (.jsonl), or Parquet",
    )
