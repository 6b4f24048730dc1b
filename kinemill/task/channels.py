"""Channels: the named signals of a task, with role, unit, kind, limits and log columns."""

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, field_validator, model_validator

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.task.bounds import (
    SQUARED,
    CountOrZero,
    Frequency,
    Limit,
    Pixels,
    Quantity,
    RatioOrZero,
    Seconds,
)
from kinemill.task.expressions import Expression
from kinemill.task.settings import MEDIA, Problems, Settings, listed_by
from kinemill.task.units import check_unit, factor, is_derivative
from kinemill.task.web_overrides import LOCAL


class ComputedKeys(Settings):
    """Keys that define a channel from other channels."""

    derivative_of: str | None = None
    """the channel of which this one is the time derivative"""
    derived: Literal["derivative"] | None = None
    """derivative: not in logs, computed as the time derivative of the channel `of`; estimated from
    measurements at run time"""
    of: str | None = None
    """with `derived`: the channel that it is derived from"""
    cutoff: Frequency | None = None
    """with `derived`: cutoff frequency of the filter, Hz; default: a fifth of the sampling rate, at
    most 20 Hz"""
    expression: Annotated[str | None, LOCAL] = None
    """formula of other channels in their units, such as `torque * velocity`: not in logs, computed
    after resampling"""

    @model_validator(mode="before")
    @classmethod
    def _derived_is_a_derivative(cls, value: object) -> object:
        if isinstance(value, dict) and "derived" in value and "of" in value:
            return {"derivative_of": value["of"], **cast(dict[str, object], value)}
        return value

    @field_validator("expression")
    @classmethod
    def _arithmetic(cls, value: str | None) -> str | None:
        if value is not None:
            _ = Expression(value).tree
        return value

    @model_validator(mode="after")
    def _is_computed_one_way(self) -> "ComputedKeys":
        if self.derived is None and (alone := [k for k in ("of", "cutoff") if getattr(self, k)]):
            raise ValueError(f"`{alone[0]}` needs `derived: derivative`")
        if self.derived is None:
            return self
        if self.of is None:
            raise ValueError("`derived` needs `of`, the channel whose derivative it is")
        if self.derivative_of != self.of:
            message = f"is derived from {self.of!r}, but `derivative_of` is {self.derivative_of!r}"
            raise ValueError(message)
        if self.expression is not None:
            raise ValueError("is both derived and an expression; leave one out")
        return self


# Names of other columns in tracks, tables and documents; channels cannot use them.
RESERVED = {"time_s", "episode", "nrmse"}
_ELEMENTS = 4  # elements of a quaternion
USUAL = 1e12  # more than any pressure in Pa or count of an encoder
MODELED = ("state", "action")  # the roles that checks and dataset rows use


class Source(Settings):
    """A log column that can hold the channel. `scale` x value + `offset` is in `unit`."""

    name: str
    """column name; `state[3]` is a vector element, `topic.field` a message field"""
    unit: str | None = None
    """unit of the column; default: the channel's own unit"""
    scale: Quantity = 1.0
    """factor on raw values such as encoder ticks; -1 inverts the sign"""
    offset: Quantity = 0.0
    """value that is added after scaling, in `unit`"""

    @field_validator("scale")
    @classmethod
    def _not_zero(cls, value: float) -> float:
        if value == 0.0:
            raise ValueError("a scale of 0 maps every value to the offset")
        return value


class ChannelResample(Settings):
    """Resampling of this channel, where it differs from `ingest.resample`."""

    method: Literal["linear", "cubic", "hold"] | None = None
    """as in `ingest.resample`; default: its method, `hold` for rewards and media"""
    max_gap: Seconds | None = None
    """longest gap to interpolate in a signal with its own timestamps, s"""
    lead: CountOrZero = 0
    """rows of `dt` by which this channel is shifted: with 1 a row holds its next value, for an
    input sampled at the same time as the output that it already affects"""
    delay: RatioOrZero = 0.0
    """rows of `dt` after which this channel acts, also fractions: with 0.4 a row holds 0.6 of its
    own value and 0.4 of the value before, the mean over a step of a held signal with a delay"""

    @model_validator(mode="after")
    def _moves_one_way(self) -> "ChannelResample":
        if self.lead and self.delay:
            message = f"`lead: {self.lead}` and `delay: {self.delay:g}` contradict each other"
            raise ValueError(message)
        return self


