"""DataFlash logs as text, as ground stations write them: `ATT, 1234567, 0.52, ...` for a message.

Each line is packed into a message of the binary form. A text holds values in their units; those of
format letters such as `c` are divided by their scale.
"""

import io
import re
import struct
from collections.abc import Mapping
from typing import NamedTuple

SYNC = b"\xa3\x95"
DEFINITION = 128  # number of the type FMT, which defines all types, itself included
DEFINES = struct.Struct("<BB4s16s64s")  # type, size, name, formats, fields
_FIRST = re.compile(rb"^FMT, ?128, ?\d+, ?FMT,", re.MULTILINE)
_PACKED = {"M": "B", "g": "e", "c": "h", "C": "H", "e": "i", "E": "I", "L": "i", "n": "4s",
           "N": "16s", "Z": "64s", "a": "64s"}  # fmt: skip


class _Layout(NamedTuple):
    """The layout of a type: its number, and the letters of its fields."""

    number: int
    letters: str
    packed: struct.Struct

    def pack(self, rest: str, scales: Mapping[str, float]) -> bytes:
        """Return the message of a line without its name.

        Raises:
            ValueError: A value is not a number, or the number of values is wrong.
            struct.error: a value is out of range.
        """
        fields = [field.strip() for field in rest.split(",", len(self.letters) - 1)]
        values = [_value(*pair, scales) for pair in zip(self.letters, fields, strict=True)]
        return SYNC + bytes([self.number]) + self.packed.pack(*values)


def is_text(head: bytes) -> bool:
    """Return whether a file begins with the first definition of a DataFlash log as text.

    A title above it is allowed.
    """
    return _FIRST.search(head) is not None


def as_binary(text: bytes, scales: Mapping[str, float]) -> tuple[bytes, list[int]]:
    """Return the binary form of a log, and the numbers of the lines that are not messages.

    Args:
        text: the log.
        scales: scale of the values of each letter; 0 for texts and arrays.
    """
    packed = bytearray()
    layouts = dict[str, _Layout]()
    bad = list[int]()
    for number, content in enumerate(io.BytesIO(text), start=1):
        line = content.decode("ascii", "replace").rstrip("\r\n")
        name, _, rest = line.partition(",")
        if not line.strip() or not (layouts or name == "FMT"):
            continue  # a title
        try:
            if name == "FMT":
                packed += _define(rest, layouts)
            else:
                packed += layouts[name.strip()].pack(rest, scales)
        except (KeyError, ValueError, OverflowError, struct.error):
            bad.append(number)
    return bytes(packed), bad


def _define(rest: str, layouts: dict[str, _Layout]) -> bytes:
    """Add the type that a line FMT defines, and return its message."""
    number, _, name, letters, fields = (field.strip() for field in rest.split(",", 4))
    packed = struct.Struct("<" + "".join(_PACKED.get(letter, letter) for letter in letters))
    layouts[name] = _Layout(int(number), letters, packed)
    texts = (field.encode("ascii", "replace") for field in (name, letters, fields))
    payload = DEFINES.pack(int(number), 3 + packed.size, *texts)
    return SYNC + bytes([DEFINITION]) + payload


def _value(letter: str, text: str, scales: Mapping[str, float]) -> bytes | int | float:
    scale = scales[letter]
    if letter == "a":
        return b""  # an array of samples is not a channel
    if not scale:
        return text.encode("ascii", "replace")
    if letter in "fdg":
        return float(text)
    return int(text) if scale == 1.0 else round(float(text) / scale)
