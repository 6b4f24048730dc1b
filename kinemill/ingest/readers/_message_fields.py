"""Fields of messages: paths such as `position[elbow]`, and the elements that a message names.

Structs have a `name` each. Other elements are named by as many texts, as `joint_names`, in the
closest of the structs around them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self, cast

import numpy as np

SHOWN_FIELDS = 500
SHOWN_ELEMENTS = 16  # names kept for errors about missing columns

_NAMES = ("name", "names")  # last part of fields such as `joint_names`
_TOKEN = re.compile(r"\.?([^.\[\]]+)|\[([^\[\]]+)\]")

Path = tuple[str | int, ...]


class _Label(str):
    """The name of an element: `elbow` in `position[elbow]`."""

    __slots__ = ()


def parse_path(name: str) -> Path:
    """Split `field.sub[2]` into ("field", "sub", 2); the name of an element is a label."""
    return tuple(
        key or (int(element) if element.isdecimal() else _Label(element))
        for key, element in _TOKEN.findall(name)
    )


def has_label(path: Path) -> bool:
    """Return whether a path leads to an element by its name."""
    return any(isinstance(key, _Label) for key in path)


def name_indices(message: object, path: Path) -> Path:
    """Return a path with the indices of elements that a message names replaced by their names."""
    named = list[str | int]()
    for at, key in enumerate(path):
        *around, listed = [follow(message, path[:depth]) for depth in range(at + 1)]
        labels = [*_labels(listed, around)] if isinstance(key, int) else []
        named.append(labels[key] if isinstance(key, int) and key < len(labels) else key)
    return tuple(named)


@dataclass(frozen=True)
class Fields:
    """Fields that are read from many messages; names of elements are searched once per list.

    Attributes:
        inner: fields inside, by name, index or label.
        positions: positions of this field itself in the result of `read`.
    """

    inner: dict[str | int, "Fields"] = field(default_factory=dict[str | int, "Fields"])
    positions: list[int] = field(default_factory=list[int])

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Self:
        """Return the fields at paths."""
        whole = cls()
        for position, path in enumerate(paths):
            node = whole
            for key in path:
                node = node.inner.setdefault(key, cls())
            node.positions.append(position)
        return whole

    def read(self, message: object, count: int) -> list[Any]:
        """Return the values of the `count` fields in a message, None for missing ones."""
        values: list[Any] = [None] * count
        self._read(message, (), values)
        return values

    def _read(self, value: object, around: tuple[object, ...], values: list[Any]) -> None:
        for position in self.positions:
            values[position] = value
        if not self.inner:
            return
        labels = (
            _labels(value, around) if any(isinstance(key, _Label) for key in self.inner) else {}
        )
        for key, fields in self.inner.items():
            at = labels.get(key, -1) if isinstance(key, _Label) else key
            if (inside := element(value, at)) is not None:
                fields._read(inside, (*around, value), values)


def follow(message: Any, path: Path) -> Any:
    """Return the value at a path in a message, or None."""
    return Fields.of([path]).read(message, 1)[0]


def element(value: Any, key: str | int) -> Any:
    """Return an element of a list or a field of a struct, or None."""
    if isinstance(key, int):
        listed = isinstance(value, list | tuple | np.ndarray)
        return value[key] if listed and 0 <= key < len(value) else None
    if isinstance(value, Mapping):
        return cast(Mapping[str, Any], value).get(key)
    return getattr(value, key) if key in getattr(value, "__dataclass_fields__", ()) else None


def members(value: object) -> Mapping[str, Any]:
    """Return the fields of a part of a message; empty if it is no struct."""
    if isinstance(value, Mapping):
        return cast(Mapping[str, Any], value)
    return {key: getattr(value, key) for key in getattr(value, "__dataclass_fields__", ())}


def _labels(listed: Any, around: Sequence[object]) -> Mapping[str, int]:
    """Return the positions of the elements of a list in a message by name; empty without names."""
    if not isinstance(listed, list | tuple | np.ndarray) or not len(listed):
        return {}
    if to_number(listed[0]) is None:
        inside = members(listed[0])
        if "name" in inside:
            return _positions(tuple(str(element(struct, "name")) for struct in listed))
        # The points of a trajectory are no joints, but the numbers in each point are.
        if any(_is_as_long(inner, listed) for inner in inside.values()):
            return {}
    texts = (
        texts
        for struct in reversed(around)
        for key, texts in members(struct).items()
        if key.endswith(_NAMES) and _is_as_long(texts, listed) and texts is not listed
    )
    return _positions(tuple(map(str, next(texts, ()))))


def _is_as_long(value: object, listed: Sized) -> bool:
    return isinstance(value, list | tuple | np.ndarray) and len(value) == len(listed)


@lru_cache
def _positions(texts: tuple[str, ...]) -> Mapping[str, int]:
    """Return the positions of texts that name elements; empty if one is no name, or repeats."""
    labels: dict[str, int] = {
        _Label(text): at
        for at, text in enumerate(texts)
        if not text.isdecimal() and _TOKEN.fullmatch(f"[{text}]")
    }
    return labels if len(labels) == len(texts) else {}


def to_number(value: object) -> float | None:
    """Return a value as a number, None if it is none; an integer beyond float64 is infinite."""
    if not isinstance(value, int | float | np.number | np.bool_):
        return None
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def field_names(message: object) -> list[str]:
    """Return the names of the numbers in a message, the first few of each array."""
    names: list[str] = []
    for name in _field_names(message, ""):
        names.append(name)
        if len(names) == SHOWN_FIELDS:
            break
    return names


def _field_names(value: object, name: str, around: Sequence[object] = ()) -> Iterator[str]:
    if to_number(value) is not None:
        yield name
    elif isinstance(value, list | tuple | np.ndarray):
        keys = _labels(value, around) or range(SHOWN_ELEMENTS)
        for key, inner in zip(keys, value, strict=False):
            yield from _field_names(inner, f"{name}[{key}]", around)
    else:
        for key, inner in members(value).items():
            if not key.startswith("__"):
                yield from _field_names(inner, f"{name}.{key}" if name else key, (*around, value))
