"""A robot or mechanism of any MJCF or URDF file in MuJoCo, described by named quantities."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ValidationInfo, field_validator

from kinemill.control.mujoco_model import (
    RobotModel,
    command_range,
    load_model,
    model_sources,
    steps_in,
)
from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env
from kinemill.policies.environments.kinds._mujoco import MujocoEnv, MujocoRows, Rules, used_names
from kinemill.policies.environments.vector_env import Rows, VectorRows
from kinemill.registry import require_known
from kinemill.task.bounds import QuantityOrZero
from kinemill.task.control import Reached
from kinemill.task.document import Task
from kinemill.task.environment import KINDS, Environment, Range
from kinemill.task.expressions import Expression, Formula
from kinemill.task.hooks import from_task_folder
from kinemill.task.web_overrides import LOCAL

_STEPS = 1000  # of an episode without `steps`, as Gymnasium's MuJoCo environments have


@KINDS.register("mujoco")
class MujocoEnvironment(Environment):
    """A robot in MuJoCo by its MJCF or URDF file, with a reward of named quantities.

    `randomize` and `variants` have factors on mass, friction, gain and damping.
    """

    type: Literal["mujoco"] = "mujoco"
    model: Annotated[str, LOCAL]
    """MJCF or URDF file, relative to the task file"""
    actuators: dict[str, Range | None] = {}
    """actuator: lowest and highest control, null: its `ctrlrange`, of a position servo without one
    the range of its joint; others are held at 0. Default: all"""
    motors: dict[str, Range] = {}
    """joint: lowest and highest torque or force of a motor that is added, where the model has no
    actuators"""
    observe: list[str] = []
    """quantities or names of `derived`; default: positions and velocities of all joints, then all
    sensors"""
    derived: dict[str, Formula] = {}
    """name: a formula of quantities, such as `cos(shoulder)`"""
    reward: Formula | dict[str, Formula]
    """reward of a step, a formula of quantities after it; or parts by name, whose sum it is"""
    healthy: dict[Formula, Range] = {}
    """quantity or formula: lowest and highest value; an episode ends outside"""
    success: list[Reached] = []
    """quantities that are close to their targets at the end of a success"""
    start: dict[str, Range] = {}
    """joint position or velocity: lowest and highest value that an episode starts with; others as
    in `keyframe` with `start_noise`"""
    start_noise: QuantityOrZero = 0.0
    """standard deviation at the start of positions of hinges (rad) and slides (m), and of all
    velocities"""
    keyframe: str | None = None
    """keyframe of the model to start from; default: its `qpos0`"""

    @field_validator("model")
    @classmethod
    def _resolve_from_the_task(cls, value: str, info: ValidationInfo) -> str:
        return from_task_folder(value, info)

    @field_validator("derived")
    @classmethod
    def _formulas_use_names_above_them(cls, derived: dict[str, str]) -> dict[str, str]:
        above = set[str]()
        for name, text in derived.items():
            if late := (Expression(text).names & set(derived)) - above:
                message = f"{name} uses {min(late)}, which is not above it"
                raise ValueError(message)
            above.add(name)
        return derived

    def sources(self) -> dict[str, Path]:
        """Return the model file, with the files that it includes or refers to.

        Raises:
            BadInput: One of them does not exist, or is not in the folder of the model.
        """
        return model_sources(Path(self.model), f"environment.model: {self.model}")

    def at(self, folder: Path) -> "MujocoEnvironment":
        """Return the environment with the model file that `folder` holds."""
        return self.model_copy(update={"model": str(folder / Path(self.model).name)})

    def make(self, task: Task, *, render: bool = False) -> Env:
        """Return the environment; an episode has 1000 steps if the task does not set `steps`.

        Raises:
            BadInput: The model is not usable, a name is unknown, or `dt` is no multiple of the
                physics' time step.
        """
        from gymnasium.wrappers import TimeLimit

        made = MujocoEnv(self._batch(task, 1, {}), render=render)
        return made if self.steps is not None else TimeLimit(made, _STEPS)

    def vectorized(self, task: Task) -> Callable[[int], VectorRows] | None:
        """Return a factory of copies that MuJoCo's thread pool steps."""
        return lambda count: Rows(
            self._batch(task, count, self.randomize), count, self.steps or _STEPS
        )

    def _batch(self, task: Task, count: int, randomize: Mapping[str, Range]) -> MujocoRows:
        reward = self.reward if isinstance(self.reward, dict) else {"reward": self.reward}
        rules = Rules(
            tuple(self.observe),
            {},
            self.derived,
            reward,
            self.healthy,
            tuple(self.success),
            self.start,
            self.start_noise,
            self.keyframe,
        )
        robot = load_model(Path(self.model), self.motors, used_names(rules))
        sensors = [name for name in robot.quantities if name.startswith("sensor_")]
        observe = rules.observe or (*robot.joints, *sensors)
        rules = replace(rules, observe=observe, actions=self._limits(robot))
        substeps = steps_in(task.dt, robot.model, f"environment.model: {self.model}")
        return MujocoRows(robot, rules, count, substeps, randomize)

    def _limits(self, robot: RobotModel) -> dict[str, Range]:
        """Return the lowest and highest command of each actuator that acts.

        Raises:
            BadInput: An actuator is unknown or has no limits, or there are none.
        """
        names = list(robot.actuators)
        limits = dict[str, Range]()
        if not names:
            where = f"environment.model: {self.model}"
            fix = "name joints in environment.motors"
            raise BadInput(where, "has no actuators", fix=fix)
        for name in self.actuators or names:
            where = f"environment.actuators: {name}"
            require_known(name, names, where, "is no actuator of the model")
            index = names.index(name)
            ends = self.actuators.get(name) or command_range(robot.model, index)
            if ends is None:
                fix = f"environment.actuators: {{{name}: [LOWEST, HIGHEST]}}, or `ctrlrange`"
                raise BadInput(where, "has no limits", expected="a lowest and highest", fix=fix)
            limits[name] = ends
        return limits
