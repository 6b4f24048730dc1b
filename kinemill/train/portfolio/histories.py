"""Lengths of history that leave enough windows of each split."""

from collections.abc import Mapping

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.task.portfolio import HISTORIES

# Minimum share of the windows that remain with a longer history. Windows of the test split are what
# a model is measured on; those of the validation split only rank candidates, all on the same rows.
SHARES = {"train": 0.8, "validation": 0.6, "test": 0.9}
SHORT = 4  # rows that any history may have, as long as no episode loses all its windows


def histories_of(
    dataset: PackedDataset, horizon: int, shares: Mapping[str, float] = SHARES
) -> list[int]:
    """Return the lengths of history, rows, that leave enough windows of each split.

    Args:
        dataset: its episodes.
        horizon: steps of the windows of validation and test; those of training have one.
        shares: of the windows that have to be left, by split.
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
