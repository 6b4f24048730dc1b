"""Windows and whole episodes of a dataset, on which predictions are measured.

Symbols: W windows, E episodes, H history, T horizon, S states, A actions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset.packed import PackedDataset, PackedEpisode
from kinemill.errors import BadInput
from kinemill.runtime.window_metrics import Windows, cut_windows


def gather(
    dataset: PackedDataset, starts: NDArray[np.int64], history: int, horizon: int
) -> Windows:
    """Cut the windows that begin at rows `starts`, (W,), out of a dataset.

    The windows have states (W, H, S), past actions (W, H-1, A), actions (W, T, A) and measured
    states (W, T, S), in units.
    """
    length = history + horizon
    rows = dataset.take(starts[:, None] + np.arange(length)).reshape(-1, len(dataset.columns))
    firsts = np.arange(len(starts)) * length
    return cut_windows(rows, len(dataset.states), firsts, history, horizon)


def window_starts(dataset: PackedDataset, split: str, rows: int, stride: int) -> NDArray[np.int64]:
    """Return the first rows (W,) of the windows of `split`.

    Raises:
        BadInput: No episode of the split is long enough.
    """
    starts = np.asarray(dataset.window_starts(split, rows, stride), dtype=np.int64)
    if len(starts) == 0:
        longest = max((item.stop - item.start for item in dataset.of(split)), default=0)
        raise BadInput(
            f"{split} split",
            f"its longest episode has {longest} rows",
            expected=f"at least history + horizon = {rows}",
            fix="lower verify.horizon, or give the split longer episodes",
        )
    return starts


def is_angle(dataset: PackedDataset) -> NDArray[np.bool_]:
    """Return whether each state is an angle: dataset -> (S,)."""
    return np.array([name in dataset.angles for name in dataset.states])


def episodes_of(dataset: PackedDataset, split: str, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number within `split` of the episode that holds each row, (W,) -> (W,)."""
    first_rows = np.sort([item.start for item in dataset.of(split)])
    return (np.searchsorted(first_rows, starts, side="right") - 1).astype(np.int64)


def whole_episodes(
    dataset: PackedDataset, episodes: Sequence[PackedEpisode], history: int, longest: int
) -> tuple[Windows, NDArray[np.int64]]:
    """Return whole episodes as E windows, and the number of steps of each, (E,).

    The windows have states (E, H, S), past actions (E, H-1, A), actions (E, T, A) and measured
    states (E, T, S), in units. An episode that ends before T steps repeats its last row.

    Args:
        dataset: dataset with the episodes.
        episodes: episodes with more than `history` rows.
        history: known rows at the start of each episode, H.
        longest: most steps of an episode.
    """
    steps = np.array([min(episode.rows - history, longest) for episode in episodes])
    offsets = np.arange(history + steps.max())
    rows = np.stack([np.minimum(episode.start + offsets, episode.stop - 1) for episode in episodes])
    values = dataset.take(rows).astype(np.float64)
    states, actions = np.split(values, [len(dataset.states)], axis=2)
    # Action k acts from row k to k + 1, so the action of the last row has no effect here.
    past = actions[:, : history - 1]
    following = actions[:, history - 1 : -1]
    return Windows(states[:, :history], past, following, states[:, history:]), steps
