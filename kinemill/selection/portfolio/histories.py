"""Lengths of history that leave enough windows of each split."""

from collections.abc import Mapping

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.task.portfolio import HISTORIES

# Minimum share of the windows that remain with a longer history. Windows of the test split measure
# the model. Those of the validation split only rank candidates, all on the same rows.
SHARES = {"train": 0.8, "validation": 0.6, "test": 0.9}
SHORT = 4  # rows; a history up to here only must not remove all windows of an episode


def histories_of(
    dataset: PackedDataset, horizon: int, shares: Mapping[str, float] = SHARES
) -> list[int]:
    """Return the lengths of history, rows, that leave enough windows of each split.

    Args:
        dataset: dataset with the episodes.
        horizon: steps of the windows of validation and test; windows of training have one step.
        shares: least share of remaining windows, by split.
    """
    horizons = {"train": 1, "validation": horizon, "test": horizon}
    return [
        rows
        for rows in HISTORIES
        if all(_leaves(dataset, split, rows, horizons[split], shares[split]) for split in shares)
    ]


def _leaves(dataset: PackedDataset, split: str, history: int, horizon: int, share: float) -> bool:
    lengths = np.array([item.rows - horizon for item in dataset.of(split)], dtype=np.int64)
    lengths = lengths[lengths > 0]  # windows by episode, of a history of one row
    remaining = np.maximum(lengths - history + 1, 0)
    if history <= SHORT:
        return bool((remaining > 0).all())
    if split == "test" and not (remaining > 0).all():
        return False
    return bool(remaining.sum() >= share * lengths.sum())
