"""Windows of measured rows, and the errors of predictions on them.

Symbols: N rows, C channels (S states, then A actions), W windows, H history, T horizon.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kinemill.runtime.interface import wrapped

Floats = NDArray[np.float64]
# Errors of a diverging predictor become infinite without warnings.
QUIETLY = np.errstate(over="ignore", invalid="ignore")


class Predictor(Protocol):
    """A model with rollouts: a `Simulator` or a baseline."""

    @property
    def history(self) -> int:
        """Rows of history that `rollout` needs, H."""
        ...

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> NDArray[Any]:
        """Predict T steps: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S)."""
        ...


@dataclass(frozen=True)
class Windows:
    """Windows of measured rows: H of history, T to predict.

    Attributes:
        states: (W, H, S).
        past_actions: (W, H-1, A).
        actions: (W, T, A), the first acts from the last known state on.
        truth: (W, T, S).
    """

    states: Floats
    past_actions: Floats
    actions: Floats
    truth: Floats


def cut_windows(
    values: NDArray[np.generic], states: int, starts: NDArray[np.int64], history: int, horizon: int
) -> Windows:
    """Return the windows at rows `starts` (W,) of values (N, C), the first S of them `states`."""
    rows = starts[:, None] + np.arange(history + horizon)
    states_of, actions_of = np.split(np.asarray(values)[rows].astype(np.float64), [states], axis=2)
    return Windows(
        states=states_of[:, :history],
        past_actions=actions_of[:, : history - 1],
        actions=actions_of[:, history - 1 : -1],
        truth=states_of[:, history:],
    )


@QUIETLY
def predict(predictor: Predictor, windows: Windows) -> Floats:
    """Return predictions (W, T, S) for windows whose history may be longer than needed."""
    skip = windows.states.shape[1] - predictor.history
    predicted = predictor.rollout(
        windows.states[:, skip:], windows.past_actions[:, skip:], windows.actions
    )
    return np.asarray(predicted, dtype=np.float64)


@QUIETLY
def deviations(predictor: Predictor, windows: Windows, angle: NDArray[np.bool_]) -> Floats:
    """Return prediction minus truth, (W, T, S); differences of angles (S,) within [-π, π]."""
    return wrapped(predict(predictor, windows) - windows.truth, angle)
