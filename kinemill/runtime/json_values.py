"""Dataclasses from JSON, by the types of their fields; a robot has no pydantic."""

from dataclasses import is_dataclass
from functools import cache
from itertools import repeat
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
_types = cache(get_type_hints)


def from_json(kind: type[T], value: object) -> T:
    """Return a JSON value as a `kind`, such as what `asdict` made of a dataclass.

    `kind` is a dataclass; its fields are dataclasses, tuples, dicts, `kind | None` or plain values.

    Raises:
        KeyError: A field is missing.
        ValueError: A tuple of fixed length has another one.
    """
    result: Any = _value(kind, value)
    return result


def _value(kind: object, value: object) -> object:
    form: Any = kind
    content: Any = value
    origin, arguments = get_origin(form), get_args(form)
    if is_dataclass(kind):
        return form(**{name: _value(of, content[name]) for name, of in _types(form).items()})
    if origin is UnionType:
        return None if content is None else _value(arguments[0], content)
    if origin is dict:
        return {name: _value(arguments[1], item) for name, item in content.items()}
    if origin is tuple and arguments[-1] is Ellipsis:
        return tuple(map(_value, repeat(arguments[0]), content))
    if origin is tuple:
        return tuple(_value(*pair) for pair in zip(arguments, content, strict=True))
    return value
