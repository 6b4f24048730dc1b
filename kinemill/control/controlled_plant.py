"""The plant in a closed loop: a simulation, or a robot in its place.

    class MyRobot:                                # see docs/learning-loop.md
        limits = np.array([[-10.0], [10.0]])      # (2, A)
        def reset(self, start): ...               # (S,) -> (S,)
        def observe(self): ...                    # -> (S,)
        def act(self, action): ...                # (A,)
        def heartbeat(self): ...

Symbols: S states, A actions, in the order and units of the task's channels.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from kinemill.control.plan import Floats
from kinemill.errors import KinemillError
from kinemill.task.document import Task


class EpisodeFailed(KinemillError):
    """An episode ended early: no response, a state beyond its limits, or non-finite numbers.

    Its rows are not logged. Earlier episodes are kept.
    """

    exit_code = 1


class ControlledPlant(Protocol):
    """A robot or a simulated plant in closed loop.

    Every method raises `EpisodeFailed` when the plant does not respond in time.
    """

    @property
    def limits(self) -> Floats:
        """Lowest and highest action that the motors accept, (2, A), in task units."""
        ...

    def reset(self, start: Floats) -> Floats:
        """Begin an episode near `start` (S,); return the actual state (S,), in task units."""
        ...

    def observe(self) -> Floats:
        """Return the next state (S,), one time step after the action was sent.

        On a robot this waits for the next measurement, which sets the rate of the loop.
        """
        ...

    def act(self, action: Floats) -> None:
        """Send the action (A,) in task units, which is held until the next one."""
        ...

    def heartbeat(self) -> None:
        """Report that the controller is alive, and check that the plant is.

        Called once before every action. Without heartbeats the robot stops its motors.
        """
        ...


class GuardedPlant:
    """A plant whose states are checked; at the first forbidden state, its motors are stopped.

    Args:
        task: the `limits` of its channels apply to the states that have them.
        plant: plant to check.
        limits: narrower limits by state, lowest and highest, in the state's unit.

    Attributes:
        steps: steps of the episode so far.
    """

    def __init__(
        self,
        task: Task,
        plant: ControlledPlant,
        limits: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self._task = task
        self._plant = plant
        self.steps = 0
        unlimited = (-np.inf, np.inf)
        ends = [
            (limits or {}).get(name) or task.channels[name].limits or unlimited
            for name in task.states
        ]
        self._low, self._high = np.array(ends, dtype=float).T

    @property
    def limits(self) -> Floats:
        """Lowest and highest action that the motors accept, (2, A), in task units."""
        return self._plant.limits

    def reset(self, start: Floats) -> Floats:
        """Begin an episode near `start` (S,); return the actual state (S,), in task units.

        Raises:
            EpisodeFailed: As in `observe`.
        """
        self.steps = 0
        return self._checked(self._plant.reset(start))

    def observe(self) -> Floats:
        """Return the next state (S,), in task units.

        Raises:
            EpisodeFailed: A number is not finite or beyond its limits, or the plant does not
                respond.
        """
        self.steps += 1
        return self._checked(self._plant.observe())

    def act(self, action: Floats) -> None:
        """Send the action (A,), in task units."""
        self._plant.act(action)

    def heartbeat(self) -> None:
        """Report that the controller is alive."""
        self._plant.heartbeat()

    def _checked(self, state: Floats) -> Floats:
        """Return the state (S,), or stop the motors and raise."""
        fault = self._problem(state)
        if fault is None:
            return state
        limits = self._plant.limits
        # Stop before raising: the caller may take long to handle the error.
        self._plant.act(np.clip(np.zeros(limits.shape[1]), *limits))
        problem, expected, fix = fault
        where = f"{self._task.name}, step {self.steps} ({self.steps * self._task.dt:.3g} s)"
        raise EpisodeFailed(where, problem, expected=expected, fix=fix)

    def _problem(self, state: Floats) -> tuple[str, str, str] | None:
        """Return what is wrong with a state (S,), what was expected, and how to fix it."""
        names = self._task.states
        finite = np.isfinite(state)
        if not finite.all():
            problem = f"{names[int(np.argmin(finite))]} is not finite: the plant or a sensor failed"
            fix = "check the plant, then run the loop again; it continues with this round"
            return problem, "finite numbers", fix
        beyond = (state < self._low) | (state > self._high)
        if not beyond.any():
            return None
        index = int(np.argmax(beyond))
        unit = self._task.channels[names[index]].unit
        problem = f"{names[index]} is {state[index]:.4g} {unit}"
        expected = f"{self._low[index]:g} to {self._high[index]:g} {unit}"
        fix = "lower loop.explore, or widen loop.limits if the plant can go there safely"
        return problem, expected, fix
