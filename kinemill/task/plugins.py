"""Plug-in families, selected by `type` in a task file; registered here by folder name only.

A registry imports the file of a plug-in when a task selects it. A plug-in class holds the settings
of the task file and builds the object. In a family that supports custom code, `type` can also be
`file.py:name`, see `own_code`.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, SerializeAsAny, ValidationInfo

from kinemill.errors import BadInput
from kinemill.extras import MissingPackage
from kinemill.registry import Registry
from kinemill.task.bounds import LearningRate, Quantity
from kinemill.task.channels import Channel
from kinemill.task.own_code import OwnCode, is_own, make_own
from kinemill.task.portfolio import Candidate, Structure, TaskFacts
from kinemill.task.protocols import TorchModule
from kinemill.task.settings import Plugin, Problems, Settings

Array = NDArray[np.float64]
P = TypeVar("P", bound="Plugin")
V = TypeVar("V")  # a tensor


class Model(Plugin):
    """Settings of an architecture, and its construction."""

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Return the torch network `(features (B, inputs), carry...) -> (outputs, carry...)`.

        The network has `carry_shapes`, the shape of each carry without the batch, and
        `warm_up(features (B, K, inputs)) -> carry`, equal to K steps from a zero carry. A network
        with `fit(batches)` is fitted once before training, to pairs of features (N, history,
        inputs) and target outputs (N, outputs).

        Raises:
            BadInput: This model needs the channels of a task, see `build_for`.
        """
        del inputs, outputs, history
        where = f"model {self.type!r}"
        raise BadInput(
            where, "cannot be part of another model", expected="a model of features only"
        )

    def build_for(self, layout: Any, scale: Mapping[str, object]) -> TorchModule:
        """Return the network for the channels of a task.

        A model that needs more than the number of features overrides this method instead of
        `build`. A network with `physical = True` has inputs and outputs in task units, see
        `kinemill.models`.

        Args:
            layout: the `Layout` of `kinemill.train.layout`: channels, their order, dt, outputs.
            scale: float64 tensors by name from the training split: `SCALES` of `train.step`.
        """
        del scale
        return self.build(layout.features, len(layout.outputs), layout.history)

    def build_acting(self, layout: Any, sizes: tuple[int, int, int]) -> TorchModule:
        """Return the network of a policy.

        Args:
            layout: the `PolicyLayout`: names of observations and actions.
            sizes: features per row, inputs of the head, rows of history.
        """
        del layout
        return self.build(*sizes)

    @property
    def has_few_parameters(self) -> bool:
        """Whether a Gauss-Newton fit before the training by gradients is the default."""
        return False

    def default_outputs(self, channels: Mapping[str, Channel]) -> dict[str, dict[str, str]]:
        """Return `learn.outputs` of a task that sets none; empty: the delta of every state."""
        del channels
        return {}

    def output_problems(self, outputs: Mapping[str, object]) -> Problems:
        """Return problems of this model with the outputs of a task, an `Output` by name."""
        del outputs
        return []

    @classmethod
    def structures(cls, facts: TaskFacts) -> Sequence[Structure]:
        """Return the simple models of this type that are fitted in closed form.

        They are references for other models, and the first candidates of a portfolio.
        """
        del facts
        return ()

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Return the next candidates of a portfolio, given the best closed-form history."""
        del facts
        return ()


def _ordered(value: object) -> object:
    if isinstance(value, tuple) and not value[0] < value[1]:
        raise ValueError(f"the lower end {value[0]} is not below the upper end {value[1]}")
    return value


Scale = Annotated[
    Literal["z_score", "range", "none"] | tuple[Quantity, Quantity], AfterValidator(_ordered)
]


Origin = Literal["previous", "first", "last"]  # the reference row of a relative value


class Encoding(Plugin):
    """Settings and computation of a channel's features.

    Training, evaluation, export and runtime share this torch code: it is part of the graph.

    Attributes:
        parts: number of features per channel.
        bounded: whether the features need no scaling, such as a cosine.
        origin: row that is subtracted: `previous`, or `first` or `last` of a sliding window; None:
            no row.
    """

    parts: ClassVar[int] = 1
    bounded: ClassVar[bool] = False
    scale: Scale | None = None
    """weight of this channel's features; default: that of `learn.encoding`"""

    @property
    def origin(self) -> Origin | None:
        """The row that is subtracted; None: values are absolute."""
        return None

    @abstractmethod
    def encode(self, values: object) -> tuple[Any, ...]:
        """Encode n channels in task units: (..., n) -> `parts` tensors (..., n).

        It works element by element and maps NaN to NaN.
        """


class Loss(Plugin):
    """Settings of a loss of a dynamics model."""

    @abstractmethod
    def terms(self, error: V) -> V:
        """Return the terms of the loss, a tensor of the shape of `error`.

        Args:
            error: (..., T, C) predicted minus recorded, in standard deviations of the training
                split, of T steps and C states and outputs; the difference of angles is wrapped.
        """


class Transform(Plugin):
    """Settings of features that are computed from all channels of a row."""

    @abstractmethod
    def encode(self, channels: Mapping[str, V]) -> Mapping[str, V]:
        """Compute features (...) by name from states and actions (...) by name.

        It works row by row, in task units, and maps NaN to NaN.
        """


