"""Lowest and highest value of each channel by episode, as bars for a chart.

Neighboring episodes share a bar, so that many episodes need as much space as a hundred.
"""

import polars as pl

from kinemill.task import Task

BARS = 150  # maximum number of bars of a channel

Bars = dict[str, list[tuple[float, float]]]  # channel -> (lowest, highest)


def ranges(table: pl.DataFrame, task: Task) -> Bars:
    """Return the bars of each channel.

    Args:
        table: one row per episode, with `<channel>:min` and `<channel>:max`.
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
