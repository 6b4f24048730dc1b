"""Sequences for policies: observations up to a row, and actions from that row on.

Every row of an episode may be the present of a sequence, also close to its ends. Missing rows are
replaced by the nearest row of the episode and marked in a mask, as in action chunking (Zhao et al.
2023, section IV) and Diffusion Policy (Chi et al. 2023, section III-C). No sequence crosses into
another episode.

Symbols: N sequences, B sequences of a batch, K observed rows (the present is the last), T rows of
actions, S states, A actions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset.packed import Floats, Packed, PackedDataset
from kinemill.errors import BadInput

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sequences:
    """The sequences of one split, as row indices into the packed dataset.

    Attributes:
        observed: (N, K) rows of observations; the present is the last.
        actions: (N, T) rows of actions; the present is the first.
        observed_mask: (N, K) false where the row is padding before the episode.
        action_mask: (N, T) false where the row is padding after the episode.
        weights: (N,) float64 sampling weights relative to the mean, from `balance`.
    """

    observed: Rows
    actions: Rows
    observed_mask: Mask
    action_mask: Mask
    weights: Floats

    def __len__(self) -> int:
        return len(self.observed)

    def read(self, dataset: PackedDataset, batch: Rows) -> tuple[Packed, Packed]:
        """Return (B, K, S) observed states and (B, T, A) actions in task units."""
        states = len(dataset.states)
        observed = self.observed[batch]
        actions = self.actions[batch]
        return dataset.take(observed)[..., :states], dataset.take(actions)[..., states:]


def make_sequences(
    dataset: PackedDataset, split: str, *, history: int = 1, seq_len: int = 16, stride: int = 1
) -> Sequences:
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
    presents = list[Rows]()
    spans = list[Rows]()
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
    return Sequences(
        # Positions outside of the episode hold its first or last row; the masks are false there.
        observed=np.maximum(observed, first),
        actions=np.minimum(actions, last),
        observed_mask=observed >= first,
        action_mask=actions <= last,
        weights=weight / weight.mean(),
    )
