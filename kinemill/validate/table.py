"""One row per episode: the float64 table that Great Expectations, the report and drift use.

Columns: episode, rows, duration_s, nulls, and for every channel `<channel>:min`, `:max`, `:mean`,
`:std`, `:max_jump` (in the channel's unit, angles the short way round) and `:nonfinite` (rows).
"""

import numpy as np
import polars as pl

from kinemill.task import Task
from kinemill.task.expectation import episode_columns
from kinemill.validate.faults import Array, Values, steps
from kinemill.validate.signal_stats import extremes, is_finite, largest_step, mean_and_deviation

Row = dict[str, str | float | None]


def columns_of(task: Task) -> list[str]:
    """Return the names of the table's columns, in order."""
    return episode_columns(task.columns)


def columns_from(rows: list[Row], task: Task) -> dict[str, list[str | float | None]]:
    """Return rows as columns, each with one value an episode."""
    return {name: [row[name] for row in rows] for name in columns_of(task)}


def row(episode: str, values: Values, task: Task) -> Row:
    """Summarize one episode, channel -> (n,), n at least one."""
    rows = len(values[task.columns[0]])
    row_values: Row = {
        "episode": episode,
        "rows": float(rows),
        "duration_s": rows * task.dt,
        "nulls": 0.0,
    }
    for name in task.columns:
        statistics = _statistics(values, name, task)
        row_values |= {f"{name}:{what}": value for what, value in statistics.items()}
    return row_values


def _statistics(values: Values, name: str, task: Task) -> dict[str, float]:
    """Return the statistics of a channel (n,); NaN are ignored in minimum and maximum."""
    series = values[name]
    kind = task.channels[name].kind
    mean, deviation = mean_and_deviation(values, name)
    if is_finite(values, name):
        low, high = extremes(values, name)
        jump = largest_step(values, name)
        lost = 0
    else:
        low = float(np.fmin.reduce(series))
        high = float(np.fmax.reduce(series))
        jump = _largest_step(series, "linear")
        lost = np.count_nonzero(~np.isfinite(series))
    if kind == "angle" and jump > np.pi:  # another way may be shorter
        jump = _largest_step(series, kind)
    return {
        "min": low,
        "max": high,
        "mean": mean,
        "std": deviation,
        "max_jump": jump,
        "nonfinite": float(lost),
    }


def _largest_step(values: Array, kind: str) -> float:
    """Return the largest |x[k+1] - x[k]| of (n,), angles the short way round; NaN if all are."""
    return float(np.fmax.reduce(np.abs(steps(values, kind)))) if len(values) > 1 else 0.0


def empty(task: Task) -> pl.DataFrame:
    """Return the table of no episodes."""
    types = {name: pl.Float64 for name in columns_of(task)}
    return pl.DataFrame(schema={**types, "episode": pl.String})
