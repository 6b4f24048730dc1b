"""Problems of a task file as text: where they are, what is expected, and the nearest valid name."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kinemill.registry import nearest
from kinemill.task.document import Task, validate_settings
from kinemill.task.overrides import blame, family_at
from kinemill.task.search import Problem
from kinemill.task.yaml import Document, Location


def spell_problem(
    document: Document, overrides: Mapping[str, object], where: Location, what: str
) -> str:
    """Return a problem as text, with the override or the line of the file that causes it."""
    key = ".".join(map(str, where))
    culprit, surely = blame(document, overrides, where)
    if surely:
        return f"--set {culprit}: {what}" if culprit == key else f"--set {culprit}: {key}: {what}"
    after = f" (after --set {culprit})" if culprit else ""
    return f"{document.position(where)}: {key}: {what}{after}"


def problems_of(error: ValidationError, value: object) -> list[Problem]:
    """Return the problems of a value, without the errors of unrelated union members.

    For example, pydantic also reports that a `tail` out of bounds is not a list.
    """
    errors: list[tuple[Location, ErrorDetails]] = []
    for item in error.errors(include_url=False):
        names_key = item["type"] in {"extra_forbidden", "missing"}
        errors.append((_real_location(item["loc"], value, names_key), item))
    return [
        _problem(where, item, value)
        for where, item in errors
        if not _is_redundant(where, item, errors)
    ]


def _is_redundant(
    where: Location, item: ErrorDetails, errors: list[tuple[Location, ErrorDetails]]
) -> bool:
    """Return whether `item` only repeats another error.

    That is a wrong type where another error is more specific, or a default that depends on a
    wrong value.
    """
    if item["type"] == "default_factory_not_called":
        return True
    return item["type"].endswith("_type") and any(
        location[: len(where)] == where
        and (len(location) > len(where) or not its["type"].endswith("_type"))
        for location, its in errors
    )


def _problem(loc: Location, item: ErrorDetails, value: object) -> Problem:
    """Turn one pydantic error into (where, message), with the nearest name for unknown keys."""
    if item["type"] == "extra_forbidden":
        names = _known_keys(loc[:-1], value)
        return loc, f"unknown key; {nearest(str(loc[-1]), names)}"
    if item["type"] == "missing":
        settings = _settings_at(loc[:-1], value)
        field = settings.model_fields.get(str(loc[-1])) if settings else None
        return loc, f"is missing; expected {field.description}" if field else "is missing"
    if item["type"] == "literal_error":
        text = str(item["input"])
        choices = item.get("ctx", {})["expected"]
        names = [part.strip(" '") for part in choices.replace(" or ", ",").split(",")]
        return loc, f"found {text!r}; expected {choices}; {nearest(text, names)}"
    message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.partition(" or instance of ")[0]
    value_text = repr(item["input"])
    is_ours = item["type"] == "value_error"  # messages of pydantic do not name the value
    is_named = isinstance(item["input"], dict | list) or (is_ours and value_text in message)
    suffix = "" if is_named else f"; found {value_text}"
    return loc, f"{message}{suffix}{_share_hint(item)}"


def _share_hint(item: ErrorDetails) -> str:
    """Return the share for a percentage where a share is expected, else ""."""
    limits = item.get("ctx", {})
    value = item["input"]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if 1.0 not in (limits.get("lt"), limits.get("le")) or not is_number or not 1.0 < value <= 100.0:
        return ""
    return f"; it is a share: {value:g} % is {value / 100.0:g}"


def _real_location(loc: Location, value: Any, ends_in_key: bool) -> Location:
    """Remove the parts of pydantic's location that are union members instead of keys.

    The last part can be a missing key.
    """
    real: list[str | int] = []
    for index, part in enumerate(loc):
        last = ends_in_key and index == len(loc) - 1
        if part in value if isinstance(value, dict) else _is_index(part, value):
            value = value[part]
        elif not last:
            continue
        real.append(part)
    return tuple(real)


def _is_index(part: str | int, value: object) -> bool:
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _known_keys(loc: Location, value: Any) -> list[str]:
    """Return the valid keys at `loc`."""
    settings = _settings_at(loc, value)
    if settings is None:
        return []
    return [field.alias or name for name, field in settings.model_fields.items()]


def _settings_at(loc: Location, value: Any) -> type[BaseModel] | None:
    """Return the class of the settings at `loc`; plug-ins are resolved by their `type`."""
    kind: object = Task
    for depth, part in enumerate(loc):
        value = value[part]
        family = family_at(loc[: depth + 1])
        if part == "validate" and depth == 0:
            kind = validate_settings()
        elif family and isinstance(value, dict) and value.get("type", family.usual) in family:
            kind = family[value.get("type", family.usual)]
        else:
            kind = _kind_below(kind, part)
    return _settings_class(kind)


def _kind_below(kind: Any, part: str | int) -> object:
    """Return the type annotation at `part`: a field, or a value of a dict or list."""
    if _is_settings(kind):
        field = kind.model_fields.get(part)
        return field.annotation if field else None
    return next((inner for inner in get_args(kind) if _settings_class(inner)), None)


def _is_settings(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _settings_class(kind: Any) -> type[BaseModel] | None:
    if _is_settings(kind):
        return kind
    return next((model for inner in get_args(kind) if (model := _settings_class(inner))), None)