def _as_resample(value: object) -> object:
    return {"method": value} if isinstance(value, str) else value


Sources = Annotated[list[Source], BeforeValidator(listed_by("name"))]


def _known_unit(value: object) -> str:
    try:
        return check_unit(str(value))
    except BadInput as error:
        raise ValueError(str(error)) from error


class Channel(ComputedKeys):
    """One signal: its role, kind and unit, and its column names in logs."""

    role: Literal["state", "action", "output", "observation", "reward", "image", "text"]
    """use of the channel: models predict states and feed them back, actions are inputs; an output
    is predicted but not fed back, such as an acceleration or a force"""
    kind: Literal["linear", "angle", "coordinate", "quaternion"] = "linear"
    """angle: rad, unwrapped; coordinate: the position of zero is arbitrary; quaternion: four
    consecutive channels form one rotation"""
    unit: Annotated[str, BeforeValidator(_known_unit)]
    """unit of the stored values, such as `rad/s`; 1 for none"""
    source: Sources = []
    """column names, the first one present in the log is used; default: the channel's name"""
    limits: tuple[Limit, Limit] | None = None
    """lowest and highest physical value, in the channel's unit"""
    observed_range: tuple[Limit, Limit] | None = None
    """range that logs showed, in the channel's unit: values outside are a warning, while values
    outside `limits` are cut out"""
    resample: Annotated[ChannelResample, BeforeValidator(_as_resample)] = ChannelResample()
    """resampling of this channel, where it differs from `ingest.resample`"""
    shape: tuple[Pixels, Pixels, Literal[3]] | None = None
    """shape of an image: height, width, 3 colors; default: as in the log"""

    texts: dict[int, str] = {}
    """meaning of each number, for a text that the log stores as numbers, such as LeRobot's
    `task_index`"""

    @model_validator(mode="before")
    @classmethod
    def _media_have_no_unit(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("role") in MEDIA:
            return {"unit": "1", **cast(dict[str, object], value)}
        return value

    @field_validator("limits", "observed_range")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value and value[0] >= value[1]:
            message = f"the lower limit {value[0]:g} is not below the upper limit {value[1]:g}"
            message += f"; write [{min(value):g}, {max(value):g}]" * (value[0] > value[1])
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _keys_agree(self) -> "Channel":
        wrong = _computed_problem(self) or _unfit_for_role(self)
        if not wrong and self.kind == "angle" and self.unit != "rad":
            wrong = f"an angle has the unit rad, not {self.unit!r}; set the log's unit in `source`"
        elif not wrong and self.kind == "quaternion" and self.unit != "1":
            wrong = f"an element of a quaternion has the unit 1, not {self.unit!r}"
        if wrong := wrong or unit_problem(self.source, self.unit):
            raise ValueError(wrong)
        return self


def magnitude(channel: Channel) -> float:
    """Return the largest allowed |value| of a channel, in its unit.

    Any value within the limits is allowed if float32 can hold its square. A state or action
    without limits is capped at `USUAL`.
    """
    if channel.role not in MODELED:
        return SQUARED
    usual = USUAL if channel.limits is None else max(map(abs, channel.limits))
    return min(max(usual, USUAL), SQUARED)


def _unfit_for_role(channel: Channel) -> str | None:
    """Return a message about the first key that does not apply to the channel's role, or None."""
    role = channel.role
    if role not in MODELED and (wrong := _modeled_key(channel)):
        return wrong
    for key, of in (("shape", "image"), ("texts", "text")):
        if role != of and getattr(channel, key):
            return f"`{key}` is for {'an' if of == 'image' else 'a'} {of}; this channel is a {role}"
    if role not in MEDIA:
        return None
    if channel.unit != "1" or channel.kind != "linear" or channel.resample.delay:
        return f"a channel of role {role} has no unit, no kind and no delay"
    if channel.resample.method not in {None, "hold"}:
        return (
            f"a channel of role {role} cannot be resampled by {channel.resample.method}; "
            f"expected hold"
        )
    return None


def _computed_problem(channel: Channel) -> str | None:
    """Return a message about keys that a computed channel cannot have, or None."""
    if channel.derived is None and channel.expression is None:
        return None
    key = "derived" if channel.derived else "expression"
    if channel.role in MEDIA or (channel.derived and channel.role in {"action", "reward"}):
        return f"`{key}` cannot give a channel of role {channel.role}"
    if channel.source or channel.resample != ChannelResample():
        return f"`source` and `resample` are for a column of the log; this channel has `{key}`"
    if channel.derived and channel.kind != "linear":
        return f"a derivative is of kind linear, not {channel.kind}"
    return None


def _modeled_key(channel: Channel) -> str | None:
    """Return a message about a key that only states and actions have, or None."""
    keys = {key for key in ("limits", "observed_range", "derivative_of") if getattr(channel, key)}
    if channel.role == "output" or channel.derived:
        keys -= {"derivative_of"}
    if channel.role == "output" and channel.kind != "linear":
        return f"a channel of role output is of kind linear, not {channel.kind}"
    if keys:
        return (
            f"`{min(keys)}` is for a state or an action; this channel has the role {channel.role}"
        )
    return None


def unit_problem(sources: list[Source], unit: str) -> str | None:
    """Return a message about the first source unit that cannot be converted to `unit`, or None."""
    for source in sources:
        if source.unit:
            try:
                factor(source.unit, unit)
            except BadInput as error:
                return str(error)
    return None


def with_roles(channels: Mapping[str, Channel], *roles: str) -> list[str]:
    """Return the names of channels with these roles, those of the first role first."""
    return [n for role in roles for n, channel in channels.items() if channel.role == role]


def rotations(channels: Mapping[str, Channel]) -> list[tuple[str, ...]]:
    """Return the names of the channels of each quaternion, in the order of the task."""
    names = [name for name, channel in channels.items() if channel.kind == "quaternion"]
    return [tuple(names[at : at + _ELEMENTS]) for at in range(0, len(names), _ELEMENTS)]


def problems_between(channels: dict[str, Channel]) -> Problems:
    """Return the problems (where, message) of names, parents, cycles and units."""
    problems: Problems = []
    problems += [
        (
            ("channels", group[0], "kind"),
            f"{len(group)} elements of a quaternion; expected four, one after the other",
        )
        for group in rotations(channels)
        if len(group) != _ELEMENTS
    ]
    parents = {name: channel.derivative_of for name, channel in channels.items()}
    for name, channel in channels.items():
        parent = parents[name]
        where = ("channels", name, "of" if channel.derived else "derivative_of")
        if wrong := _wrong_name(name):
            problems.append((where[:2], wrong))
        if parent is None:
            continue
        if parent not in channels and channel.derived:
            continue  # reported by `computed_problems`
        if parent not in channels:
            problems.append(
                (where, f"unknown channel {parent!r}; {nearest(parent, list(channels))}")
            )
        elif not channel.derived and leads_to_itself(name, parents):
            problems.append((where, f"{name!r} is indirectly the derivative of itself"))
        elif not is_derivative(channel.unit, channels[parent].unit):
            problems.append(
                (where, f"{channel.unit} is not {channels[parent].unit} per time ({parent!r})")
            )
    return problems


def _wrong_name(name: str) -> str | None:
    if name in RESERVED:
        return f"{name!r} is a reserved name; choose another and name the log's column at `source`"
    if not name.isidentifier():
        return (
            f"{name!r} is not a valid channel name: use a letter followed by letters, digits and "
            f"_; name the log's column at `source`"
        )
    return None


def leads_to_itself(start: str, following: Mapping[str, str | None]) -> bool:
    """Return whether a name leads back to itself, from each name to the following one."""
    visited: set[str] = set()
    name: str | None = start
    while name is not None and name in following and name not in visited:
        visited.add(name)
        name = following[name]
    return name == start
