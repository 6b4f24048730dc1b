"""The plant of a task in MuJoCo: as the robot to control, and as a model without error.

The `source` names of the task's channels match them to the plant's joints, as in its logs. The
plant may be the robot of an MJCF or URDF file: `control.plant: robot.xml`. Its states and actions
are the quantities of `kinemill.control.mujoco_model`: the positions of all joints, then their
velocities, and the controls of all actuators. Costs may also use sensors (contacts among them),
bodies and sites, which are computed from the states.

Symbols: B batch, N rows, T horizon, S states, A actions, Q joints, U actuators.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.control.mujoco_batch import scale_model
from kinemill.control.mujoco_model import (
    RobotModel,
    command_range,
    load_model,
    model_sources,
    quantity_names,
    steps_in,
)
from kinemill.control.plan import Floats
from kinemill.control.sim import SIMULATORS, MujocoModel, Plant, mujoco
from kinemill.errors import BadInput
from kinemill.registry import nearest, require_known
from kinemill.task.bounds import Ratio
from kinemill.task.channels import Source
from kinemill.task.control import PLANT_FILES, Control, is_plant_file
from kinemill.task.document import Task
from kinemill.task.expressions import Expression


def control_of(task: Task) -> Control:
    """Return the `control` part of a task.

    Raises:
        BadInput: The task has no `control` part.
    """
    if task.control is None:
        raise BadInput(
            task.path or f"task {task.name}",
            "has no `control` part",
            expected="a `control` part with cost and controller",
            fix="see docs/control.md",
        )
    return task.control


def make_plant(task: Task, parameters: dict[str, float] | None = None) -> Plant:
    """Return the plant of the `control` part of a task, with other parameters if given.

    Parameters are in the units of the plant's fields.

    Raises:
        BadInput: The task has no control part or no plant, the robot is not a `Plant`, a parameter
            is unknown, or dt differs from the plant's.
    """
    name = control_of(task).plant
    if name is None:
        raise BadInput(
            f"task {task.name}: control.plant",
            "is missing",
            expected=f"an MJCF or URDF file, or one of {', '.join(SIMULATORS)}",
            fix="or plan with `make_planner` on a robot of yours",
        )
    if is_plant_file(name):
        return ModelPlant.of(name, task.dt, sensed_names(task), parameters)
    plant = SIMULATORS[name]()
    if not isinstance(plant, Plant):
        raise BadInput(f"control.plant {name}", "cannot be controlled", expected="a MuJoCo plant")
    fields = list(type(plant).model_fields)
    for key in parameters or {}:
        require_known(key, fields, f"{name}: {key}", "unknown parameter")
    if abs(plant.dt - task.dt) > 1e-9:
        where = f"control.plant {name}"
        problem = f"has a period of {plant.dt:g} s"
        fix = f"set `dt: {plant.dt:g}`; a task of a real robot needs no `control.plant`"
        raise BadInput(where, problem, expected=f"the task's dt, {task.dt:g} s", fix=fix)
    return plant.model_copy(update=parameters or {})


def _columns(task: Task, names: Sequence[str], available: Sequence[str]) -> list[int]:
    """Return the plant's column of each of the task's channels.

    Raises:
        BadInput: A channel has no column, or is converted when its log is read.
    """
    columns: list[int] = []
    for name in names:
        channel = task.channels[name]
        listed = channel.source or [Source(name=name)]
        sources = [item for item in listed if item.name in available]
        if not sources:
            where = f"channel {name!r}"
            raise BadInput(where, "is not a column of the plant", expected=", ".join(available))
        first = sources[0]
        if not is_unconverted(first, channel.unit):
            message = f"is converted from {first.name!r}"
            raise BadInput(f"channel {name!r}", message, expected="the unit of the plant")
        columns.append(available.index(first.name))
    return columns


def is_unconverted(source: Source, unit: str) -> bool:
    """Return whether a column is read without conversion."""
    return (source.scale, source.offset, source.unit or unit) == (1.0, 0.0, unit)


def joint_positions(task: Task, plant: Plant) -> list[int]:
    """Return the state with the position of each joint of the plant; empty if one is not a state.

    The states of a task may have more, such as a reward, or be those of another robot.
    """
    states = {
        source.name: index
        for index, name in enumerate(task.states)
        for source in task.channels[name].source or [Source(name=name)]
        if is_unconverted(source, task.channels[name].unit)
    }
    joints = plant.measured[: len(plant.joints)]
    return [states[name] for name in joints] if states.keys() >= set(joints) else []


class Robot:
    """The plant with a task's channels, for closed loops.

    Args:
        task: task with a `control` part.
        plant: replaces the task's plant, for example by one with other parameters.

    Raises:
        BadInput: As in `make_plant`, a channel has no column of the plant or another unit, or a
            joint or motor has no channel.
    """

    def __init__(self, task: Task, plant: Plant | None = None) -> None:
        self.plant = plant or make_plant(task)
        self._task = task
        self.states = _columns(task, task.states, self.plant.measured)
        self.actions = _columns(task, task.actions, self.plant.commanded)
        missing = set(range(len(self.plant.measured))) - set(self.states)
        if missing or len(self.actions) != len(self.plant.commanded):
            unseen = [self.plant.measured[index] for index in sorted(missing)]
            where = f"task {task.name}"
            problem = f"lacks {', '.join(unseen) or 'an action'}"
            raise BadInput(where, problem, expected="a channel for every joint and motor")

    @property
    def limits(self) -> Floats:
        """Lowest and highest command of the motors (2, A), in the plant's units.

        The order is that of the task's actions.
        """
        return self._limits

    @cached_property
    def _limits(self) -> Floats:
        return self.plant.command_limits()[:, self.actions]

    def sense(self, states: Floats, actions: Floats) -> dict[str, Floats]:
        """Return the quantities of sites, bodies and sensors in costs, (...,).

        Args:
            states: (..., S).
            actions: (..., A), which broadcast.

        Raises:
            BadInput: The plant is no file, so it has no such quantities.
        """
        if not isinstance(self.plant, ModelPlant):
            names = ", ".join(sorted(sensed_names(self._task)))
            raise BadInput("control", f"unknown quantities {names}", expected="a plant from a file")
        leading = states.shape[:-1]
        commands = np.empty((*leading, len(self.actions)))
        commands[..., self.actions] = actions
        rows = self.to_plant(states).reshape(-1, states.shape[-1])
        sensed = self.plant.sense(rows, commands.reshape(-1, len(self.actions)))
        return {name: values.reshape(leading) for name, values in sensed.items()}

    def to_plant(self, states: Floats) -> Floats:
        """Reorder states (..., S) to the plant's order (..., 2 Q): positions, then velocities."""
        ordered = np.empty(states.shape)
        ordered[..., self.states] = states
        return ordered

    def reset(self, start: Floats) -> Floats:
        """Set the state (S,), in rad or m and their rates, and return it."""
        self._advance, self._low, self._high = self.plant.stepper(self.to_plant(start))
        self._state = start
        return start

    def act(self, action: Floats) -> None:
        """Hold the action (A,) for one time step; clip it to the range of the motors."""
        # `self.actions` holds the motor of each action of the task.
        command = np.empty(len(self.actions))
        command[self.actions] = action
        after = self._advance(np.clip(command, self._low, self._high), self.plant.period)
        self._state = after[self.states]

    def observe(self) -> Floats:
        """Return the state (S,) after the last action, in rad or m and their rates."""
        return self._state

    def heartbeat(self) -> None:
        """Do nothing: a simulation waits for its controller."""

    def step(self, action: Floats) -> Floats:
        """Hold the action (A,) for one time step; return the state (S,) after it."""
        self.act(action)
        return self._state


