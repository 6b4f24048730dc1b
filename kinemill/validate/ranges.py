"""Lowest and highest value of each channel by episode, as bars for a chart.

Neighboring episodes share a bar, so that a hundred thousand episodes need as much space as a
hundred.
"""

from collections.abc import Iterable

import polars as pl

from kinemill.task import Task

BARS = 150  # maximum number of bars of a channel

Bars = dict[str, list[tuple[float, float]]]  # channel -> (lowest, highest)


def ranges(table: pl.DataFrame, task: Task) -> Bars:
    """Return the bars of each channel.

    Args:
        table: one row per accepted episode.
        task: its channels.
    """
    each = max(1, -(-table.height // BARS))
    columns = [
        column
        for name in task.columns
        for column in (pl.col(f"{name}:min").min(), pl.col(f"{name}:max").max())
    ]
    grouped = (
        table.with_row_index()
        .group_by(pl.col("index") // each, maintain_order=True)
        .agg(*columns)
        .drop("index")
    )
    return {name: grouped.select(f"{name}:min", f"{name}:max").rows() for name in task.columns}


def merge_parts(parts: Iterable[Bars]) -> Bars:
    """Concatenate the bars of several parts."""
    every = list(parts)
    names = dict.fromkeys(name for each in every for name in each)
    return {name: [bar for each in every for bar in each.get(name, [])] for name in names}


def truncate(part: Bars) -> Bars:
    """Merge neighboring bars until one of 16 parts has its share of `BARS`."""
    return {name: _shared(bars) for name, bars in part.items()}


def _shared(bars: list[tuple[float, float]]) -> list[tuple[float, float]]:
    each = max(1, -(-len(bars) // (BARS // 16)))
    groups = (bars[first : first + each] for first in range(0, len(bars), each))
    return [(min(low for low, _ in some), max(high for _, high in some)) for some in groups]
