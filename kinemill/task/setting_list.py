"""The scalar settings of a task with their bounds, for forms."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kinemill.task.web_overrides import mark_of

Kind = Literal["integer", "number", "truth", "choice", "text"]
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "a multiple of"}
_TYPED = 1e6  # larger bounds guard against mistakes of a program, nobody types them
_KINDS: dict[object, Kind] = {bool: "truth", int: "integer", float: "number", str: "text"}


@dataclass(frozen=True)
class Setting:
    """A setting that has one value.

    Attributes:
        key: dotted key, as in overrides.
        value: value in the task; None if it is not set.
        kind: kind of the value.
        low, high: bounds of a number, or None; `bounds` states whether they are included.
        bounds: bounds as text, such as `must be > 0`; "" without any.
        choices: allowed values of a choice.
        description: description of the field.
    """

    key: str
    value: bool | float | str | None
    kind: Kind
    low: float | None = None
    high: float | None = None
    bounds: str = ""
    choices: tuple[str, ...] = ()
    description: str = ""


def settings_of(part: BaseModel, prefix: str = "") -> Iterator[Setting]:
    """Yield the scalar settings of a part of a task and of the parts below it.

    Settings of code, files or machines, lists and mappings are omitted. `prefix` is the dotted key
    of the part with a final dot, or empty.
    """
    for name, info in type(part).model_fields.items():
        if mark_of(info):
            continue
        key = f"{prefix}{info.alias or name}"
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from settings_of(value, f"{key}.")
        elif kind := _kind(info.annotation):
            limits = _limits(info) if kind in ("integer", "number") else {}
            yield Setting(
                key,
                value,
                kind,
                limits.get("ge", limits.get("gt")),
                limits.get("le", limits.get("lt")),
                spell_bounds(info) if limits else "",
                _choices(info.annotation),
                info.description or "",
            )


def spell_bounds(info: FieldInfo) -> str:
    """Return the bounds of a number as text; "" for a field without bounds."""
    bounds = [
        f"{sign} {_spell(limit)}"
        for rule in _rules(info.metadata, info.annotation)
        for name, sign in _SIGNS.items()
        if isinstance(limit := getattr(rule, name, None), int | float) and abs(limit) < _TYPED
    ]
    return f"must be {' and '.join(dict.fromkeys(bounds))}" if bounds else ""


def _limits(info: FieldInfo) -> dict[str, float]:
    return {
        name: limit
        for rule in _rules(info.metadata, info.annotation)
        for name in _SIGNS
        if isinstance(limit := getattr(rule, name, None), int | float)
    }


def _kind(annotation: object) -> Kind | None:
    """Return the kind of a field; None for one that holds more than one value."""
    if _choices(annotation):
        return "choice"
    options = [option for option in _options(annotation) if option is not type(None)]
    kinds: list[Kind | None] = [_KINDS.get(option) for option in options]
    return kinds[0] if len(kinds) == 1 else None


def _choices(annotation: object) -> tuple[str, ...]:
    literals = [option for option in _options(annotation) if get_origin(option) is Literal]
    choices = tuple(str(argument) for literal in literals for argument in get_args(literal))
    return choices if len(choices) > 1 else ()


def _options(annotation: object) -> list[object]:
    """Return the members of a union without their constraints; else the type itself."""
    if hasattr(annotation, "__metadata__"):
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (None, Literal, list, dict, tuple):
        return [annotation]
    return [option for argument in get_args(annotation) for option in _options(argument)]


def _rules(metadata: Iterable[object], annotation: object) -> Iterator[object]:
    """Yield the constraints of a field and of the numbers inside its value."""
    for rule in metadata:
        yield from rule.metadata if isinstance(rule, FieldInfo) else [rule]
    for inner in get_args(annotation):
        yield from _rules(getattr(inner, "__metadata__", ()), inner)


def _spell(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"
