"""One row an episode: what Great Expectations, the page and drift look at, in float64.

Columns: episode, rows, duration_s, nulls, and for every channel `<channel>:min`, `:max`, `:mean`,
`:std`, `:max_jump` (in the channel's unit, angles the short way round) and `:nonfinite` (rows).
"""

import math
from collections.abc import Iterator

import polars as pl

from kinemill.spec import Task

STATISTICS = ("min", "max", "mean", "std", "max_jump")


def columns_of(task: Task) -> list[str]:
    """Return the names of the table's columns, in order."""
    channels = [f"{name}:{what}" for name in task.columns for what in (*STATISTICS, "nonfinite")]
    return ["episode", "rows", "duration_s", "nulls", *channels]


def summarise(frame: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Summarise episodes, all at once.

    Args:
        frame: rows of many episodes in time order: `episode` and the task's columns.
        task: gives the channels, their kinds and dt.

    Returns:
        one row an episode, in the order of their first rows.
    """
    nulls = pl.sum_horizontal(pl.col(name).null_count() for name in task.columns)
    whole = [
        pl.len().cast(pl.Float64).alias("rows"),
        (pl.len() * task.dt).cast(pl.Float64).alias("duration_s"),
        nulls.cast(pl.Float64).alias("nulls"),
    ]
    channels = [item for name in task.columns for item in _statistics(name, task)]
    table = frame.group_by("episode", maintain_order=True).agg(*whole, *channels)
    return table.select(columns_of(task))


def _statistics(name: str, task: Task) -> Iterator[pl.Expr]:
    value = pl.col(name).cast(pl.Float64)
    change = value.diff().drop_nulls()
    if task.channels[name].kind == "angle":
        turn = 2 * math.pi
        change = change - turn * (change / turn).round()
    yield value.min().alias(f"{name}:min")
    yield value.max().alias(f"{name}:max")
    yield value.mean().alias(f"{name}:mean")
    yield value.std(ddof=0).alias(f"{name}:std")
    yield change.abs().max().fill_null(0.0).alias(f"{name}:max_jump")
    nonfinite = value.is_finite().not_().fill_null(value=False)
    yield nonfinite.sum().cast(pl.Float64).alias(f"{name}:nonfinite")


def empty(task: Task) -> pl.DataFrame:
    """Return the table of no episodes."""
    types = {name: pl.Float64 for name in columns_of(task)}
    return pl.DataFrame(schema={**types, "episode": pl.String})
