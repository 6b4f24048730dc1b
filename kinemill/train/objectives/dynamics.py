"""Dynamics model: learn the next state from past states and actions, with a loss over rollouts.

Symbols: B batch, H `history`, T `horizon`, S states, A actions, k step index.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationInfo

from kinemill.errors import BadInput
from kinemill.store import Json
from kinemill.task import Channel, Problems, Task, TorchModule, unknown_channels
from kinemill.task.bounds import PositiveQuantity, RowCount, Seconds, Weight, Width
from kinemill.task.computed import estimator_rows
from kinemill.task.own_code import is_own
from kinemill.task.plugins import (
    COORDINATES,
    LOSSES,
    OBJECTIVES,
    TRANSFORMS,
    Coordinates,
    Loss,
    Model,
    OptionalModel,
    Transform,
    pick,
    pick_or_none,
)
from kinemill.task.portfolio import BUDGET
from kinemill.train.context import SELECTIONS, Trained, TrainingContext
from kinemill.train.dynamics_settings import Encodings, GaussNewton, HorizonSchedule
from kinemill.train.layout import Layout, Window, layout_of
from kinemill.train.relations import Follows, Integrator, Output, outputs_of, problems_of
from kinemill.train.supervised import Supervised


def _pick_loss(value: object, info: ValidationInfo) -> object:
    """Return the name of a built-in loss, or the settings of a plug-in."""
    return value if isinstance(value, str) and not is_own(value) else _make_loss(value, info)


_make_loss = pick(LOSSES, Loss)


def _usual_fit(data: Mapping[str, Any]) -> GaussNewton | None:
    """Return the default of `gauss_newton`, given the keys above it."""
    model: Model | None = data.get("model")  # absent if it is not valid
    return GaussNewton() if model is not None and model.has_few_parameters else None


@OBJECTIVES.register("dynamics")
class Dynamics(Supervised):
    """Learn a simulator: the next state from a history of states and actions."""

    version: ClassVar[int] = 9
    type: Literal["dynamics"] = "dynamics"
    outputs: dict[str, Output] = {}
    """outputs of the network by name; default: the delta of every state, for rigid_body the
    derivative of every velocity"""
    relations: dict[str, Follows] = {}
    """states that follow from others; default: by `derivative_of` of channels"""
    integrator: Integrator = "semi_implicit"
    """method that integrates derivatives over a time step"""
    encoding: Encodings = Encodings()
    """features of each channel, the inputs of the network"""
    features: Annotated[
        SerializeAsAny[Transform] | None, BeforeValidator(pick_or_none(TRANSFORMS, Transform))
    ] = None
    """custom features instead of `encoding`: `file.py:function` relative to the task file, all
    channels of a row -> features by name"""
    coordinates: Annotated[
        SerializeAsAny[Coordinates] | None, BeforeValidator(pick_or_none(COORDINATES, Coordinates))
    ] = None
    """custom coordinates of the predictions: `file.py:Class` relative to the task file, with
    `encode` of all states and its inverse `decode`"""
    window: Window = "carried"
    """carried: recurrent models carry their hidden state through a rollout; sliding: they process
    the last `history` rows again at each step, at `history` times the cost"""
    model: OptionalModel = None
    """architecture of the network; default: the best of a portfolio of model families in
    validation, within `budget`"""
    budget: Seconds = BUDGET
    """time that a portfolio takes to select and train a model, s; an error if `model` is set"""
    history: RowCount = 10
    """rows of states and actions in the input of the model"""
    horizon: RowCount = 10
    """length of training rollouts, steps of `dt`"""
    horizon_schedule: HorizonSchedule | None = None
    """growth of the horizon during training; default: none"""
    noise: dict[str, PositiveQuantity] = {}
    """std, in the channel's unit, added to the initial states of a rollout"""
    weights: Literal["variance", "unit"] | dict[str, Weight] = "variance"
    """weights of squared errors. variance: errors in standard deviations; unit: errors in units of
    the channels; a mapping: in standard deviations, with a weight by channel (default 1)"""
    loss: Annotated[
        Literal["squared", "gaussian"] | SerializeAsAny[Loss], BeforeValidator(_pick_loss)
    ] = "squared"
    """gaussian: also learn the variance of each prediction; or a custom loss, `file.py:function`
    relative to the task file, errors -> terms"""
    ensemble: int = Field(default=1, ge=1, le=32)
    """members, trained as one program"""
    gauss_newton: GaussNewton | None = Field(default_factory=_usual_fit)
    """Gauss-Newton fit of a model with few parameters before the training; default: off; on for
    rigid_body and equations without `residual`"""
    robots: Literal["none", "embedding"] = "none"
    """embedding: a learned vector for each task of the episodes"""
    embedding_size: Width = 4
    """length of that vector"""
    checkpoint: Literal["single_step", "multi_step", "likelihood"] = "multi_step"
    """validation error that selects the best weights"""

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems of outputs, relations, encodings and the model."""
        outputs = self.outputs_for(channels)
        problems = problems_of(channels, outputs, self.relations, self.integrator)
        inputs = {name: channel for name, channel in channels.items() if channel.role != "output"}
        problems += [
            (("encoding", *where), what)
            for where, what in self.encoding.problems(inputs, self.window)
        ]
        problems += self._custom_problems()
        if self.model is not None:
            states = [name for name, channel in channels.items() if channel.role == "state"]
            unfit = self.model.output_problems(outputs_of(states, outputs, self.relations))
            unfit += self.model.problems(inputs)
            problems += [(("model", *where), what) for where, what in unfit]
        problems += unknown_channels(list(self.noise), inputs, "noise")
        if isinstance(self.weights, dict):
            roles = ("state", "output")
            predicted = {
                name: channel for name, channel in channels.items() if channel.role in roles
            }
            states = [name for name, channel in predicted.items() if channel.role == "state"]
            problems += unknown_channels(list(self.weights), predicted, "weights")
            if states and not any(self.weights.get(name, 1.0) for name in states):
                problems.append((("weights",), "are zero for every state"))
        if self.loss == "gaussian":
            problems += [
                (("loss",), f"gaussian supports no output channels such as {name!r}; use squared")
                for name, channel in channels.items()
                if channel.role == "output"
            ]
        if self.model is None and self.epochs is not None:
            what = "has no meaning without `model`: a portfolio trains for `budget` seconds"
            problems.append((("epochs",), f"{what}; set learn.model or learn.budget"))
        if self.model is not None and self.budget != BUDGET:
            what = "has no effect with `model`: it is the time in which a portfolio selects one"
            problems.append((("budget",), f"{what}; set learn.steps, or remove learn.model"))
        if self.checkpoint == "likelihood" and self.loss != "gaussian":
            problems.append((("checkpoint",), "likelihood needs `loss: gaussian`"))
        return problems

    def outputs_for(self, channels: Mapping[str, Channel]) -> dict[str, Output]:
        """Return `outputs`, by default those of the model; empty: the delta of every state."""
        if self.outputs or self.model is None:
            return self.outputs
        default = self.model.default_outputs(channels)
        return {name: Output.model_validate(item) for name, item in default.items()}

    def _custom_problems(self) -> Problems:
        """Return problems of settings that custom features or coordinates exclude."""
        problems: Problems = []
        settings = {"features": self.features, "coordinates": self.coordinates}
        for name in [key for key, value in settings.items() if value is not None]:
            if self.model is None:
                problems.append(((name,), "needs `model`: a portfolio has models of channels"))
            elif type(self.model).build_for is not Model.build_for:
                text = f"{self.model.type} computes features of channels itself; leave {name} out"
                problems.append((("model",), text))
        if self.features is not None and self.encoding.channels:
            where = ("encoding", "channels")
            problems.append((where, "has no effect with `features`; compute them there"))
        if self.coordinates is not None:
            excluded = {
                "outputs": bool(self.outputs),
                "relations": bool(self.relations),
                "integrator": self.integrator == "rk4",
                "loss": self.loss == "gaussian",
                "robots": self.robots != "none",
            }
            problems += [
                ((name,), "does not work with `coordinates`; leave it out")
                for name, is_set in excluded.items()
                if is_set
            ]
        return problems

    def horizon_at(self, step: int) -> int:
        """Return the length of rollouts at a training step, steps of `dt`."""
        return (
            self.horizon_schedule.at(step, self.horizon) if self.horizon_schedule else self.horizon
        )

    def needed_rows(self, task: Task) -> dict[str, dict[str, int]]:
        """Return the rows of one window by split, as a sum of named parts."""
        derived = task.derived
        estimated = estimator_rows([task.channels[name] for name in derived], task.dt)
        history = {"learn.history": self.history}
        if estimated > self.history:
            history = {f"rows that estimate {', '.join(derived)}": estimated}
        window = history | {"learn.horizon": self.horizon}
        test = history | {"verify.horizon": task.verify.horizon}
        return {"train": window, "validation": window, "test": test}

    def train(self, task: Task, data: object, bench: TrainingContext) -> Trained:
        """Train the model; without `model`, select one from the portfolio."""
        if self.model is not None:
            return super().train(task, data, bench)
        return SELECTIONS["portfolio"](self, task, data, bench)

    def setup_function(self) -> Callable[..., object]:
        """Return the function behind `prepare`."""
        from kinemill.train.objectives._dynamics_setup import prepare

        return prepare

    def describe(self, task: Task, data: Any) -> Json:
        """Return units, limits, standard deviations and layout of the channels, and the robots.

        Raises:
            BadInput: As in `robots_in`, or custom features or coordinates fail.
        """
        dataset, training_set = data
        return {
            "units": {name: task.channels[name].unit for name in (*task.columns, *task.outputs)},
            "limits": {name: task.channels[name].limits for name in task.columns},
            "train_std": dict(zip(dataset.columns, dataset.std.tolist(), strict=True)),
            "layout": layout_of(task).to_json(),
            "robots": list(self.robots_in(training_set)),
        }

    def rebuild(self, description: Json, weights: dict[str, Any]) -> TorchModule:
        """Return a `train.step.Step` or a `train.ensemble.Ensemble` with the scaling of `weights`.

        The weights themselves are random; the caller loads them.
        """
        from kinemill.train.build import assemble, scale_in

        layout = Layout.from_json(description["layout"])
        return assemble(self, layout, scale_in(weights), len(description["robots"]))

    def robots_in(self, training_set: Any) -> tuple[str, ...]:
        """Return the tasks that have an embedding, this one first.

        Raises:
            BadInput: `robots` is embedding, but there is only one robot.
        """
        from kinemill.train.robots import robots_of

        robots = robots_of(training_set)
        if self.robots == "none":
            return robots[:1]
        if len(robots) == 1:
            raise BadInput(
                "learn.robots: embedding",
                f"all episodes belong to {robots[0]}",
                expected="episodes of at least two robots",
                fix="add the other tasks to dataset.join, or set learn.robots: none",
            )
        return robots
