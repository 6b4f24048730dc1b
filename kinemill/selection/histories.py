"""Lengths of history that leave enough windows of each split."""

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.selection.constants import (
    HISTORY_SHARE,
    SHORT_HISTORY,
)
from kinemill.task.portfolio import HISTORIES


def histories_of(dataset: PackedDataset, horizon: int) -> list[int]:
    """Return the lengths of history, rows, that leave enough windows of each split.

    Args:
        dataset: dataset with the episodes.
        horizon: steps of the windows of validation and test; windows of training have one step.
    """
    horizons = {"train": 1, "validation": horizon, "test": horizon}
    return [
        rows
        for rows in HISTORIES
        if all(_leaves(dataset, split, rows, steps) for split, steps in horizons.items())
    ]


def _leaves(dataset: PackedDataset, split: str, history: int, horizon: int) -> bool:
    lengths = np.array([item.rows - horizon for item in dataset.of(split)], dtype=np.int64)
    lengths = lengths[lengths > 0]  # windows by episode, of a history of one row
    remaining = np.maximum(lengths - history + 1, 0)
    if history <= SHORT_HISTORY:
        return bool((remaining > 0).all())
    if split == "test" and not (remaining > 0).all():
        return False
    return bool(remaining.sum() >= HISTORY_SHARE * lengths.sum())
