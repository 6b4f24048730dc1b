"""The lowest and highest value of each channel by episode, as bars that a page can draw.

Many episodes share a bar, so that a hundred thousand need no more room than a hundred.
"""

from typing import Any

import polars as pl

from kinemill.spec import Task

BARS = 150  # of a channel's picture; more episodes share one


def ranges(table: pl.DataFrame, task: Task, bars: int = BARS) -> dict[str, list[list[float]]]:
    """Return [lowest, highest] of each bar, by channel.

    Args:
        table: one row an accepted episode.
        task: gives the channels.
        bars: how many there are at most, at least one where there is an episode.
    """
    each = max(1, -(-table.height // max(1, bars)))
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


def joined(found: list[dict[str, Any]], name: str) -> list[list[float]]:
    """Return the bars of one channel over all shards."""
    return [bar for each in found for bar in each[name]]
