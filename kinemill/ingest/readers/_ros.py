"""ROS messages, decoded by the type definitions in their own log (rosbags)."""

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

from kinemill.ingest.raw import Reason, reason
from kinemill.ingest.readers._message_layout import MessageLayout

FORMATS = ("ros2msg", "ros2idl", "ros1msg")  # encodings of definitions
_NAME = re.compile(r"[A-Za-z]\w*(/[A-Za-z]\w*)*", re.ASCII)
_ONE_AT_A_TIME = Lock()  # rosbags stores generated classes in one global module


class Undecodable(Exception):
    """rosbags cannot decode a message or the definition of its type."""


@dataclass(frozen=True)
class Decoder:
    """Decoder of the messages of one type.

    Args:
        decode: returns the message in its bytes; raises `Undecodable`.
        layout: returns the layout of a message that can be decoded; None: the encoding has none.
        shape: returns a key that only messages with the same fields and texts share, None if it is
            not clear; used where there is no layout.
    """

    decode: Callable[[bytes], object]
    layout: Callable[[bytes], MessageLayout] | None = None
    shape: Callable[[bytes], Hashable | None] | None = None

    def decode_or_none(self, data: bytes) -> object:
        """Return a message, or None if it cannot be decoded."""
        try:
            return self.decode(data)
        except Undecodable:
            return None


def decoder(name: str, encoding: str, definition: str) -> Decoder:
    """Return the decoder of a type.

    Args:
        name: type of the message, such as `sensor_msgs/msg/JointState`.
        encoding: encoding of the definition, one of `FORMATS`; "" for a standard type of ROS 2.
        definition: the type and all types that it uses.

    Raises:
        Undecodable: the definition cannot be read.
    """
    kind = name if "/msg/" in name else name.replace("/", "/msg/", 1)
    try:
        with _ONE_AT_A_TIME:
            store = _types(kind, encoding, definition)
        decode: Any = store.deserialize_ros1 if encoding == "ros1msg" else store.deserialize_cdr
    except Exception as error:  # errors of rosbags and of its parser
        raise Undecodable(f"type {name!r}: {first_line(error)}") from error

    def read(data: bytes) -> object:
        try:
            return decode(data, kind)
        except Exception as error:  # asserts, struct, numpy, ...
            raise Undecodable(first_line(error)) from error

    is_cdr = encoding != "ros1msg"
    definitions = store.fielddefs
    return Decoder(read, partial(MessageLayout, kind=kind, definitions=definitions, is_cdr=is_cdr))


def _types(kind: str, encoding: str, definition: str) -> Any:
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    if not encoding:
        common = get_typestore(Stores.LATEST)
        if kind not in common.fielddefs:
            raise Undecodable("is defined neither in the log nor by ROS 2")
        return common
    store = get_typestore(Stores.EMPTY)
    types = dict[str, Any]()
    if encoding == "ros2idl":
        for part in re.split(r"^=+\n(?:IDL: .*\n)?", definition, flags=re.MULTILINE):
            types |= get_types_from_idl(part) if part.strip() else {}
    else:
        types |= get_types_from_msg(definition, kind)
    # rosbags generates and runs Python code with these names, so only valid names may pass.
    names = [
        name
        for name, (consts, fields) in types.items()
        for name in (name, *_inside(consts, fields))
    ]
    if odd := [name for name in names if not _NAME.fullmatch(name)]:
        raise Undecodable(f"{odd[0]!r} is not a name")
    store.register(types)
    return store


def _inside(constants: Any, fields: Any) -> list[str]:
    return [str(item[0]) for item in (*constants, *fields)]


def cut_log(where: str, cause: str, count: int, expected: str) -> Reason:
    """Return the reason for a log of messages that ends early, after `count` messages."""
    problem = f"{cause}; {count} messages came before"
    fix = "nothing to do: the messages before are used; copy the file again if it was longer"
    return reason("cut_file", where, problem, expected=expected, fix=fix)


def first_line(error: Exception) -> str:
    """Return the first line of a message, at most 200 characters, or the name of the error.

    Errors of rosbags repeat damaged bytes.
    """
    line = (str(error).splitlines() or [""])[0][:200]
    return line if line and line.isprintable() else type(error).__name__
