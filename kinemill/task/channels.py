"""Channels: the named signals of a task, with role, unit, kind, limits and where logs keep them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.task.plugins import MEDIA, Settings
from kinemill.task.units import check_unit, factor, is_derivative

# Columns and entries that stand beside channels in tracks, tables and documents.
RESERVED = {"time_s", "episode", "nrmse"}
_ELEMENTS = 4  # of a quaternion
USUAL = 1e12  # more than any pressure in Pa or count of an encoder
SQUARED = 1e19  # float32 holds the square of what is less
MODELED = ("state", "action")  # what models are made of, checks look at, and rows of datasets hold


class Source(Settings):
    """A column of a log that may hold the channel: `scale` x value + `offset` is in `unit`."""

    name: str = Field(description="`state[3]` is an element, `topic.field` a field of a message")
    unit: str | None = None  # None: the channel's own unit
    scale: float = Field(default=1.0, description="of raw values such as encoder ticks; -1 flips")
    offset: float = 0.0

    @field_validator("scale")
    @classmethod
    def _not_zero(cls, value: float) -> float:
        if value == 0.0:
            message = "a scale of 0 leaves nothing of the values"
            raise ValueError(message)
        return value


class ChannelResample(Settings):
    """How this channel comes to the task's time step, where it differs from `ingest.resample`."""

    method: Literal["linear", "cubic", "hold"] | None = None
    max_gap: PositiveFloat | None = Field(
        default=None,
        description="longest silence of a signal with stamps of its own that is bridged, s",
    )
    lead: NonNegativeInt = Field(
        default=0,
        description="rows of `dt` that this channel is taken later than the others: 1 for an input "
        "sampled together with the output that it already acts on",
    )


