"""Base class of all plants: a MuJoCo model, the names of the channels, and the control period.

Symbols: N rows, Q joints, A motors. A state is (2 Q,): the joints' positions, then their rates.
"""

from abc import abstractmethod
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar, Protocol

import numpy as np

from kinemill.control.sim._excitation import Signal, mixture
from kinemill.control.sim._table import Table
from kinemill.task import Count, PositiveQuantity, Settings
from kinemill.task.bounds import QuantityOrZero

MECHANICS = """
  <option timestep="{step}" gravity="0 0 -{gravity}" integrator="RK4">
    <flag contact="disable"/>
  </option>
"""


def mujoco() -> ModuleType:
    """Return the module, imported when first needed."""
    import mujoco

    return mujoco


class MujocoModel(Protocol):
    """An object of MuJoCo, such as an `MjModel`: the library has no type stubs."""

    def __getattr__(self, name: str) -> Any:
        """Return a field or the result of a method."""
        ...


class Plant(Settings):
    """A robot in MuJoCo without sensor noise, to be controlled."""

    joints: ClassVar[tuple[str, ...]] = ()
    motors: ClassVar[tuple[str, ...]] = ()

    physics_step: PositiveQuantity = 0.01  # s; RK4 keeps energy to 1e-4 a second there
    period: Count = 2  # physics steps between two rows, and between two commands: 50 Hz

    @property
    def dt(self) -> float:
        """Time between two rows, s."""
        return self.physics_step * self.period

    @property
    def measured(self) -> tuple[str, ...]:
        """Log columns of the state: positions, then rates."""
        return (
            *(f"qpos_{name}" for name in self.joints),
            *(f"qvel_{name}" for name in self.joints),
        )

    @property
    def commanded(self) -> tuple[str, ...]:
        """Log columns of the commands."""
        return tuple(f"ctrl_{name}" for name in self.motors)

    @abstractmethod
    def model(self) -> MujocoModel:
        """Return the compiled `mujoco.MjModel`; qpos, qvel are in the order of `joints`."""

    @abstractmethod
    def points(self, positions: Signal) -> Signal:
        """Return the ends of the plant's links, (N, Q) -> (N, P, 2) m, for pictures."""

    def stepper(self, start: Signal) -> tuple[Callable[[Signal, int], Signal], Signal, Signal]:
        """Return what advances the plant by some physics steps from `start`, and its limits (A,).

        A stepper takes commands (A,) and a number of physics steps, and returns the state (2 Q,).
        """
        module = mujoco()
        model = self.model()
        data = module.MjData(model)
        joints = model.nq
        data.qpos[:], data.qvel[:] = start[:joints], start[joints:]

        def advance(command: Signal, steps: int) -> Signal:
            data.ctrl[:] = command
            module.mj_step(model, data, steps)
            return np.concatenate([data.qpos, data.qvel])

        low, high = self.command_limits()
        return advance, low, high

    def command_limits(self) -> Signal:
        """Return the lowest and highest command of each motor, (2, A)."""
        return self.model().actuator_ctrlrange.T.copy()


class LoggedPlant(Plant):
    """A plant that writes logs under exciting commands; subclasses define the robot."""

    gravity: PositiveQuantity = 9.81  # m/s²
    excitation: tuple[QuantityOrZero, QuantityOrZero]  # N or N·m, range of an episode's peak

    @abstractmethod
    def mjcf(self) -> str:
        """Return the plant as a MuJoCo model description; its actuators have limits."""

    @abstractmethod
    def start(self, random: np.random.Generator) -> Signal:
        """Draw the state (2 Q,) that a log begins with."""

    def push(self, t: Signal, random: np.random.Generator) -> Signal:
        """Draw exciting commands (N, 1) of one motor at time stamps (N,) s."""
        return (random.uniform(*self.excitation) * mixture(t, random))[:, None]

    def model(self) -> MujocoModel:
        """Return the compiled `mujoco.MjModel`; qpos, qvel are in the order of `joints`."""
        return mujoco().MjModel.from_xml_string(self.mjcf())

    def command(self, push: Signal, state: Signal) -> Signal:
        """Return commands (A,): the push (A,), and what keeps the plant where it may be."""
        del state
        return push

    def quiet(self) -> "LoggedPlant":
        """Return the same plant with perfect sensors: itself, unless a subclass has others."""
        return self

    def log(self, seconds: float, random: np.random.Generator) -> Table:
        """Return the log of `seconds` without sensor errors: columns by name, one row per period.

        Row k holds the state at its stamp and the command that is held from then on.
        """
        t: Signal = np.arange(max(2, round(seconds / self.dt)), dtype=np.float64) * self.dt
        push = self.push(t, random)
        start = self.start(random)
        state, command = self.run(push, np.full(len(t), self.period), start)
        return self.table(t, state, command)

    def table(self, t: Signal, state: Signal, command: Signal) -> Table:
        """Name the columns of stamps (N,), states (N, 2 Q) and commands (N, A)."""
        names = ("timestamp", *self.measured, *self.commanded)
        return dict(zip(names, np.column_stack([t, state, command]).T, strict=True))

    def run(self, push: Signal, steps: Signal, start: Signal) -> tuple[Signal, Signal]:
        """Simulate under `push` and feedback.

        Args:
            push: (N, A) commands.
            steps: (N,) physics steps that each is held.
            start: (2 Q,).

        Returns:
            states (N, 2 Q) at which each command begins, and the commands (N, A) as given.
        """
        advance, low, high = self.stepper(start)
        state = np.empty((len(push), len(start)))
        command = np.empty(push.shape)
        now = np.array(start, dtype=float)
        for k, substeps in enumerate(steps.tolist()):
            state[k] = now
            command[k] = np.clip(self.command(push[k], now), low, high)
            now = advance(command[k], substeps)
        return state, command
