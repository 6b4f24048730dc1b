"""Dataclasses from JSON, by the types of their fields; a robot has no pydantic."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from itertools import repeat
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
_types = cache(get_type_hints)


def from_json(kind: type[T], value: Any) -> T:
    """Return a JSON value as a `kind`, such as what `asdict` made of a dataclass.

    `kind` is a dataclass; its fields are dataclasses, tuples, dicts, `kind | None` or plain values.

    Raises:
        KeyError: A field is missing.
        ValueError: A tuple of fixed length has another one.
    """
    return _value(kind, value)


def _value(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _fields(kind, value)
    if origin is UnionType:
        return None if value is None else _value(arguments[0], value)
    if origin is dict:
        return {name: _value(arguments[1], item) for name, item in value.items()}
    if origin is tuple and arguments[-1] is Ellipsis:
        return tuple(map(_value, repeat(arguments[0]), value))
    if origin is tuple:
        return tuple(_value(*pair) for pair in zip(arguments, value, strict=True))
    return value


def _fields(kind: Any, values: Mapping[str, Any]) -> Any:
    return kind(**{name: _value(of, values[name]) for name, of in _types(kind).items()})
