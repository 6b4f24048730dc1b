"""Layout of a ROS message: the bytes of its numbers, so that numpy decodes many messages at once.

Only the lengths of strings and sequences move the numbers in a message. Messages whose texts and
lengths equal those of an example therefore hold each number at the same bytes as the example.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Nodetype

LARGEST_ARRAY = 4096  # elements; further ones have no position
_DTYPES = {
    "bool": "u1", "byte": "i1", "char": "u1", "int8": "i1", "uint8": "u1", "int16": "i2",
    "uint16": "u2", "int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_UNUSED = "structure_needs_at_least_one_member"  # field of an empty type, absent in ROS 1


@dataclass(frozen=True)
class Number:
    """Position of a number: its first byte, and its type in ROS."""

    offset: int
    kind: str


class MessageLayout:
    """Positions of the numbers in all messages with the texts and lengths of an example.

    Args:
        data: the example, which can be decoded.
        kind: type of the message.
        definitions: constants and fields of each type, as rosbags has them.
        is_cdr: whether the message is of ROS 2: with a header, and numbers at multiples of their
            size.

    Attributes:
        tree: the message with a `Number` for each number, its texts, and the constants.
        size: bytes of a message.

    Raises:
        KeyError: The type has numbers that numpy does not know, such as float128.
    """

    def __init__(self, data: bytes, kind: str, definitions: Any, *, is_cdr: bool) -> None:
        self.size = len(data)
        self._data = np.frombuffer(data, np.uint8)
        self._definitions = definitions
        self._is_cdr = is_cdr
        self._order: Literal["<", ">"] = ">" if is_cdr and not data[1] else "<"
        self._start = 4 if is_cdr else 0
        self._at = self._start
        self._constant = [np.arange(2 if is_cdr else 0)]
        self.tree = self._walk((Nodetype.NAME, kind))
        self._constant_bytes = np.concatenate(self._constant)

    def _walk(self, field: Any) -> Any:
        """Return the positions of a field at the current byte, and move behind it."""
        node, content = field
        if node == Nodetype.NAME:
            constants, fields = self._definitions[content]
            named = [(name, part) for name, part in fields if self._is_cdr or name != _UNUSED]
            values = {name: value for name, _, value in constants}
            return {name: self._walk(part) for name, part in named} | values
        if node == Nodetype.BASE:
            return self._text() if content[0] == "string" else self._numbers(content[0], 1)[0]
        element, length = content
        if node == Nodetype.SEQUENCE:
            length = self._length()
        if element[0] == Nodetype.BASE and element[1][0] != "string":
            return self._numbers(element[1][0], length) if length else []
        return [self._walk(element) for _ in range(length)]

    def _numbers(self, kind: str, count: int) -> list[Number]:
        size = np.dtype(_DTYPES[kind]).itemsize
        self._align(size)
        first = self._at
        self._at += size * count
        return [Number(first + size * index, kind) for index in range(min(count, LARGEST_ARRAY))]

    def _text(self) -> str:
        length = self._length()
        at = np.arange(self._at, self._at + length)
        self._constant.append(at)
        self._at += length
        return self._data[at].tobytes().rstrip(b"\0").decode(errors="replace")

    def _length(self) -> int:
        self._align(4)
        at = self._at
        self._constant.append(np.arange(at, at + 4))
        self._at += 4
        return int(self._data[at : at + 4].view(f"{self._order}u4")[0])

    def _align(self, size: int) -> None:
        if self._is_cdr:
            self._at += -(self._at - self._start) % size

    def matches(self, messages: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return which messages (n, `size`) have the layout, (n,)."""
        at = self._constant_bytes
        return (messages[:, at] == self._data[at]).all(1)

    def read(self, messages: NDArray[np.uint8], number: Number) -> NDArray[Any]:
        """Return a number of each message (n, `size`), (n,) in its type."""
        dtype = np.dtype(_DTYPES[number.kind]).newbyteorder(self._order)
        column = messages[:, number.offset : number.offset + dtype.itemsize]
        values = np.ascontiguousarray(column).view(dtype)[:, 0]
        return values != 0 if number.kind == "bool" else values.astype(dtype.newbyteorder("="))
