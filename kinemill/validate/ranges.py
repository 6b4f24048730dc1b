"""The lowest and highest value of each channel by episode, as bars that a page can draw.

Many episodes share a bar, so that a hundred thousand need no more room than a hundred.
"""

from collections.abc import Iterable

import polars as pl

from kinemill.task import Task

BARS = 150  # of a channel's picture; more episodes share one

Bars = dict[str, list[list[float]]]


def ranges(table: pl.DataFrame, task: Task) -> Bars:
    """Return [lowest, highest] of each bar, by channel.

    Args:
        table: one row an accepted episode.
        task: gives the channels.
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
    return {
        name: [list(pair) for pair in grouped.select(f"{name}:min", f"{name}:max").rows()]
        for name in task.columns
    }


def merge_parts(parts: Iterable[Bars]) -> Bars:
    """Return the bars of several parts, one after the other."""
    every = list(parts)
    names = dict.fromkeys(name for each in every for name in each)
    return {name: [bar for each in every for bar in each.get(name, [])] for name in names}


def truncate(part: Bars) -> Bars:
    """Return as many bars as one of sixteen parts has: neighbors share one."""
    return {name: _shared(bars) for name, bars in part.items()}


def _shared(bars: list[list[float]]) -> list[list[float]]:
    each = max(1, -(-len(bars) // (BARS // 16)))
    groups = (bars[first : first + each] for first in range(0, len(bars), each))
    return [[min(low for low, _ in some), max(high for _, high in some)] for some in groups]