def _as_resample(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


def _as_sources(value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    return [{"name": item} if isinstance(item, str) else item for item in items]


Sources = Annotated[list[Source], BeforeValidator(_as_sources)]


def _known_unit(value: Any) -> str:
    try:
        return check_unit(str(value))
    except BadInput as error:
        raise ValueError(str(error)) from error


class Channel(Settings):
    """One signal: what it is, in which unit, and under which names logs carry it."""

    role: Literal["state", "action", "observation", "reward", "image", "text"]
    kind: Literal["linear", "angle", "coordinate", "quaternion"] = Field(
        default="linear",
        description="angle: rad, unwrapped; coordinate: where its zero lies is no matter; "
        "quaternion: four such channels, one after the other, "
        "are one rotation",
    )
    unit: Annotated[str, BeforeValidator(_known_unit)]
    source: Sources = Field(
        default=[], description="column names, the first that the log has; default: the own name"
    )
    limits: tuple[float, float] | None = Field(
        default=None, description="lowest and highest physical value, in the channel's unit"
    )
    derivative_of: str | None = Field(
        default=None, description="the channel whose time derivative this one is"
    )
    resample: Annotated[ChannelResample, BeforeValidator(_as_resample)] = ChannelResample()
    shape: tuple[PositiveInt, PositiveInt, Literal[3]] | None = Field(
        default=None, description="of an image: height, width, 3 colors; default: as in the log"
    )

    texts: dict[int, str] = Field(
        default={},
        description="of a text that the log holds as numbers, such as LeRobot's `task_index`: what "
        "each means",
        exclude_if=lambda value: not value,  # so that what others depend on stays as it was
    )

    @model_validator(mode="before")
    @classmethod
    def _media_have_no_unit(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("role") in MEDIA:
            return {"unit": "1", **cast(dict[str, Any], value)}
        return value

    @model_validator(mode="after")
    def _fits_its_role(self) -> "Channel":
        if wrong := _unfit_for_role(self):
            raise ValueError(wrong)
        return self

    @field_validator("limits")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value and value[0] >= value[1]:
            message = f"the lower limit {value[0]} is not below the upper limit {value[1]}"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _units_convert(self) -> "Channel":
        if self.kind == "angle" and self.unit != "rad":
            message = f"an angle is kept in rad, not {self.unit!r}; give the log's unit at `source`"
            raise ValueError(message)
        if self.kind == "quaternion" and self.unit != "1":
            message = f"an element of a quaternion has the unit 1, not {self.unit!r}"
            raise ValueError(message)
        if wrong := unit_problem(self.source, self.unit):
            raise ValueError(wrong)
        return self


def magnitude(channel: Channel) -> float:
    """Return the largest |value| that a channel may have, in its unit.

    Within its limits everything is allowed that float32 can square. A state or action without
    limits is held to `USUAL`.
    """
    if channel.role not in MODELED:
        return SQUARED
    usual = USUAL if channel.limits is None else max(map(abs, channel.limits))
    return min(max(usual, USUAL), SQUARED)


def _unfit_for_role(channel: Channel) -> str | None:
    """Say which key of a channel makes no sense for its role, if one does not."""
    role = channel.role
    given = {key for key in ("limits", "derivative_of") if getattr(channel, key)}
    if role not in MODELED and given:
        return f"`{min(given)}` is for a state or an action; this channel is its {role}"
    for key, of in (("shape", "image"), ("texts", "text")):
        if role != of and getattr(channel, key):
            return f"`{key}` is for {'an' if of == 'image' else 'a'} {of}; this channel is a {role}"
    if role not in MEDIA:
        return None
    if channel.unit != "1" or channel.kind != "linear":
        return f"a channel of role {role} has no unit and no kind"
    if channel.resample.method not in {None, "hold"}:
        return f"between two of role {role} there is no {channel.resample.method}; they are held"
    return None


def unit_problem(sources: list[Source], unit: str) -> str | None:
    """Say which unit of a source does not convert into `unit`, if one does not."""
    for source in sources:
        if source.unit:
            try:
                factor(source.unit, unit)
            except BadInput as error:
                return str(error)
    return None


def rotations(channels: Mapping[str, Channel]) -> list[tuple[str, ...]]:
    """Return the names of the channels of each quaternion, in the order of the task."""
    names = [name for name, channel in channels.items() if channel.kind == "quaternion"]
    return [tuple(names[at : at + _ELEMENTS]) for at in range(0, len(names), _ELEMENTS)]


def problems_between(channels: dict[str, Channel]) -> list[tuple[tuple[str, ...], str]]:
    """Return what is wrong with channels: (where, message) for names, parents, cycles and units."""
    problems: list[tuple[tuple[str, ...], str]] = []
    problems += [
        (
            ("channels", group[0], "kind"),
            f"{len(group)} elements of a quaternion; expected four, one after the other",
        )
        for group in rotations(channels)
        if len(group) != _ELEMENTS
    ]
    for name, channel in channels.items():
        parent = channel.derivative_of
        where = ("channels", name, "derivative_of")
        if wrong := _wrong_name(name):
            problems.append((where[:2], wrong))
        if parent is None:
            continue
        if parent not in channels:
            problems.append(
                (where, f"unknown channel {parent!r}; {nearest(parent, list(channels))}")
            )
        elif _in_cycle(name, channels):
            problems.append((where, f"{name!r} is, over others, the derivative of itself"))
        elif not is_derivative(channel.unit, channels[parent].unit):
            problems.append(
                (where, f"{channel.unit} is not {channels[parent].unit} per time ({parent!r})")
            )
    return problems


def _wrong_name(name: str) -> str | None:
    if name in RESERVED:
        return f"{name!r} means something else beside channels; name the log's column at `source`"
    if not name.isidentifier():
        return (
            f"{name!r} is no channel name; letters, digits and _ after a letter, and the log's "
            "column at `source`"
        )
    return None


def _in_cycle(start: str, channels: dict[str, Channel]) -> bool:
    seen: set[str] = set()
    name: str | None = start
    while name in channels and name not in seen:
        seen.add(name)
        name = channels[name].derivative_of
    return name == start
