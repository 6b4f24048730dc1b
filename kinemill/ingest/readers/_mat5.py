"""MATLAB files of versions 5 to 7: numeric arrays, and those in structs and cells.

A file is a header of 128 bytes and elements: a tag (type, bytes), then the content. An array is an
element of elements: flags, dimensions, name, values; or such an element compressed with zlib
(MathWorks, MAT-File Format). This is our own parser, because scipy's reader crashed on one of 70
files with a changed byte.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from kinemill.ingest.readers._arrays import Array, Values, unusable_array

HEADER = 128
HEAD = 4096  # bytes at the start of an array that hold everything except its values
MATRIX = 14
PACKED = 15  # types of elements
NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
CLASSES = {1: "cell array", 2: "struct", 3: "object", 4: "text", 5: "sparse matrix"}
_MANY = (1, 2)  # classes whose elements may be episodes
CELL = 1
STRUCT = 2  # classes
TEXT = 4
TEXT_MARK = "is a MATLAB text: "
DEEPEST = 8  # structs in structs
FIELDS = 4096  # of a struct
LARGEST = 1 << 30  # bytes of a struct that are unpacked
FIRST_NUMERIC = 6
LAST_NUMERIC = 15
COMPLEX = 0x0800


@dataclass(frozen=True)
class _Location:
    """Location of an array's values: `skip` bytes into the content of an element of the file."""

    path: Path
    start: int
    stored: int
    packed: bool
    skip: int
    size: int

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            if not self.packed:
                file.seek(self.start + self.skip)
                return file.read(self.size)
            file.seek(self.start)
            whole = zlib.decompressobj().decompress(file.read(self.stored), self.skip + self.size)
            return whole[self.skip :]

    def content(self) -> bytes:
        """Return the whole element, at most `LARGEST` bytes of it."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            stored = file.read(self.stored)
        return zlib.decompressobj().decompress(stored, LARGEST) if self.packed else stored


def arrays(path: Path) -> dict[str, Array]:
    """Return the arrays (N,), (N, C) or (...) of a file by name; `Array.load` reads their values.

    Raises:
        ValueError: The file has another layout, or is cut.
        zlib.error: compressed data is damaged.
    """
    with path.open("rb") as file:
        header = file.read(HEADER)
        order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
        if order is None:
            message = "no header of MATLAB 5 to 7; save it with `-v7` or `-v7.3`"
            raise ValueError(message)
        return dict(_elements(file, path, order))


def _elements(file: IO[bytes], path: Path, order: str) -> Iterator[tuple[str, Array]]:
    end = path.stat().st_size
    at = HEADER
    while at < end:
        file.seek(at)
        kind, stored = _unpack(f"{order}II", file.read(8), 0)
        at += 8 + stored
        if at > end:
            message = f"an element of {stored} bytes goes {at - end} beyond the end"
            raise ValueError(message)
        if kind not in (MATRIX, PACKED):
            continue
        head = file.read(min(stored, HEAD))
        if kind == PACKED:
            head = zlib.decompressobj().decompress(head, HEAD + 8)
            if _unpack(f"{order}I", head, 0) != (MATRIX,):
                continue
        location = _Location(path, at - stored, stored, kind == PACKED, 0, 0)
        start = 8 if location.packed else 0
        header = _header(head, start, order)
        yield header.name, _array(header, head, order, location)
        if header.number in _MANY and prod(header.shape) > 0:
            inside = _fields if header.number == STRUCT else _elements_of_cell
            yield from inside(header, location.content(), order, location)


@dataclass(frozen=True)
class _Header:
    """Flags, dimensions and name of an array, and the first byte after them."""

    flags: int
    shape: tuple[int, ...]
    name: str
    end: int

    @property
    def number(self) -> int:
        """Class of the array, such as a struct."""
        return self.flags & 0xFF

    @property
    def is_struct(self) -> bool:
        """Whether it is one struct, not an array of them."""
        return self.number == STRUCT and prod(self.shape) == 1


def _header(head: bytes, at: int, order: str) -> _Header:
    _, first, size = _tag(head, at, order)
    flags, _ = _unpack(f"{order}II", head, first)
    at = _next(first, size)
    _, first, size = _tag(head, at, order)
    shape = _unpack(f"{order}{size // 4}i", head, first)
    at = _next(first, size)
    _, first, size = _tag(head, at, order)
    return _Header(flags, shape, head[first : first + size].decode("ascii"), _next(first, size))


def _fields(
    struct_: _Header, content: bytes, order: str, location: _Location, depth: int = 0
) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of a struct as `name/field`, also those of structs in it.

    Those of element k of an array of structs, counted from 1, are `name(k)/field`.
    """
    _, first, size = _tag(content, struct_.end, order)
    (width,) = _unpack(f"{order}i", content, first)
    _, first, size = _tag(content, _next(first, size), order)
    if width <= 0:
        return
    stop = min(first + size, first + FIELDS * width)  # a damaged size may be large
    names = [content[at : at + width] for at in range(first, stop, width)]
    at = _next(first, size)
    count = prod(struct_.shape)
    for number, name in ((number, name) for number in range(1, count + 1) for name in names):
        kind, first, size = _tag(content, at, order)
        at = first + size
        if kind != MATRIX or size == 0 or at > len(content):
            continue
        header = _header(content, first, order)
        owner = struct_.name if count == 1 else f"{struct_.name}({number})"
        header = replace(header, name=f"{owner}/{name.split(bytes(1))[0].decode('ascii')}")
        yield header.name, _array(header, content, order, location)
        if header.number == STRUCT and depth < DEEPEST:
            yield from _fields(header, content, order, location, depth + 1)
        elif header.number == CELL and count == 1 and not header.name.startswith("("):
            yield from _elements_of_cell(header, content, order, location)


