"""Global heaps of HDF5 files, where strings of any length lie: looked at before the library is.

The library (2.0) walks a heap by the sizes that its objects state, and a free block of size 0 keeps
it at the same place for ever; a huge one takes it out of the file. Format: HDF5 File Format
Specification 3.0, III.E.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

SIGNATURE = b"GCOL\x01\x00\x00\x00"  # with its version and three reserved bytes
HEADER = struct.Struct("<8sQ")  # signature, bytes of the whole heap
OBJECT = struct.Struct("<HHIQ")  # index (0: free space), references, reserved, bytes
LENGTHS = 8  # bytes of sizes and addresses that all writers use


def damaged_heap(path: Path) -> str | None:
    """Say which heap of a file, if any, the library could not walk to its end."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start in _starts(content):
            _, size = HEADER.unpack_from(content, start)
            # One that claims to go on beyond the file is refused by the library itself.
            if start + size <= len(content) and not _is_whole(content, start, start + size):
                return f"the heap of texts at byte {start} is damaged"
    return None


def _starts(content: mmap.mmap) -> Iterator[int]:
    start = content.find(SIGNATURE)
    while 0 <= start <= len(content) - HEADER.size:
        yield start
        start = content.find(SIGNATURE, start + 1)


def _is_whole(content: mmap.mmap, start: int, stop: int) -> bool:
    """Tell whether the objects of a heap follow each other up to its end."""
    offset = start + HEADER.size
    while offset + OBJECT.size <= stop:
        index, _, _, size = OBJECT.unpack_from(content, offset)
        used = size if index == 0 else OBJECT.size + (size + 7) // 8 * 8
        if used < OBJECT.size or offset + used > stop:
            return False
        offset += used
    return True
