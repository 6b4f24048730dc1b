"""The robot of an MJCF or URDF file as a plant: `control.plant: robot.xml`.

States and actions are the quantities of `kinemill.control.mujoco_model`: the positions of all
joints, then their velocities, and the controls of all actuators. Costs may also use sensors
(contacts among them), bodies and sites, which are computed from the states.

Symbols: N rows, S states, U actuators.
"""

import os
from collections.abc import Iterable, Mapping
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
)
from kinemill.control.plan import Floats
from kinemill.control.sim import Plant, mujoco
from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.task.bounds import Ratio
from kinemill.task.control import PLANT_FILES


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
        step = float(model.opt.timestep)
        period = max(1, round(dt / step))
        if abs(period * step - dt) > 1e-9:
            fix = f"set dt to a multiple of {step:g} s, such as {4 * step:g}"
            raise BadInput(where, f"has steps of {step:g} s, dt is {dt:g} s", fix=fix)
        return cls(
            path=path,
            used=tuple(sorted(used)),
            factors=dict(factors or {}),
            physics_step=step,
            period=period,
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

    def model(self) -> Any:
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
        library = mujoco()
        model = self.robot.model
        data = library.MjData(model)
        rows = np.empty((len(positions), model.nbody, 2))
        for row, position in zip(rows, positions, strict=True):
            data.qpos[:] = position
            library.mj_kinematics(model, data)
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
    def _data(self) -> list[Any]:
        model = self.robot.model
        return [mujoco().MjData(model) for _ in range(len(os.sched_getaffinity(0)))]


@PLANT_FILES.register("files")
def plant_files(path: str) -> dict[str, Path]:
    """Return the files of a plant: the model, and those that it includes.

    Raises:
        BadInput: A file is missing, or not in the folder of the model.
    """
    return model_sources(Path(path), f"control.plant: {path}")
