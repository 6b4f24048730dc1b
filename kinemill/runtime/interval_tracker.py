"""Interval tracker: intervals follow the errors of the run (adaptive conformal inference).

Gibbs and Candès 2021, in the form of quantile tracking (Angelopoulos, Candès and Tibshirani 2023,
section 2.1), for each step ahead and state, on the logarithm, so that the factor q stays positive:

    log q <- log q + rate (1[|error| > 1.645 q' σ] - 0.1)

with σ the deviation after the correction from validation episodes, and q' the factor at the time
of the prediction. Whatever the errors are, the share outside of the intervals tends to 10 %: over
N rows it differs by about (range of log q) / (rate N). Only errors of the past change an interval.

Symbols: T steps ahead, S states, A actions, H history.
"""

from collections import deque
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from kinemill.runtime.input_checks import Array
from kinemill.runtime.interface import wrapped
from kinemill.runtime.simulator import Simulator
from kinemill.runtime.window_metrics import Floats

LEVEL = 0.9
RATE = 0.05
_DEVIATIONS = NormalDist().inv_cdf((1.0 + LEVEL) / 2.0)  # half an interval


class IntervalTracker:
    """Factors q on standard deviations, by step ahead and state; 1 until the first update.

    Args:
        steps: T; later steps have the factor of the last.
        states: S.
    """

    def __init__(self, steps: int, states: int) -> None:
        self._log = np.zeros((steps, states))
        self._issued: deque[Floats] = deque(maxlen=steps)  # log q of each row, newest first

    def factor(self, steps: int) -> Floats:
        """Return the factors for 1 to `steps` steps after the newest row, (steps, S), no unit."""
        return np.exp(self._log[np.minimum(np.arange(steps), len(self._log) - 1)])

    def update(self, errors: Floats, deviation: Floats) -> None:
        """Update the factors with a new row and its predictions from the N rows before it.

        Args:
            errors: prediction minus truth, (N, S), in units of the states, that of h steps ahead
                in row h - 1; N is the number of updates since the last gap, at most T. NaN counts
                as outside.
            deviation: predicted standard deviations without the factors, (N, S), same units.
        """
        count = len(errors)
        if count:
            # The factor for h steps ahead that was valid h rows ago: entry h - 1, step h - 1.
            issued = np.stack([log[step] for step, log in enumerate(self._issued)])
            inside = np.abs(errors) <= _DEVIATIONS * np.exp(issued) * deviation
            self._log[:count] += RATE * (LEVEL - inside)
        self._issued.appendleft(self._log.copy())

    def note_gap(self) -> None:
        """Drop the predictions that have no measured row yet; keep the factors."""
        self._issued.clear()


class OnlineIntervals:
    """The factors of a simulator on a robot.

    Each observed row is predicted again from the rows before it, under the applied actions.

    Args:
        simulator: an ensemble with a conformal correction.

    Raises:
        ValueError: The simulator has no conformal correction.
    """

    def __init__(self, simulator: Simulator) -> None:
        belief = simulator.interface.belief
        if belief is None or belief.conformal is None:
            raise ValueError("the simulator has no conformal correction")
        self._simulator, steps = simulator, len(belief.conformal.scale)
        self._angle = simulator.interface.is_angle
        self._tracker = IntervalTracker(steps, len(simulator.states))
        self._rows: deque[tuple[Array, Array]] = deque(maxlen=simulator.history + steps)

    def factor(self, steps: int) -> Floats:
        """Return the factors on the deviations of `rollout_deviation`, (steps, S)."""
        return self._tracker.factor(steps)

    def observe(self, states: ArrayLike, past_actions: ArrayLike) -> None:
        """Record the newest row, and update the factors with the errors of its predictions.

        Rows before a gap are dropped.

        Args:
            states: the last rows, (2 or more, S), newest last, in task units.
            past_actions: actions between them, (1 or more, A), in task units.
        """
        past, state = np.asarray(states, np.float32)[-2:]
        action = np.asarray(past_actions, np.float32)[-1]
        # The row before the newest one must be the last one seen; else rows between are missing.
        if self._rows and not np.array_equal(self._rows[-1][0], past):
            self._rows.clear()
            self._tracker.note_gap()
        if not self._rows:
            # The action that led to the oldest row is never read; any value will do.
            self._append(past, action)
        self._append(state, action)

    def _append(self, state: Array, action: Array) -> None:
        """Add a row (S,) and the action (A,) that led to it."""
        self._rows.append((state, action))
        count = len(self._rows) - self._simulator.history
        if count >= 0:
            self._tracker.update(*self._newest_errors(count))

    def _newest_errors(self, count: int) -> tuple[Floats, Floats]:
        """Return errors and deviations (N, S) of the newest row, from 1 to N rows before it."""
        if count == 0:
            return np.empty((0, 0)), np.empty((0, 0))
        rows = np.stack([row for row, _ in self._rows])
        actions = np.stack([row for _, row in self._rows][1:])
        # Batch row h - 1 predicts the newest row from h rows before it.
        present = len(rows) - 1 - np.arange(1, count + 1)
        history = present[:, None] + np.arange(1 - self._simulator.history, 1)
        # Actions after the newest row are not known; steps after it are not used.
        future = np.minimum(present[:, None] + np.arange(count), len(actions) - 1)
        predicted, deviation = self._simulator.rollout_deviation(
            rows[history], actions[history[:, :-1]], actions[future]
        )
        steps = np.arange(count)
        # The diagonal: h steps ahead of batch row h - 1 is the newest row.
        errors = wrapped(predicted[steps, steps].astype(np.float64) - rows[-1], self._angle)
        return errors, deviation[steps, steps].astype(np.float64)
