"""Selection of the validation blocks of an episode: those with the most representative values.

A block that shows only a part of what an episode does, such as a tank that never overflows, selects
models that fail on the rest. Only the rows that training and validation share are read, and
no other episode, so no block moves as data grows.

Symbols: n rows, C channels, B bins.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Blocks = list[tuple[int, int]]  # first row, row after the last

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)  # quantiles between the bins
PSEUDO = 0.5  # added to the rows in each bin, so that an empty one has a finite distance
MOST_ROWS = 20_000  # evenly spaced; more change the distances little and take memory


def most_representative(values: Floats, candidates: Sequence[Blocks]) -> Blocks:
    """Return the candidate whose blocks and remaining rows both represent all values best.

    The distance is the mean absolute log ratio of the share of the rows in a bin to that of all
    rows. It is the mean over bins, channels and changes of channels from row to row. Every bin
    counts equally: one of few rows, such as a limit, is not to be missing from validation, and not
    from training. The first candidate wins a tie.

    Args:
        values: (n, C), any units.
        candidates: lists of blocks.
    """
    if not values.shape[1]:
        return candidates[0]
    step = -(-len(values) // MOST_ROWS)
    counts = _cumulative_counts(_with_changes(values)[::step])
    every = counts[-1]
    distances = list[float]()
    for blocks in candidates:
        edges = -(-np.array(blocks) // step)  # rows before an edge, of those that are counted
        inside = (counts[edges[:, 1]] - counts[edges[:, 0]]).sum(axis=0)
        distances.append(_distance(inside, every) + _distance(every - inside, every))
    return candidates[int(np.argmin(distances))]


def _with_changes(values: Floats) -> Floats:
    """Return the channels and their changes from row to row, (n, 2 C)."""
    return np.hstack([values, np.diff(values, axis=0, prepend=values[:1])])


def _cumulative_counts(values: Floats) -> NDArray[np.int32]:
    """Return the rows before each row that are in each bin, (n, C) -> (n + 1, C, B)."""
    edges = np.quantile(values, LEVELS, axis=0)  # (B - 1, C)
    bins = (values[:, None] >= edges).sum(axis=1)  # (n, C)
    hits = bins[..., None] == np.arange(len(LEVELS) + 1)
    counts = np.zeros((len(values) + 1, *hits.shape[1:]), np.int32)
    np.cumsum(hits, axis=0, out=counts[1:])
    return counts


def _distance(some: NDArray[np.int32], every: NDArray[np.int32]) -> float:
    """Return the mean absolute log ratio of the shares of two (C, B) counts."""
    shares = [(counts + PSEUDO) / counts[0].sum() for counts in (some, every)]
    return float(np.abs(np.log(shares[0] / shares[1])).mean())
