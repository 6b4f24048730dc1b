"""Many copies of one MuJoCo model that advance in parallel, on all cores of the machine.

The engine of the environment kinds `mujoco` and `legged`. Each copy has its own model, so that
mass, friction, gains and damping may differ. A step depends on state and control alone: the solver
starts without a warm start, so results are the same for any number of copies and threads.

Symbols: B copies, n numbers of a physics state (time, positions, velocities, activations),
U actuators, N sensor values.
"""

import copy
import logging
import os
from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from kinemill.control.sim import MujocoModel, mujoco
from kinemill.registry import require_known

_logger = logging.getLogger(__name__)
_MIN_COPIES = 8  # with fewer copies, threads cost more than they save
FACTORS: dict[str, tuple[str, ...]] = {  # fields of a model that a factor multiplies
    "mass": ("body_mass", "body_inertia"),
    "friction": ("geom_friction",),
    "gain": ("actuator_gainprm", "actuator_biasprm"),
    "damping": ("dof_damping",),
}

Floats = NDArray[np.float64]


class MujocoBatch:
    """B copies of a model in double precision.

    Args:
        model: a `mujoco.MjModel`.
        count: B.
        substeps: physics steps of one time step.

    Attributes:
        models: the model of each copy; they may be changed between steps.
        state_size: n.
    """

    def __init__(self, model: MujocoModel, count: int, substeps: int) -> None:
        from mujoco.rollout import Rollout

        self._nominal = model
        self._kind = mujoco().mjtState.mjSTATE_FULLPHYSICS
        self.models = [copy.copy(self._nominal) for _ in range(count)]
        self.state_size = int(mujoco().mj_stateSize(model, self._kind))
        self._count = count
        self._substeps = substeps
        threads = len(os.sched_getaffinity(0)) if count >= _MIN_COPIES else 0
        self._data = [mujoco().MjData(model) for _ in range(max(1, threads))]
        self._rollout = Rollout(nthread=threads)
        self._step = float(self._nominal.opt.timestep)
        redirect_warnings()

    def advance(self, states: Floats, control: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Advance one time step: states (B, n), control (B, U) -> states (B, n), is_lost (B,).

        A copy is lost where MuJoCo reports a diverging simulation; its state is the last good one.
        """
        after, _ = self._run(states, control, self._substeps)
        # A rollout that diverges stops, so its time falls behind.
        is_lost = after[:, 0] < states[:, 0] + (self._substeps - 0.5) * self._step
        return after, is_lost | ~np.isfinite(after).all(axis=1)

    def sense(self, states: Floats, control: Floats) -> Floats:
        """Return the sensor values in states (B, n) under control (B, U) -> (B, N)."""
        # The first step of a rollout measures the state that it starts from.
        return self._run(states, control, 1)[1]

    def scale(self, row: int, factors: Mapping[str, float]) -> None:
        """Multiply mass, friction, gain and damping of one copy, relative to the model given.

        Raises:
            BadInput: A parameter is unknown.
        """
        scale_model(self._nominal, self.models[row], self._data[0], factors)

    def _run(self, states: Floats, control: Floats, steps: int) -> tuple[Floats, Floats]:
        """Return the last states (B, n), and the last sensor values (B, N)."""
        out = np.empty((self._count, steps, self.state_size))
        sensors = np.empty((self._count, steps, self._nominal.nsensordata))
        self._rollout.rollout(
            self.models,
            self._data,
            np.ascontiguousarray(states),
            np.repeat(control[:, None], steps, axis=1),
            control_spec=int(mujoco().mjtState.mjSTATE_CTRL),
            skip_checks=True,  # they take as long as the physics of a small robot
            nstep=steps,
            state=out,
            sensordata=sensors,
        )
        return out[:, -1].copy(), sensors[:, -1].copy()


def scale_model(
    nominal: MujocoModel, model: MujocoModel, data: object, factors: Mapping[str, float]
) -> None:
    """Multiply mass, friction, gain and damping of a model, relative to another one.

    Args:
        nominal: model with factors of 1.
        model: is changed.
        data: of one of the models; it is overwritten.
        factors: by name; 1 for those that are not named.

    Raises:
        BadInput: A parameter is unknown.
    """
    check_parameters(factors)
    for name, fields in FACTORS.items():
        for field in fields:
            # From the nominal model, so that the factors of successive episodes do not accumulate.
            getattr(model, field)[:] = getattr(nominal, field) * factors.get(name, 1.0)
    # Quantities that follow from the masses, such as inverse weights.
    mujoco().mj_setConst(model, data)


def check_parameters(parameters: Iterable[str], names: Collection[str] = FACTORS) -> None:
    """Check that an environment has the parameters that a task randomizes.

    Raises:
        BadInput: A parameter is unknown.
    """
    for name in parameters:
        where = f"environment.randomize, variants: {name}"
        require_known(name, names, where, "is no parameter")


def redirect_warnings() -> None:
    """Send MuJoCo's warnings to `logging`, not to stderr and a file in the working folder."""
    if mujoco().get_mju_user_warning() is None:
        mujoco().set_mju_user_warning(_logger.info)
