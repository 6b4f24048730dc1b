"""Sequences for policies: what was known up to a row, and the actions from that row on.

Every row of an episode may be the present of a sequence, also near its ends: what is missing there
is filled with the nearest row of the episode and marked in a mask, as in action chunking (Zhao et
al. 2023, section IV) and Diffusion Policy (Chi et al. 2023, section III-C). No sequence reaches
into another episode.

Symbols: N sequences, K rows known (the present is the last), T rows of actions, S states, A
actions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset._packed import Packed, PackedDataset
from kinemill.errors import BadInput

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sequences:
    """The sequences of one split, addressed by rows of the packed dataset.

    Attributes:
        known: (N, K) rows of observations; the present is the last.
        ahead: (N, T) rows of actions; the present's is the first.
        known_mask: (N, K) false where a row is before the episode's first, and stands for it.
        ahead_mask: (N, T) false where a row is after the episode's last, and stands for it.
        weights: (N,) float64, how often each is to be drawn over the mean, as `balance` says.
    """

    known: Rows
    ahead: Rows
    known_mask: Mask
    ahead_mask: Mask
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.known)

    def read(self, dataset: PackedDataset, which: Rows) -> tuple[Packed, Packed]:
        """Return (B, K, S) observed states and (B, T, A) actions of B sequences, in task units."""
        states = len(dataset.states)
        known, ahead = self.known[which], self.ahead[which]
        return dataset.values[known][..., :states], dataset.values[ahead][..., states:]


def make_sequences(
    dataset: PackedDataset, split: str, *, known: int = 1, seq_len: int = 16, stride: int = 1
) -> Sequences:
    """Return the sequences of a split.

    Args:
        dataset: a dataset or a training set.
        split: train, validation or test.
        known: K, rows of observations that a policy sees, >= 1.
        seq_len: T, actions that it gives at once, >= 1.
        stride: rows from the present of one sequence to that of the next; the last row of an
            episode is always one, so that its end is learned too.

    Raises:
        BadInput: a length under 1, or a split without episodes.
    """
    if min(known, seq_len, stride) < 1:
        where = "a sequence's known, seq_len and stride"
        raise BadInput(where, f"{known}, {seq_len} and {stride}", expected="all >= 1")
    episodes = dataset.of(split)
    if not episodes:
        raise BadInput(f"{split} split of {dataset.task}", "has no episodes")
    presents, spans, weights = list[Rows](), list[Rows](), list[NDArray[np.float64]]()
    for one in episodes:
        own = np.unique(np.append(np.arange(one.start, one.stop, stride), one.stop - 1))
        presents.append(own)
        spans.append(np.tile([one.start, one.stop - 1], (len(own), 1)))
        # An episode's sequences share what its rows weigh, whatever the stride.
        weights.append(np.full(len(own), one.weight * one.rows / len(own)))
    present, span, weight = map(np.concatenate, (presents, spans, weights))
    first, last = span[:, :1], span[:, 1:]
    before = present[:, None] + np.arange(1 - known, 1)
    after = present[:, None] + np.arange(seq_len)
    return Sequences(
        known=np.maximum(before, first),
        ahead=np.minimum(after, last),
        known_mask=before >= first,
        ahead_mask=after <= last,
        weights=weight / weight.mean(),
    )
