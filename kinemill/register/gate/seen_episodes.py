"""Test episodes of a dataset version that another version was trained on.

Splits do not move as data grow, but a user can move a recording, or set other shares.
"""

from dataclasses import replace
from pathlib import Path

import polars as pl

from kinemill.dataset import PackedDataset
from kinemill.dataset.listing import scan_listing
from kinemill.errors import BadInput

_ROWS = ["recording", "part", "begin", "end"]


def seen_episodes(dataset: Path, trained_on: Path) -> frozenset[str]:
    """Return the ids of test episodes in `dataset` with rows that `trained_on` learned from.

    Both are folders of dataset versions. Rows of the training and the validation split count: the
    first ones set weights, the others selected the model.
    """
    test = _pieces(dataset, "test").select("id", *_ROWS)
    learned = _pieces(trained_on, "train", "validation").select(_ROWS)
    pairs = test.join(learned, on=["recording", "part"], suffix="_learned")
    overlap = (pl.col("begin") < pl.col("end_learned")) & (pl.col("begin_learned") < pl.col("end"))
    return frozenset(pairs.filter(overlap).select("id").collect()["id"])


def without_episodes(rows: PackedDataset, trained: frozenset[str]) -> PackedDataset:
    """Return a dataset without the episodes that the champion was trained on.

    Raises:
        BadInput: No test episode is left.
    """
    episodes = [episode for episode in rows.episodes if episode.id not in trained]
    if not any(episode.split == "test" for episode in episodes):
        problem = "was trained on all test episodes of the challenger"
        raise BadInput("it", problem, fix="record new logs for the test split")
    return replace(rows, episodes=episodes)


def _pieces(folder: Path, *splits: str) -> pl.LazyFrame:
    """Return pieces with their first row in the recording, and the row after the last."""
    begin = pl.col("begins").fill_null(0) + pl.col("first").fill_null(0)
    return scan_listing(folder, *splits).with_columns(
        pl.col("part").fill_null(""), begin=begin, end=begin + pl.col("rows")
    )
