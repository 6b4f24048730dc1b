"""The families a task file can name by `type`, known here by folder name alone.

Each registry imports a plug-in's file only when a task names it. A plug-in class is both the
settings of that choice, as a task file spells them, and the way to make the thing itself.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from kinemill.errors import BadInput
from kinemill.registry import Registry, nearest

P = TypeVar("P", bound="Plugin")


class Settings(BaseModel):
    """A frozen part of a task file; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return what does not fit the task's channels: (key below this part, message)."""
        del channels
        return []


class Plugin(Settings):
    """Settings of one member of a family, chosen by its `type`."""

    type: str


class Model(Plugin):
    """Settings of an architecture, and how to build it."""

    @abstractmethod
    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the torch network `(features (B, inputs), carry...) -> (outputs, carry...)`.

        It has `carry_shapes`, the shape of each carry without the batch, and
        `warm_up(features (B, K, inputs)) -> carry`, which equals K steps from a zero carry. A
        network with `fit(batches)` is shown the training data once before it learns: pairs of
        features (N, history, inputs) and the outputs (N, outputs) that were wanted after them.
        """


MEDIA = ("image", "text")  # roles stored once a recording; steps hold references

AUGMENTATIONS: Registry[type[Plugin]] = Registry("kinemill.augment", "augmentation")
MODELS: Registry[type[Model]] = Registry("kinemill.models", "model")
OBJECTIVES: Registry[type[Plugin]] = Registry("kinemill.train.objectives", "learn type")
CHECKS: Registry[type[Settings]] = Registry("kinemill.validate.physics", "physical check")
READERS: Registry[Any] = Registry("kinemill.ingest.readers", "log format")


def pick(family: Registry[Any], cls: type[P]) -> Callable[[Any], P]:
    """Make a validator that builds the class which `type` names in `family`."""

    def build(value: Any) -> P:
        if isinstance(value, cls):
            return value
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            message = f"needs a `type`, one of {', '.join(family)}"
            raise ValueError(message)
        try:
            chosen = family[value["type"]]
        except BadInput as error:
            raise ValueError(str(error)) from error
        return chosen.model_validate(value)

    return build


def pick_or_none(family: Registry[Any], cls: type[P]) -> Callable[[Any], P | None]:
    """Make a validator as `pick` does that lets None through."""
    build = pick(family, cls)
    return lambda value: None if value is None else build(value)


def unknown_channels(
    names: Mapping[str, Any] | list[str], channels: Mapping[str, Any], *where: str | int
) -> list[tuple[tuple[str | int, ...], str]]:
    """Return a problem for each of `names` that is no channel of numbers, with the nearest one."""
    numbers = [name for name, channel in channels.items() if channel.role not in MEDIA]
    return [
        ((*where, name), f"unknown channel; {nearest(name, numbers)}")
        if name not in channels
        else ((*where, name), f"is of role {channels[name].role}, not a number at each step")
        for name in names
        if name not in numbers
    ]