class TruePhysics:
    """The plant as a model, rolled out by `mujoco.rollout` on several threads.

    Args:
        task: task with a `control` part.
        threads: threads of the rollout.
        plant: replaces the task's plant.

    Raises:
        BadInput: As in `Robot`.
    """

    history = 1

    def __init__(self, task: Task, threads: int = 1, plant: Plant | None = None) -> None:
        from mujoco.rollout import Rollout

        self.robot = Robot(task, plant)
        self._model = self.robot.plant.model()
        self._data = [mujoco().MjData(self._model) for _ in range(threads)]
        self._rollout: Any = Rollout(nthread=threads if threads > 1 else 0)

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Roll out actions (B, T, A) from the last of states (H, S) -> (B, T, S), task units."""
        del past_actions
        period = self.robot.plant.period
        plans = np.asarray(actions, dtype=float)
        commands = np.empty(plans.shape)
        commands[..., self.robot.actions] = plans
        repeated_commands = np.repeat(commands, period, axis=1)  # one row per step of physics
        now = self.robot.to_plant(np.asarray(states, dtype=float)[-1])
        row = np.zeros(mujoco().mj_stateSize(self._model, mujoco().mjtState.mjSTATE_FULLPHYSICS))
        row[1 : 1 + len(now)] = now  # time first; activations last
        start = np.tile(row, (len(plans), 1))
        trajectories, _ = self._rollout.rollout(self._model, self._data, start, repeated_commands)
        # One row per step of physics, the first after one step: every `period`-th is a time step.
        return trajectories[:, period - 1 :: period, 1:][..., self.robot.states]


def sensed_names(task: Task) -> set[str]:
    """Return the names in the formulas of `control` that are neither channels nor derived."""
    control = control_of(task)
    texts = [*control.derived.values(), *(aim.of for aim in (*control.cost, *control.success))]
    names = {name for text in texts for name in Expression(text).names}
    return names - set(task.channels) - set(control.derived)


def uncertain_physics(task: Task, threads: int = 1) -> list[TruePhysics]:
    """Return the models of `control.uncertainty`: the plant, and others with random parameters.

    Each parameter of `vary` is scaled by 1 + U(-share, share). The draws are always the same.

    Raises:
        BadInput: As in `make_plant`.
    """
    uncertainty = control_of(task).uncertainty
    random = np.random.default_rng(0)
    models = [TruePhysics(task, threads)]
    for _ in range(uncertainty.members - 1):
        plain = make_plant(task)
        drawn = {
            name: getattr(plain, name, 1.0) * (1.0 + random.uniform(-share, share))
            for name, share in uncertainty.vary.items()
        }
        models.append(TruePhysics(task, threads, make_plant(task, drawn)))
    return models


class ModelPlant(Plant):
    """A robot from a file, with the file's own step and integrator."""

    path: str
    used: tuple[str, ...] = ()
    factors: dict[str, Ratio] = {}

    @classmethod
    def of(
        cls,
        path: str,
        dt: float,
        used: Iterable[str] = (),
        factors: Mapping[str, float] | None = None,
    ) -> "ModelPlant":
        """Return the plant with a period of `dt`, s, in whole steps of the file.

        Args:
            path: MJCF or URDF file.
            dt: time step of the task, s.
            used: quantities of costs, such as `site_tip_x`.
            factors: of mass, friction, gain and damping.

        Raises:
            BadInput: The file is no model, or its step does not divide `dt`.
        """
        where = f"control.plant: {path}"
        model = load_model(Path(path), {}, (), where).model
        return cls(
            path=path,
            used=tuple(sorted(used)),
            factors=dict(factors or {}),
            physics_step=float(model.opt.timestep),
            period=steps_in(dt, model, where),
        )

    @cached_property
    def robot(self) -> RobotModel:
        """The model with the sensors that `used` needs.

        Raises:
            BadInput: The model lacks a quantity.
        """
        where = f"control.plant: {self.path}"
        robot = load_model(Path(self.path), {}, self.used, where)
        for name in self.used:
            if name not in robot.quantities:
                fix = nearest(name, quantity_names(robot))
                raise BadInput("control", f"{name!r} is no quantity of {self.path}", fix=fix)
        if self.factors:
            nominal = load_model(Path(self.path), {}, self.used, where).model
            scale_model(nominal, robot.model, mujoco().MjData(nominal), self.factors)
        return robot

    @property
    def joints(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names of the positions."""
        return self.robot.joints[: self.robot.model.nq]

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the state: positions, then velocities."""
        return self.robot.joints

    @property
    def commanded(self) -> tuple[str, ...]:
        """Names of the actuators."""
        return self.robot.actuators

    def model(self) -> MujocoModel:
        """Return the compiled MuJoCo model."""
        return self.robot.model

    def command_limits(self) -> Floats:
        """Return the lowest and highest command of each actuator, (2, U); infinite if free."""
        model = self.robot.model
        free = (-np.inf, np.inf)
        ranges = [command_range(model, index) or free for index in range(model.nu)]
        return np.array(ranges, float).reshape(-1, 2).T

    def points(self, positions: Floats) -> Floats:
        """Return the positions of the bodies from the side, (N, bodies, 2) m."""
        model = self.robot.model
        data = mujoco().MjData(model)
        rows = np.empty((len(positions), model.nbody, 2))
        for row, position in zip(rows, positions, strict=True):
            data.qpos[:] = position
            mujoco().mj_kinematics(model, data)
            row[:] = data.xpos[:, [0, 2]]
        return rows[:, 1:]

    def sense(self, states: Floats, commands: Floats) -> dict[str, Floats]:
        """Return the quantities `used` by name, (N,), of states (N, S) under commands (N, U).

        A state that is not finite has NaN.
        """
        model = self.robot.model
        size = int(mujoco().mj_stateSize(model, mujoco().mjtState.mjSTATE_FULLPHYSICS))
        finite = np.isfinite(states.sum(axis=1))
        rows = np.zeros((len(states), size))
        rows[:, 1 : 1 + states.shape[1]] = np.where(finite[:, None], states, 0.0)
        controls = np.ascontiguousarray(commands, float)[:, None]
        _, sensed = self._rollout.rollout(model, self._data, rows, controls, nstep=1)
        columns = {name: self.robot.quantities[name].column - size for name in self.used}
        return {
            name: np.where(finite, sensed[:, 0, column], np.nan) for name, column in columns.items()
        }

    @cached_property
    def _rollout(self) -> Any:
        from mujoco.rollout import Rollout

        return Rollout(nthread=len(self._data) if len(self._data) > 1 else 0)

    @cached_property
    def _data(self) -> list[object]:
        model = self.robot.model
        return [mujoco().MjData(model) for _ in range(len(os.sched_getaffinity(0)))]


@PLANT_FILES.register("files")
def plant_files(path: str) -> dict[str, Path]:
    """Return the files of a plant: the model, and those that it includes.

    Raises:
        BadInput: A file is missing, or not in the folder of the model.
    """
    return model_sources(Path(path), f"control.plant: {path}")
