"""The `control` part of a task: the objective for the robot, and its controller."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationInfo, field_validator

from kinemill.registry import Links, Registry, nearest
from kinemill.store.digests import file_digest
from kinemill.store.json_io import Json
from kinemill.task.bounds import (
    Count,
    PositiveQuantity,
    Quantity,
    Ratio,
    RowCount,
    Seconds,
    Weight,
    Width,
)
from kinemill.task.channels import Channel
from kinemill.task.expressions import FUNCTIONS, Expression, Formula
from kinemill.task.hooks import from_task_folder
from kinemill.task.plugins import Array, Plugin, Settings, pick
from kinemill.task.settings import Problems, unknown_names
from kinemill.task.web_overrides import LOCAL


def _number(value: object) -> object:
    """Evaluate a formula without names, such as `pi / 2`."""
    if not isinstance(value, str):
        return value
    formula = Expression(value)
    if formula.names:
        raise ValueError(
            f"{value!r} is not a number: {', '.join(sorted(formula.names))} cannot be used here"
        )
    return float(formula.value({}))


Number = Annotated[Quantity, BeforeValidator(_number)]
Range = tuple[Number, Number]


class Controller(Plugin):
    """Settings of a sampling controller, and its mathematics.

    Plans are knots (K, A) within [-1, 1], the lowest and the highest value of each action; a spline
    through them is the action sequence. One step of control shifts the last plan by `dt`, then
    `iterations` times draws plans around it, rolls them out, and updates the plan by their costs.
    """

    samples: Count = Field(default=256, ge=2)
    """plans evaluated per iteration, the previous plan included"""
    horizon: RowCount = 25
    """planning horizon, steps of `dt`"""
    knots: Count | None = None
    """knots of the spline over the horizon; default: one per step"""
    spline: Literal["zero", "linear", "cubic"] = "linear"
    """interpolation between knots: hold the last one, linear or cubic"""
    iterations: Count = 1
    """rounds of drawing and updating plans per control step"""
    noise: Ratio = 0.3
    """standard deviation of a knot, in halves of the action's range"""
    min_noise_scale: float = Field(default=1.0, gt=0.0, le=1.0)
    """the noise of plans decays geometrically to this fraction: large noise explores, small noise
    stabilizes an unstable robot"""

    def draw(self, plan: Any, iteration: int, random: np.random.Generator) -> Array:
        """Draw knots (B, K, A), in half action ranges: the plan itself, then plans around it.

        The caller clips them. This is independent noise of all knots.

        Args:
            plan: the best `kinemill.control.plan.Plan` so far.
            iteration: from 0 to `iterations` - 1.
            random: numpy generator.
        """
        del iteration
        return plan.around(self.samples, self.noise, random, self.min_noise_scale)

    @abstractmethod
    def update(self, plan: Any, knots: Array, costs: Array) -> Any:
        """Return the next plan from knots (B, K, A) and their costs (B,); a failure costs inf."""


CONTROLLERS: Registry[type[Controller]] = Registry("kinemill.control.controllers", "controller")


class Aim(Settings):
    """A quantity and its target value."""

    of: Formula
    """a channel, a name of `derived`, or a formula of them"""
    target: Number = 0.0
    """target value, in the quantity's unit; `pi` is allowed"""
    kind: Literal["linear", "angle"] | None = None
    """angle: the error takes the shortest rotation; default: the channel's kind, linear for a
    formula"""


class Term(Aim):
    """One term of the running cost, in 1/s: it is integrated over time."""

    shape: Literal["square", "upright", "value", "rate"] = "square"
    """function of the error e, the quantity minus its target. squared: e²; upright: 1 - cos e;
    value: e; rate: squared change per second"""
    weight: Weight = 1.0
    """factor on the term"""
    terminal: Weight = 0.0
    """weight of the same term at the end of the horizon, not multiplied by dt"""


class Reached(Aim):
    """A quantity that must be close to its target for the run to succeed."""

    within: PositiveQuantity
    """largest allowed |error|, in the quantity's unit"""


class Risk(Settings):
    """How the costs of one plan under several models are combined."""

    type: Literal["average", "worst", "best", "exponential", "value_at_risk", "cvar"] = "average"
    """function of the costs"""
    level: float = Field(default=0.9, gt=0.0, lt=1.0)
    """value_at_risk: the quantile; cvar: the mean of the costs beyond that quantile"""
    aversion: Quantity = 1.0
    """exponential: log-mean-exp of this factor times the cost; < 0 is risk-seeking"""


class Uncertainty(Settings):
    """Settings for an uncertain model or plant."""

    members: Width = 1
    """true physics: plants on which each plan is evaluated"""
    vary: dict[str, Annotated[float, Field(gt=0.0, lt=1.0)]] = {}
    """true physics: parameter of the plant, the largest relative change"""
    propagation: Literal["ts_inf", "ts_1"] = "ts_inf"
    """trajectory sampling of PETS through an ensemble. ts_inf: each member continues from its own
    prediction; ts_1: members are drawn again at every step"""
    sample_noise: bool = False
    """add noise of the learned variance (`learn.loss: gaussian`) to every step"""
    max_std: dict[str, PositiveQuantity] = {}
    """state: largest standard deviation of a prediction, in its unit; plans beyond it are refused;
    without a remaining plan the action is zero"""


