"""Base classes of the parts of a task file."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from kinemill.registry import nearest

MEDIA = ("image", "text")  # roles stored once per recording; steps hold references
Problems = list[tuple[tuple[str | int, ...], str]]  # key below a part of a task, and the message


def listed_by(key: str) -> Callable[[object], list[object]]:
    """Return a validator that makes a list of one item, and `{key: text}` of each text."""

    def to_list(value: object) -> list[object]:
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        return [{key: item} if isinstance(item, str) else item for item in items]

    return to_list


class Settings(BaseModel):
    """A frozen part of a task file; unknown keys are errors.

    Attributes:
        channel_keys: keys whose values are names of numeric channels, or mappings from names.
    """

    # The text below a field is its description: in the JSON schema, in forms and in errors.
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )
    channel_keys: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema, with each description on one line."""
        for info in cls.model_fields.values():
            info.description = info.description and " ".join(info.description.split())
        return handler(source)

    def problems(self, channels: Mapping[str, Any]) -> Problems:
        """Return conflicts with the task's channels, by default unknown names in `channel_keys`."""
        return [
            problem
            for key in self.channel_keys
            for problem in unknown_channels(getattr(self, key) or (), channels, key)
        ]


class Plugin(Settings):
    """Settings of one member of a family, selected by `type`."""

    type: str


def children(part: object) -> list[tuple[str | int, object]]:
    """Return keys and values of settings, a mapping or a list; none of a scalar."""
    if isinstance(part, BaseModel):
        fields = type(part).model_fields.items()
        return [(info.alias or name, getattr(part, name)) for name, info in fields]
    if isinstance(part, Mapping):
        return list(cast("Mapping[str, object]", part).items())
    return list(enumerate(cast("list[object]", part))) if isinstance(part, list | tuple) else []


def leaves(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield dotted keys and values of nested settings; an empty mapping below a key is a value.

    `type` comes first, because it defines the other keys of a plug-in.
    """
    if not isinstance(value, Mapping) or (prefix and not value):
        yield prefix, value
        return
    items = cast("Mapping[str, object]", value)
    for key in sorted(items, key=lambda name: name != "type"):
        yield from leaves(items[key], f"{prefix}.{key}" if prefix else str(key))


def unknown_names(names: Iterable[str], valid: list[str], what: str, *where: str | int) -> Problems:
    """Return a problem for each of `names` that is not one of `valid`; `what` they should be."""
    return [
        ((*where, name), f"no {what} {name!r}; {nearest(name, valid)}")
        for name in names
        if name not in valid
    ]


def unknown_channels(
    names: Iterable[str], channels: Mapping[str, Any], *where: str | int
) -> Problems:
    """Return a problem for each of `names` that is not a numeric channel."""
    numbers = [name for name, channel in channels.items() if channel.role not in MEDIA]
    return [
        ((*where, name), f"unknown channel; {nearest(name, numbers)}")
        if name not in channels
        else ((*where, name), f"is of role {channels[name].role}, not a number at each step")
        for name in names
        if name not in numbers
    ]
