"""One row an episode: what Great Expectations, the page and drift look at, in float64.

Columns: episode, rows, duration_s, nulls, and for every channel `<channel>:min`, `:max`, `:mean`,
`:std`, `:max_jump` (in the channel's unit, angles the short way round) and `:nonfinite` (rows).
"""

import numpy as np
import polars as pl

from kinemill.spec import Task
from kinemill.validate.faults import Array, blocks, mean_and_deviation, steps

STATISTICS = ("min", "max", "mean", "std", "max_jump")


def columns_of(task: Task) -> list[str]:
    """Return the names of the table's columns, in order."""
    channels = [f"{name}:{what}" for name in task.columns for what in (*STATISTICS, "nonfinite")]
    return ["episode", "rows", "duration_s", "nulls", *channels]


def summarise(frame: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Summarise episodes, all at once; see `summaries`."""
    return pl.DataFrame(summaries(frame, task), schema=empty(task).schema)


def summaries(frame: pl.DataFrame, task: Task) -> dict[str, list[str | float | None]]:
    """Summarise episodes, all at once.

    Args:
        frame: rows of many episodes, one after the other: `episode` and the task's columns.
        task: gives the channels, their kinds and dt.

    Returns:
        each column with one value an episode, in the order of their first rows.
    """
    frame = frame.cast(dict.fromkeys(task.columns, pl.Float64))
    columns: dict[str, list[str | float | None]] = {name: [] for name in columns_of(task)}
    start = 0
    for run in frame["episode"].rle().to_list():
        found = _row(run["value"], frame.slice(start, run["len"]), task)
        for name, listed in columns.items():
            listed.append(found[name])
        start += run["len"]
    return columns


def _row(episode: str, frame: pl.DataFrame, task: Task) -> dict[str, str | float | None]:
    values = {name: frame[name] for name in task.columns}
    row: dict[str, str | float | None] = {
        "episode": episode,
        "rows": float(frame.height),
        "duration_s": frame.height * task.dt,
        "nulls": float(sum(series.null_count() for series in values.values())),
    }
    for name, series in values.items():
        row |= {f"{name}:{what}": value for what, value in _statistics(series, name, task).items()}
    return row


def _statistics(series: pl.Series, name: str, task: Task) -> dict[str, float | None]:
    """Return the statistics of a channel (n,); NaN are left out of least and largest values."""
    whole = series.to_numpy()  # null as NaN
    known = series.drop_nulls().to_numpy() if series.null_count() else whole
    if not len(known):
        return {**dict.fromkeys(STATISTICS), "max_jump": 0.0, "nonfinite": 0.0}
    kind, parts = task.channels[name].kind, list(blocks(known))
    mean, deviation = mean_and_deviation(known)
    jumps = [_largest_step(part, kind) for part in blocks(whole, beyond=1) if len(part) > 1]
    return {
        "min": float(np.fmin.reduce([np.fmin.reduce(part) for part in parts])),
        "max": float(np.fmax.reduce([np.fmax.reduce(part) for part in parts])),
        "mean": mean,
        "std": deviation,
        "max_jump": float(np.fmax.reduce(jumps or [0.0])),
        "nonfinite": float(len(known) - sum(np.count_nonzero(np.isfinite(p)) for p in parts)),
    }


def _largest_step(values: Array, kind: str) -> float:
    """Return the largest |x[k+1] - x[k]| of (n,), angles the short way round; NaN if all are."""
    largest = float(np.fmax.reduce(np.abs(np.diff(values))))
    if kind != "angle" or largest <= np.pi:  # no other way is shorter
        return largest
    return float(np.fmax.reduce(np.abs(steps(values, kind))))


def empty(task: Task) -> pl.DataFrame:
    """Return the table of no episodes."""
    types = {name: pl.Float64 for name in columns_of(task)}
    return pl.DataFrame(schema={**types, "episode": pl.String})
