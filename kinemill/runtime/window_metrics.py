"""Windows of measured or drawn rows, and the errors of predictions on them.

The error of a rollout in standard deviations, of window w, step t and state s, is

    e[w, t, s] = wrapped(predicted[w, t, s] - measured[w, t, s]) / std[s]

with both values in the unit of the state, and the standard deviation of its training rows
(`kinemill.dataset.scale`). States that never move in training have no error. nRMSE is the root mean
square of e over windows, averaged over states.

Symbols: N rows, C channels (S states, then A actions), W windows, H history, T horizon, M states
that move in training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kinemill.runtime.interface import wrapped

Array = NDArray[Any]
Floats = NDArray[np.float64]
# Errors of a diverging predictor become infinite without warnings.
QUIETLY = np.errstate(over="ignore", invalid="ignore")


class Predictor(Protocol):
    """A model with rollouts: a `Simulator` or a baseline."""

    @property
    def history(self) -> int:
        """Rows of history that `rollout` needs, H."""
        ...

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Array:
        """Predict T steps: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S)."""
        ...


@dataclass(frozen=True)
class Windows:
    """Windows of measured rows: H of history, T to predict; all in task units.

    Attributes:
        states: states of the history, (W, H, S).
        past_actions: actions between them, (W, H-1, A).
        actions: (W, T, A), the first acts from the last known state on.
        truth: measured states after each of `actions`, (W, T, S).
    """

    states: Floats
    past_actions: Floats
    actions: Floats
    truth: Floats

    def tiled(self, copies: int) -> "Windows":
        """Return all windows several times, one after the other."""
        parts = self.states, self.past_actions, self.actions, self.truth
        return Windows(*(np.concatenate([part] * copies) for part in parts))


def evenly_spaced(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most `most` evenly spaced entries of rows (N,), with the first and last of them.

    With `most` = 1 this is the first one alone.
    """
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def cut_windows(
    values: NDArray[np.generic], states: int, starts: NDArray[np.int64], history: int, horizon: int
) -> Windows:
    """Return the windows that start at rows `starts` (W,) of values (N, C).

    The first `states` channels are states, the others actions.
    """
    rows = starts[:, None] + np.arange(history + horizon)
    states_of, actions_of = np.split(np.asarray(values)[rows].astype(np.float64), [states], axis=2)
    return Windows(
        states=states_of[:, :history],
        past_actions=actions_of[:, : history - 1],
        # Action k acts from row k to k + 1, so that of the last row has no measured effect.
        actions=actions_of[:, history - 1 : -1],
        truth=states_of[:, history:],
    )


def draw_within(
    random: "np.random.Generator",  # quoted, so that a robot does not load numpy.random
    limits: Mapping[str, tuple[float, float]],
    names: Sequence[str],
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Draw channels uniformly within their limits, ±1 without: (N, T) -> (N, T, C), in units.

    The first case holds the values closest to 0.
    """
    ranges = [limits.get(name, (-1.0, 1.0)) for name in names]
    low, high = np.array(ranges, np.float64).reshape(len(names), 2).T
    values = random.uniform(low, high, (*shape, len(names)))
    values[0] = np.clip(0.0, low, high)
    return values.astype(np.float32)


@QUIETLY
def predict(predictor: Predictor, windows: Windows) -> Floats:
    """Return predictions (W, T, S) for windows whose history may be longer than needed."""
    # A shorter history is the newest rows, so that all predictors start at the same row.
    skip = windows.states.shape[1] - predictor.history
    predicted = predictor.rollout(
        windows.states[:, skip:], windows.past_actions[:, skip:], windows.actions
    )
    return np.asarray(predicted, dtype=np.float64)


@QUIETLY
def deviations(predictor: Predictor, windows: Windows, angle: NDArray[np.bool_]) -> Floats:
    """Return prediction minus truth, (W, T, S); differences of angles (S,) within [-π, π]."""
    return wrapped(predict(predictor, windows) - windows.truth, angle)


def is_moving(std: Floats) -> NDArray[np.bool_]:
    """Return whether each state moves in training: standard deviations (S,) -> (S,).

    Standard deviations of a dataset are exactly 0 for a constant channel.
    """
    return std > 0.0


def nonzero_std(std: Floats) -> Floats:
    """Return a divisor for each channel, (S,): its standard deviation, 1 for a constant channel."""
    return np.where(is_moving(std), std, 1.0)


def in_std(values: Floats, std: Floats) -> Floats:
    """Divide errors by standard deviations: (..., S), (S,), both in units -> (..., M)."""
    moves = is_moving(std)
    return np.asarray(values[..., moves] / std[moves])


def normalized(rmse: Floats, std: Floats) -> Any:
    """Return the nRMSE of RMSE by state: (..., S), (S,), in units -> (...); NaN if none moves."""
    return in_std(rmse, std).mean(axis=-1) if is_moving(std).any() else np.nan