class Coordinates(Plugin):
    """Settings of coordinates in which a network predicts, instead of in states."""

    @abstractmethod
    def encode(self, states: Mapping[str, V]) -> Mapping[str, V]:
        """Compute coordinates (...) by name from all states (...) by name, in task units."""

    @abstractmethod
    def decode(self, coordinates: Mapping[str, V]) -> Mapping[str, V]:
        """Compute all states by name from coordinates: the inverse of `encode`."""


class Optimizer(Plugin):
    """Settings of an optimizer."""

    lr: LearningRate
    """peak of the learning rate"""

    @abstractmethod
    def build(self, parameters: Iterable[object]) -> Any:
        """Return the torch optimizer of `parameters`; the schedule sets `lr` before every step."""


class Schedule(Plugin):
    """Settings of a learning rate schedule."""

    @abstractmethod
    def rate(self, step: int, top: float, steps: int) -> float:
        """Return the learning rate.

        Args:
            step: training step, from 0.
            top: learning rate of the optimizer's settings.
            steps: number of steps of the whole training.
        """


class GateRule(Settings):
    """Settings of a gate rule with limits, which applies if `promote.rules` sets it."""

    @abstractmethod
    def __call__(self, inputs: Any) -> Any:
        """Return the verdicts for `GateInputs`, see `kinemill.register.gate.rules`."""


AUGMENTATIONS: Registry[type[Plugin]] = Registry(
    "kinemill.augment", "augmentation", own="kinemill.augment._own:OwnAugmentation"
)
MODELS: Registry[type[Model]] = Registry(
    "kinemill.models", "model", own="kinemill.models._own:OwnModel"
)
ENCODINGS: Registry[type[Encoding]] = Registry("kinemill.train.features", "encoding")
OBJECTIVES: Registry[type[Plugin]] = Registry(
    "kinemill.train.objectives",
    "learn type",
    modules={
        "imitation": "kinemill.policies.imitation.objective",
        "motion": "kinemill.policies.motion.objective",
        "reinforcement": "kinemill.policies.rl.objective",
    },
)
LOSSES: Registry[type[Loss]] = Registry(
    "kinemill.train.losses", "loss", own="kinemill.train.own_code:OwnLoss"
)
TRANSFORMS: Registry[type[Transform]] = Registry(
    "kinemill.train.transforms", "transform", own="kinemill.train.own_code:OwnTransform"
)
COORDINATES: Registry[type[Coordinates]] = Registry(
    "kinemill.train.coordinates",
    "coordinate transform",
    own="kinemill.train.own_code:OwnCoordinates",
)
OPTIMIZERS: Registry[type[Optimizer]] = Registry("kinemill.train.optimizers", "optimizer", "adamw")
SCHEDULES: Registry[type[Schedule]] = Registry(
    "kinemill.train.schedules", "schedule", "cosine_warmup"
)
CHECKS: Registry[type[Settings]] = Registry(
    "kinemill.validate.checks", "physical check", own="kinemill.validate.checks._own:OwnCheck"
)
RULES: Registry[Any] = Registry("kinemill.register.gate.rules", "gate rule")
READERS: Registry[Any] = Registry("kinemill.ingest.readers", "log format")


def make(family: Registry[type[P]], cls: type[P], value: object, context: object = None) -> P:
    """Return a member of a family with settings, selected by `type` or the default.

    Args:
        family: the registry of classes.
        cls: their common base class.
        value: settings of a task file, the type alone, or an instance.
        context: pydantic context; `folder` is the folder of the task file, if known.

    Raises:
        ValueError: The class is unknown, or does not accept the settings.
        MissingPackage: The class needs an extra; pydantic lists no further problems of the task.
    """
    if isinstance(value, cls):
        return value
    if isinstance(value, str):
        value = {"type": value}
    named = value.get("type", family.usual) if isinstance(value, dict) else None
    if not isinstance(named, str):
        message = f"needs a `type`, one of {', '.join(family) or 'your files, as file.py:name'}"
        raise ValueError(message)
    try:
        if isinstance(value, dict) and is_own(named):
            return cast(P, make_own(cast(type[OwnCode], family.adapter()), value, context))
        member = family[named]
    except MissingPackage:
        raise
    except BadInput as error:
        raise ValueError(str(error)) from error
    return member.model_validate(value, context=context)


def pick_own(family: Registry[Any]) -> Callable[[object, ValidationInfo], Plugin]:
    """Return a validator that accepts custom code only."""

    def build(value: object, info: ValidationInfo) -> Plugin:
        named = value.get("type") if isinstance(value, dict) else value
        if not (is_own(named) or isinstance(value, Plugin)):
            message = f"expected `file.py:name` of a {family.what}, or a mapping with it as `type`"
            raise ValueError(message)
        return make(family, Plugin, value, info.context)

    return build


def pick(family: Registry[type[P]], cls: type[P]) -> Callable[[object, ValidationInfo], P]:
    """Return a validator that calls `make`."""
    return lambda value, info: make(family, cls, value, info.context)


def usual(family: Registry[type[P]]) -> P:
    """Return the default member of a family with default settings."""
    return family[str(family.usual)].model_validate({})


def pick_or_none(
    family: Registry[type[P]], cls: type[P]
) -> Callable[[object, ValidationInfo], P | None]:
    """Return a validator like that of `pick` which also accepts None."""
    build = pick(family, cls)
    return lambda value, info: None if value is None else build(value, info)


# The type of a setting that is a model or none.
OptionalModel = Annotated[
    SerializeAsAny[Model] | None, BeforeValidator(pick_or_none(MODELS, Model))
]
