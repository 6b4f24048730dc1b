"""Windows and whole episodes, on which predictions are measured, and sequences for policies.

A sequence holds observations up to a row, and actions from that row on. Every row of an episode may
be the present of a sequence, also close to its ends. Missing rows are replaced by the nearest row
of the episode and marked in a mask, as in action chunking (Zhao et al. 2023, section IV) and
Diffusion Policy (Chi et al. 2023, section III-C). No sequence crosses into another episode.

Symbols: W windows, E episodes, N sequences, B sequences of a batch, H history, K observed rows (the
present is the last), T horizon, S states, A actions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset.packed import Floats, Packed, PackedDataset, PackedEpisode
from kinemill.errors import BadInput
from kinemill.runtime.window_metrics import Windows, cut_windows

_Rows = NDArray[np.int64]
_Mask = NDArray[np.bool_]


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


def batches(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield `rows` in parts of at most `size`, which bounds memory."""
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


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


@dataclass(frozen=True, eq=False)
class _Sequences:
    """The sequences of one split, as row indices into the packed dataset.

    Attributes:
        observed: (N, K) rows of observations; the present is the last.
        actions: (N, T) rows of actions; the present is the first.
        observed_mask: (N, K) false where the row is padding before the episode.
        action_mask: (N, T) false where the row is padding after the episode.
        weights: (N,) float64 sampling weights relative to the mean, from `balance`.
    """

    observed: _Rows
    actions: _Rows
    observed_mask: _Mask
    action_mask: _Mask
    weights: Floats

    def __len__(self) -> int:
        return len(self.observed)

    def read(self, dataset: PackedDataset, batch: _Rows) -> tuple[Packed, Packed]:
        """Return (B, K, S) observed states and (B, T, A) actions in task units."""
        states = len(dataset.states)
        observed = self.observed[batch]
        actions = self.actions[batch]
        return dataset.take(observed)[..., :states], dataset.take(actions)[..., states:]


def make_sequences(
    dataset: PackedDataset, split: str, *, history: int = 1, seq_len: int = 16, stride: int = 1
) -> _Sequences:
    """Return the sequences of a split.

    Args:
        dataset: a dataset or a training set.
        split: train, validation or test.
        history: K, rows of observations, >= 1.
        seq_len: T, rows of actions, >= 1.
        stride: rows between the presents of neighboring sequences. The last row of an episode is
            always a present, so that its end is learned too.

    Raises:
        BadInput: A length is under 1, or the split has no episodes.
    """
    if min(history, seq_len, stride) < 1:
        where = "a sequence's history, seq_len and stride"
        raise BadInput(where, f"{history}, {seq_len} and {stride}", expected="all >= 1")
    episodes = dataset.of(split)
    if not episodes:
        raise BadInput(f"{split} split of {dataset.task}", "has no episodes")
    presents = list[_Rows]()
    spans = list[_Rows]()
    weights = list[Floats]()
    for episode in episodes:
        current = np.unique(
            np.append(np.arange(episode.start, episode.stop, stride), episode.stop - 1)
        )
        presents.append(current)
        spans.append(np.tile([episode.start, episode.stop - 1], (len(current), 1)))
        # Sequences share the total weight of an episode's rows, whatever the stride.
        weights.append(np.full(len(current), episode.weight * episode.rows / len(current)))
    present, span, weight = map(np.concatenate, (presents, spans, weights))
    first = span[:, :1]
    last = span[:, 1:]
    observed = present[:, None] + np.arange(1 - history, 1)
    actions = present[:, None] + np.arange(seq_len)
    return _Sequences(
        # Positions outside of the episode hold its first or last row; the masks are false there.
        observed=np.maximum(observed, first),
        actions=np.minimum(actions, last),
        observed_mask=observed >= first,
        action_mask=actions <= last,
        weights=weight / weight.mean(),
    )
