"""The families a task file can name by `type`, known here by folder name alone.

Each registry imports a plug-in's file only when a task names it. A plug-in class is both the
settings of that choice, as a task file spells them, and the way to make the thing itself.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

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

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the torch network `(features (B, inputs), carry...) -> (outputs, carry...)`.

        It has `carry_shapes`, the shape of each carry without the batch, and
        `warm_up(features (B, K, inputs)) -> carry`, which equals K steps from a zero carry. A
        network with `fit(batches)` is shown the training data once before it learns: pairs of
        features (N, history, inputs) and the outputs (N, outputs) that were wanted after them.

        Raises:
            BadInput: this model is made of a task's channels, see `build_for`.
        """
        del inputs, outputs, history
        where = f"model {self.type!r}"
        raise BadInput(where, "is no part of another model", expected="a model of features alone")

    def build_for(self, layout: Any, scale: Mapping[str, Any]) -> Any:
        """Make the network for the channels of a task.

        A model that needs to know more than how many features there are does so here instead of in
        `build`. If its network has `physical = True`, it sees and gives values in task units, see
        `kinemill.models`.

        Args:
            layout: the `Layout` of `kinemill.train.layout`: channels, their order, dt, outputs.
            scale: tensors in float64 by name, from the training split: `SCALES` of `train.step`.
        """
        del scale
        return self.build(layout.features, len(layout.outputs), layout.history)

    def build_acting(self, layout: Any, sizes: tuple[int, int, int]) -> Any:
        """Make the network of a policy.

        Args:
            layout: the `PolicyLayout`: names of what is seen and done.
            sizes: features of a row, numbers that the head asks for, rows that are seen.
        """
        del layout
        return self.build(*sizes)


def _ordered(value: Any) -> Any:
    if isinstance(value, tuple) and not value[0] < value[1]:
        message = f"the lower end {value[0]} is not below the upper end {value[1]}"
        raise ValueError(message)
    return value


Scale = Annotated[
    Literal["z_score", "range", "none"] | tuple[float, float], AfterValidator(_ordered)
]


Origin = Literal["previous", "first", "last"]  # the row that a relative value counts from


class Encoding(Plugin):
    """Settings of how a network sees a channel, and the arithmetic itself.

    Training, evaluation, export and runtime run this one piece of torch: it is part of the graph.

    Attributes:
        parts: features made of one channel.
        bounded: whether the features need no scaling, such as a cosine.
        origin: the row that values count from: the `previous` one, the `first` or `last` of a
            window that slides, or None for zero.
    """

    parts: ClassVar[int] = 1
    bounded: ClassVar[bool] = False
    scale: Scale | None = Field(
        default=None, description="of this channel's features; default: that of `learn.encoding`"
    )

    @property
    def origin(self) -> Origin | None:
        """The row that values are counted from; None: they are as they are."""
        return None

    @abstractmethod
    def encode(self, values: Any) -> tuple[Any, ...]:
        """Turn a tensor (..., n) of n channels, task units, into `parts` tensors of that shape.

        Element by element, and NaN must stay NaN.
        """


class Optimizer(Plugin):
    """Settings of an optimizer."""

    lr: float  # the top of the schedule

    @abstractmethod
    def build(self, parameters: Iterable[Any]) -> Any:
        """Make the torch optimizer of `parameters`; its `lr` is set anew before every step."""


class Schedule(Plugin):
    """Settings of a learning rate over the steps."""

    @abstractmethod
    def rate(self, step: int, top: float, steps: int) -> float:
        """Return the learning rate.

        Args:
            step: of the training, from 0.
            top: the optimizer's own rate.
            steps: of the whole training.
        """


MEDIA = ("image", "text")  # roles stored once a recording; steps hold references

AUGMENTATIONS: Registry[type[Plugin]] = Registry("kinemill.augment", "augmentation")
MODELS: Registry[type[Model]] = Registry("kinemill.models", "model")
ENCODINGS: Registry[type[Encoding]] = Registry("kinemill.train.features", "encoding")
OBJECTIVES: Registry[type[Plugin]] = Registry("kinemill.train.objectives", "learn type")
OPTIMIZERS: Registry[type[Optimizer]] = Registry("kinemill.train.optimizers", "optimizer", "adamw")
SCHEDULES: Registry[type[Schedule]] = Registry(
    "kinemill.train.schedules", "schedule", "cosine_warmup"
)
CHECKS: Registry[type[Settings]] = Registry("kinemill.validate.checks", "physical check")
READERS: Registry[Any] = Registry("kinemill.ingest.readers", "log format")


def make(family: Registry[Any], cls: type[P], value: Any, context: Any = None) -> P:
    """Build the class which `type` names in `family`, or its usual one.

    Args:
        family: of classes.
        cls: what all of them are.
        value: settings as a task file spells them, or what is made already.
        context: of pydantic: `folder`, that of the task file, if there is one.

    Raises:
        ValueError: there is no such class, or the settings are not what it takes.
    """
    if isinstance(value, cls):
        return value
    named = value.get("type", family.usual) if isinstance(value, dict) else None
    if not isinstance(named, str):
        message = f"needs a `type`, one of {', '.join(family)}"
        raise ValueError(message)
    try:
        chosen = family[named]
    except BadInput as error:
        raise ValueError(str(error)) from error
    return chosen.model_validate(value, context=context)


def pick(family: Registry[Any], cls: type[P]) -> Callable[[Any, ValidationInfo], P]:
    """Make a validator that does as `make`."""
    return lambda value, info: make(family, cls, value, info.context)


def usual(family: Registry[type[P]]) -> P:
    """Make the member of a family that is meant where none is named, as it is by default."""
    return family[str(family.usual)].model_validate({})


def pick_or_none(family: Registry[Any], cls: type[P]) -> Callable[[Any, ValidationInfo], P | None]:
    """Make a validator as `pick` does that lets None through."""
    build = pick(family, cls)
    return lambda value, info: None if value is None else build(value, info)


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
