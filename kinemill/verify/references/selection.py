"""Data to select members of a family: validation windows and whole validation episodes.

Symbols: W windows, H history, T horizon, S states, A actions, M members of one history.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.windows import gather, is_angle, whole_episodes, window_starts
from kinemill.runtime import wrapped
from kinemill.runtime.window_metrics import (
    QUIETLY,
    Floats,
    Predictor,
    Windows,
    evenly_spaced,
    in_std,
    normalized,
    predict,
)
from kinemill.verify.errors import horizons_of
from kinemill.verify.references.baselines import Persistence

ROLLED = 30_000  # steps over all windows that rank a member, such as 1,200 windows of 25 steps
LEAST = 100  # minimum number of windows for ranking, if available
LONGEST = 2000  # most steps of a whole validation episode
EPISODES = 16  # number of whole validation episodes, the longest ones
# The error over whole episodes is bounded up to this many training standard deviations, or up to
# this multiple of the persistence error, if that is larger.
BOUNDED = 3.0
WORSE = 2.0
# Below this share of the persistence error in training, validation rows are nearly at rest.
RESTING = 0.5


@dataclass(frozen=True)
class Ground:
    """The rows that select members.

    Attributes:
        windows: validation windows, with the same current rows for all members.
        whole: E whole validation episodes.
        steps: number of steps of each whole episode, (E,).
        angle: whether each state is an angle, (S,).
        std: standard deviations of the states in training, (S,), in units.
        bound: largest error over whole episodes of a stable member, (S,), in standard deviations.
    """

    windows: Windows
    whole: Windows
    steps: NDArray[np.int64]
    angle: NDArray[np.bool_]
    std: Floats
    bound: Floats
    split: str

    @QUIETLY
    def errors(self, predictor: Predictor, copies: int = 1, stride: int = 1) -> Floats:
        """Return the nRMSE of each member at the K horizons of `horizons_of`, (M, K).

        Args:
            predictor: all M members in one; it predicts M · W windows, member by member.
            copies: number of members, M.
            stride: use every n-th window.
        """
        windows = _repeat(self.windows, copies, stride)
        steps = np.array(horizons_of(windows.truth.shape[1])) - 1
        truth = windows.truth[:, steps]
        predicted = predict(predictor, windows)[:, steps]
        off = wrapped(predicted.reshape(copies, *truth.shape) - truth, self.angle)
        return np.asarray(normalized(np.sqrt((off**2).mean(axis=1)), self.std))

    @QUIETLY
    def lasts(self, predictor: Predictor, copies: int = 1) -> NDArray[np.bool_]:
        """Return whether whole episodes of each member stay finite and bounded, (M,)."""
        far = self.far(predictor, copies)
        return np.asarray((np.isfinite(far) & (far <= self.bound)).all(axis=1))

    def far(self, predictor: Predictor, copies: int = 1) -> Floats:
        """Return the RMSE over whole episodes of the states that move, (M, S), in training std."""
        predicted = predict(predictor, _repeat(self.whole, copies))
        off = wrapped(
            predicted.reshape(copies, *self.whole.truth.shape) - self.whole.truth, self.angle
        )
        inside = np.arange(off.shape[2]) < self.steps[:, None]  # (E, T); the rest is padding
        square = np.where(inside[None, :, :, None], off, 0.0) ** 2
        rmse = np.sqrt(square.sum(axis=(1, 2)) / inside.sum())
        return in_std(rmse, self.std)


def ground_of(
    dataset: PackedDataset, history: int, horizon: int, stride: int, std: Floats
) -> Ground:
    """Return the validation rows, or training rows if no validation episode is long enough.

    Validation rows in which the robot rests, as at the end of many recordings, cannot rank members.
    In this case as many training windows are added.

    Args:
        dataset: the dataset.
        history: rows of history of the longest member, H.
        horizon: number of steps to predict, T.
        stride: rows between the starts of windows.
        std: standard deviations of the states in training, (S,), in units.
    """
    split = "validation" if len(dataset.window_starts("validation", history + horizon)) else "train"
    window_starts(dataset, split, history + horizon, stride)  # raises if there is no window
    windows = _windows(dataset, split, (history, horizon, stride))
    long = sorted(dataset.of(split), key=lambda episode: -episode.rows)[:EPISODES]
    long = [episode for episode in long if episode.rows > history]
    whole, steps = whole_episodes(dataset, long, history, LONGEST)
    angle = is_angle(dataset)
    none = np.zeros(len(std))

    def ground(windows: Windows, bound: Floats, split: str) -> Ground:
        return Ground(windows, whole, steps, angle, std, bound, split)

    first = ground(windows, none, split)
    bound = np.maximum(BOUNDED, WORSE * first.far(Persistence())[0])
    if split == "validation":
        training = _windows(dataset, "train", (history, horizon, stride))
        moved = ground(training, none, "train").errors(Persistence())[0, -1]
        if first.errors(Persistence())[0, -1] < RESTING * moved:
            return ground(_joined(windows, training), bound, "validation and train")
    return ground(windows, bound, split)


def _windows(dataset: PackedDataset, split: str, size: tuple[int, int, int]) -> Windows:
    """Return evenly spaced windows of a split; `size` is history, horizon, stride."""
    history, horizon, stride = size
    starts = dataset.window_starts(split, history + horizon, stride)
    most = max(LEAST, ROLLED // horizon)
    starts = evenly_spaced(starts, most)
    return gather(dataset, starts, history, horizon)


def _joined(first: Windows, second: Windows) -> Windows:
    """Return all windows of `first`, and at most as many evenly spaced windows of `second`."""
    count = len(second.states)
    picked = np.linspace(0, count - 1, min(len(first.states), count)).astype(np.int64)
    return Windows(
        np.concatenate([first.states, second.states[picked]]),
        np.concatenate([first.past_actions, second.past_actions[picked]]),
        np.concatenate([first.actions, second.actions[picked]]),
        np.concatenate([first.truth, second.truth[picked]]),
    )


def _repeat(windows: Windows, copies: int, stride: int = 1) -> Windows:
    return Windows(
        np.concatenate([windows.states[::stride]] * copies),
        np.concatenate([windows.past_actions[::stride]] * copies),
        np.concatenate([windows.actions[::stride]] * copies),
        windows.truth[::stride],
    )
