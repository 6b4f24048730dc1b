"""One row per episode: the float64 table that Great Expectations, the report and drift use.

Columns: episode, rows, duration_s, nulls, and for every channel `<channel>:min`, `:max`, `:mean`,
`:std`, `:max_jump` (in the channel's unit, angles the short way round) and `:nonfinite` (rows).
"""

import numpy as np
import polars as pl

from kinemill.task import Task
from kinemill.validate.block_stats import extremes, largest_step, mean_and_deviation, whole
from kinemill.validate.faults import Array, Track, Values, steps

Row = dict[str, str | float | None]
STATISTICS = ("min", "max", "mean", "std", "max_jump")


def columns_of(task: Task) -> list[str]:
    """Return the names of the table's columns, in order."""
    channels = [f"{name}:{what}" for name in task.columns for what in (*STATISTICS, "nonfinite")]
    return ["episode", "rows", "duration_s", "nulls", *channels]


def summarize(frame: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Summarize all episodes in one table.

    `frame` holds the rows of many episodes: `episode` and the task's columns. It returns the table,
    in the order of the episodes' first rows.
    """
    frame, rows, start = frame.cast(dict.fromkeys(task.columns, pl.Float64)), list[Row](), 0
    for run in frame["episode"].rle().to_list():
        part = frame.slice(start, run["len"])
        rows.append(_row_with_nulls(run["value"], part, task))
        start += run["len"]
    return pl.DataFrame(rows, schema=empty(task).schema, orient="row")


def columns_from(rows: list[Row], task: Task) -> dict[str, list[str | float | None]]:
    """Return rows as columns, each with one value an episode."""
    return {name: [row[name] for row in rows] for name in columns_of(task)}


def row(episode: str, values: Values, task: Task) -> Row:
    """Summarize one episode, channel -> (n,), n at least one."""
    row_values = _about(episode, len(values[task.columns[0]]), 0, task)
    for name in task.columns:
        statistics = _statistics(values, name, task)
        row_values |= {f"{name}:{what}": value for what, value in statistics.items()}
    return row_values


def _about(episode: str, rows: int, nulls: int, task: Task) -> Row:
    return {
        "episode": episode,
        "rows": float(rows),
        "duration_s": rows * task.dt,
        "nulls": float(nulls),
    }


def _row_with_nulls(episode: str, frame: pl.DataFrame, task: Task) -> Row:
    """Summarize one episode with missing values: statistics of the others, and counts."""
    nulls = sum(frame[name].null_count() for name in task.columns)
    row_values = _about(episode, frame.height, nulls, task)
    for name in task.columns:
        series = frame[name]
        finite = series.drop_nulls().to_numpy() if series.null_count() else series.to_numpy()
        statistics = dict.fromkeys(STATISTICS) | {"max_jump": 0.0, "nonfinite": 0.0}
        if len(finite):
            statistics = _statistics(Track({name: finite}), name, task)
            if series.null_count():  # no step across a null
                jump = _largest_step(series.to_numpy(), task.channels[name].kind)
                statistics["max_jump"] = jump
        row_values |= {f"{name}:{what}": value for what, value in statistics.items()}
    return row_values


def _statistics(values: Values, name: str, task: Task) -> dict[str, float | None]:
    """Return the statistics of a channel (n,); NaN are ignored in minimum and maximum."""
    own, kind = values[name], task.channels[name].kind
    mean, deviation = mean_and_deviation(values, name)
    if whole(values, name):
        low, high = extremes(values, name)
        jump, lost = largest_step(values, name), 0
    else:
        low, high = float(np.fmin.reduce(own)), float(np.fmax.reduce(own))
        jump, lost = _largest_step(own, "linear"), np.count_nonzero(~np.isfinite(own))
    if kind == "angle" and jump > np.pi:  # another way may be shorter
        jump = _largest_step(own, kind)
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