def _elements_of_cell(
    cell: _Header, content: bytes, order: str, location: _Location
) -> Iterator[tuple[str, Array]]:
    """Yield the numeric arrays and structs of a cell, element k, counted from 1, as `(k)/name`.

    So elements with the same number of several cells, such as inputs and outputs, are together.
    """
    at = cell.end
    for number in range(1, prod(cell.shape) + 1):
        kind, first, size = _tag(content, at, order)
        at = first + size
        if kind != MATRIX or size == 0 or at > len(content):
            continue
        header = replace(_header(content, first, order), name=f"({number})/{cell.name}")
        if header.number == TEXT or FIRST_NUMERIC <= header.number <= LAST_NUMERIC:
            yield header.name, _array(header, content, order, location)
        elif header.is_struct:
            yield from _fields(header, content, order, location)


def _array(header: _Header, head: bytes, order: str, location: _Location) -> Array:
    """Return an array with the location of its values."""
    if header.number in _MANY and prod(header.shape) > 1:
        kind = (
            f"is a MATLAB {CLASSES[header.number]} of {prod(header.shape)} elements, not one array"
        )
        return unusable_array(f"{kind}; save the numbers of each element to a separate file")
    if header.number == TEXT:
        return unusable_array(TEXT_MARK + _spelled(header, head, order))
    if not FIRST_NUMERIC <= header.number <= LAST_NUMERIC:
        return unusable_array(f"is a MATLAB {CLASSES.get(header.number, 'object')}, not an array")
    if header.flags & COMPLEX:
        return unusable_array("holds complex numbers")
    kind, first, size = _tag(head, header.end, order)
    dtype = np.dtype(order + NUMBERS[kind]) if kind in NUMBERS else None
    shape = header.shape
    if dtype is None or min(shape, default=-1) < 0 or prod(shape) * dtype.itemsize != size:
        return unusable_array(f"declares the shape {shape} for {size} bytes of type {kind}")
    return _numbers(shape, dtype, replace(location, skip=first, size=size))


def _spelled(header: _Header, head: bytes, order: str) -> str:
    """Return the rows of an array of characters as lines, as far as `head` holds it."""
    kind, first, size = _tag(head, header.end, order)
    encoding = {2: "latin-1", 4: f"utf-16-{'le' if order == '<' else 'be'}", 16: "utf-8"}.get(kind)
    text = head[first : first + size].decode(encoding or "latin-1", errors="replace")
    rows = max(header.shape[0], 1)
    return "\n".join(text[row::rows].strip() for row in range(rows))


def _numbers(shape: tuple[int, ...], dtype: np.dtype[np.generic], where: _Location) -> Array:
    flat = len(shape) == 2 and 1 in shape
    form = (prod(shape),) if flat else shape

    def load() -> Values:
        values = np.frombuffer(where.read(), dtype)
        if len(values) != prod(shape):
            message = f"{len(values)} values for an array of shape {shape}"
            raise ValueError(message)
        return values.astype(dtype.newbyteorder("=")).reshape(form, order="F")

    return Array(form, dtype, load, where.stored)


def _tag(content: bytes, at: int, order: str) -> tuple[int, int, int]:
    """Return type, first byte and size of an element; up to four bytes are stored in the tag."""
    kind, size = _unpack(f"{order}II", content, at)
    return (kind & 0xFFFF, at + 4, kind >> 16) if kind >> 16 else (kind, at + 8, size)


def _next(first: int, size: int) -> int:
    """Return the start of the next element, a multiple of eight."""
    return first + size + -(first + size) % 8


def _unpack(form: str, content: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, content, at)
    except struct.error as error:
        message = "an element is cut short"
        raise ValueError(message) from error
