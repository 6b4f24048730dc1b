"""Limits of text and compressed logs, checked before a parser takes memory or time for them.

A log of some kilobytes can unpack to gigabytes, and a parser takes a gigabyte for one cell, or
minutes for a million keys. Each limit is far above robot logs; sound logs of any size pass.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.ingest.raw import Reason, Unreadable, reason
from kinemill.ingest.readers._arrays import damaged_file

LONGEST_LINE = 16 << 20  # bytes of a line of text
SMALL = 64 << 20  # bytes that any compressed log may unpack to
RATIO = 100  # unpacked bytes per byte; CSV reaches 30, constant columns more
LARGEST_UNPACKED = 4 << 30  # bytes
MOST_KEYS = 10_000  # different keys of a JSON log
MOST_CELLS = 32 << 20  # rows times keys, or a cell for each _CELL bytes
_CELL = 4  # bytes; the text of a row with all keys takes more for each
LARGEST_JSON = 320 << 20  # bytes that a JSON document takes in memory, estimated
_BLOCK = 1 << 20
_KEY = re.compile(rb'"([^"]*)"\s*:')
_ROW = re.compile(rb"[\[,]\s*\{")  # a row of a JSON array


def unpacked_limit(size: int) -> int:
    """Return how many bytes a compressed log of `size` bytes may unpack to."""
    return min(max(SMALL, RATIO * size), LARGEST_UNPACKED)


def check_lines(path: Path, table_at: int | None = None) -> None:
    """Check that no line of a text is longer than `LONGEST_LINE`.

    Lines end in LF, or all in CR.

    Args:
        path: the text.
        table_at: byte at which a table begins whose fields may be quoted; a quoted newline ends no
            row. None: quotes have no meaning.

    Raises:
        Unreadable: One is longer.
    """
    start = table_at or 0  # of the line
    is_open = False  # whether a quote is
    with path.open("rb") as file:
        offset = file.seek(start)
        while block := file.read(_BLOCK):
            first, last, ends_open = _line_ends(
                block, has_quotes=table_at is not None, is_open=is_open
            )
            if offset + (first if first >= 0 else len(block)) - start > LONGEST_LINE:
                raise Unreadable(_too_long(start, is_open=is_open))
            if last >= 0:
                start = offset + last + 1
            is_open = ends_open
            offset += len(block)


def _line_ends(block: bytes, *, has_quotes: bool, is_open: bool) -> tuple[int, int, bool]:
    """Return the positions of the first and the last newline outside of quotes, or -1.

    The third value is whether a quote is open at the end, as `is_open` is at the start.
    """
    newline = b"\n" if b"\n" in block else b"\r"
    if not has_quotes or not (is_open or b'"' in block):
        return block.find(newline), block.rfind(newline), False
    codes = np.frombuffer(block, np.uint8)
    # An odd number of quotes came before; sums of bytes keep that when they overflow.
    n_quotes = np.cumsum(codes == ord('"'), dtype=np.uint8) + np.uint8(is_open)
    ends = np.flatnonzero((codes == ord(newline)) & (n_quotes % 2 == 0))
    first, last = (int(ends[0]), int(ends[-1])) if len(ends) else (-1, -1)
    return first, last, bool(n_quotes[-1] % 2)


def _too_long(start: int, *, is_open: bool) -> Reason:
    what = "a line with an open quote" if is_open else "a line"
    return reason(
        "size",
        f"byte {start}",
        f"{what} of more than {LONGEST_LINE} bytes",
        expected="lines of some kilobytes",
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
    keys = set[bytes]()
    n_rows = 0
    size = 0
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
    if 2 * size > LARGEST_JSON:
        raise Unreadable(_too_large(2 * size))
    content = path.read_bytes()
    # Bytes of memory in CPython: the text twice, numbers, texts, and empty lists and objects.
    estimate = size * (2 if content.isascii() else 5) + 32 * content.count(b",")
    estimate += 36 * content.count(b'"') + 72 * (content.count(b"[") + content.count(b"{"))
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
