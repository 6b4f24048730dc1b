"""Clock reset of a log: which samples of different topics belong together after it.

A lap is what was logged from one reset of the clock to the next: a simulator that starts an
episode anew sets the time back to zero, and stamps alone no longer tell the episodes apart.

Symbols: n samples of a topic, t its time in s.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinemill.ingest.clock import Floats, Rows

ResetCounts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Stamps:
    """The clock of one topic: times (n,) s as logged, and places in the file (n,), if it has."""

    seconds: Floats
    order: Rows | None


def count_resets(topics: list[Stamps]) -> list[ResetCounts]:
    """Return the number, from 0, of the lap of each sample of each topic.

    A topic whose time goes back was reset somewhere between two of its samples; the fewest resets
    that explain all topics are taken, each right before the sample that shows it first. Without
    places in the file the k-th reset of one topic is taken for the k-th of every other.
    """
    orders = [topic.order for topic in topics if topic.order is not None]
    if len(orders) < len(topics):
        return [_count_own_resets(topic.seconds) for topic in topics]
    spans: list[tuple[int, int]] = []
    for topic, order in zip(topics, orders, strict=True):
        back = _reset_rows(topic.seconds)
        spans += [(int(order[at]), int(order[at + 1])) for at in back]
    resets: list[int] = []
    for earlier_at, later_at in sorted(spans, key=lambda span: span[1]):
        if not resets or resets[-1] <= earlier_at:
            resets.append(later_at)
    if not resets:
        return [np.zeros(len(order), np.int64) for order in orders]
    return [np.searchsorted(resets, order, side="right").astype(np.int64) for order in orders]


def _count_own_resets(seconds: Floats) -> ResetCounts:
    resets, counts = _reset_rows(seconds), np.zeros(len(seconds), np.int64)
    if len(resets):
        counts[resets + 1] = 1
        np.cumsum(counts, out=counts)
    return counts


def _reset_rows(seconds: Floats) -> Rows:
    """Return the rows of (n,) s after which time goes back."""
    return np.flatnonzero(seconds[1:] < seconds[:-1])