# The files of a plant, for cache keys: MuJoCo lists what a model includes.
PLANT_FILES: Links[Callable[[str], dict[str, Path]]] = Links(
    "plant file", {"files": "kinemill.control.physics"}
)
_SENSED = ("body_", "sensor_", "site_")  # start of quantities of a plant that are no states


def is_plant_file(plant: str) -> bool:
    """Return whether `control.plant` is a model file."""
    return plant.endswith((".xml", ".urdf"))


@cache
def _plants() -> Registry[object]:
    return Registry("kinemill.control.sim", "simulated robot")


class Control(Settings):
    """The objective of a controller, its plant, and how it plans."""

    plant: Annotated[str | None, LOCAL] = None
    """a robot of `kinemill.control.sim`, or an MJCF or URDF file relative to the task file, for
    rollouts, the learning loop and costs over its sites, bodies and sensors; planning on a robot
    or in a learned simulator needs none"""
    seconds: Seconds = 8.0
    """length of an episode"""
    start: dict[str, Range] = {}
    """state: lowest and highest initial value; other states start at 0"""
    derived: dict[str, Formula] = {}
    """name: a formula of channels, such as the position of a tip"""
    cost: list[Term] = Field(min_length=1)
    """running cost: the sum of these terms"""
    success: list[Reached] = []
    """quantities that must reach their targets for a run to succeed"""
    hold: Seconds = 2.0
    """time at the end of an episode during which `success` must hold, s"""
    max_rate: dict[str, PositiveQuantity] = {}
    """action: largest change, its unit per second"""
    risk: Risk = Risk()
    """reduction of the costs of several predictions to one number"""
    uncertainty: Uncertainty = Uncertainty()
    """uncertain models and plants, and limits of plans"""
    controller: Annotated[
        SerializeAsAny[Controller], BeforeValidator(pick(CONTROLLERS, Controller))
    ]
    """sampling controller, with its settings"""

    @field_validator("plant")
    @classmethod
    def _known_plant(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and is_plant_file(value):
            return from_task_folder(value, info)
        if value is not None and value not in _plants():
            raise ValueError(f"unknown simulated robot; {nearest(value, list(_plants()))}")
        return value

    def content(self) -> Json:
        """Return the settings with digests of the plant's files instead of paths, for cache keys.

        Raises:
            BadInput: A file of the plant is missing.
        """
        settings = self.model_dump(mode="json", by_alias=True)
        if self.plant is None or not is_plant_file(self.plant):
            return settings
        files = PLANT_FILES["files"](self.plant)
        digests = {name: file_digest(path) for name, path in files.items()}
        return {**settings, "plant": Path(self.plant).name, "files": digests}

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: names that are no state, no action or no derived quantity."""
        roles = {name: channel.role for name, channel in channels.items()}
        states = [name for name in roles if roles[name] == "state"]
        actions = [name for name in roles if roles[name] == "action"]
        errors = unknown_names(self.start, states, "state", "start")
        errors += unknown_names(self.max_rate, actions, "action", "max_rate")
        uncertain = self.uncertainty.max_std
        errors += unknown_names(uncertain, states, "state", "uncertainty", "max_std")
        if not actions:
            errors.append((("cost",), "control needs a channel of role action"))
        for name in actions:
            if channels[name].limits is None:
                errors.append((("cost",), f"action {name!r} needs `limits` to be controlled"))
        names = [*states, *actions]
        for name, formula in self.derived.items():
            if name in channels or not name.isidentifier() or name in (*FUNCTIONS, "pi"):
                errors.append((("derived", name), "is already used; choose another name"))
            errors += self._unknown_names(formula, names, ("derived", name))
            names.append(name)
        for key, aims in (("cost", self.cost), ("success", self.success)):
            for index, aim in enumerate(aims):
                errors += self._unknown_names(aim.of, names, (key, index, "of"))
        return errors

    def _unknown_names(
        self, formula: str, names: list[str], where: tuple[str | int, ...]
    ) -> Problems:
        sensed = _SENSED if self.plant is not None and is_plant_file(self.plant) else ()
        return [
            (where, f"{name!r} is no state, action or derived quantity; {nearest(name, names)}")
            for name in sorted(Expression(formula).names - set(names))
            if not name.startswith(sensed)
        ]

    def is_angle(self, aim: Aim, channels: Mapping[str, Channel]) -> bool:
        """Return whether the quantity of `aim` is an angle, compared by the shortest rotation."""
        if aim.kind is not None:
            return aim.kind == "angle"
        return aim.of in channels and channels[aim.of].kind == "angle"
