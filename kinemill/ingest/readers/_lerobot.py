"""LeRobot data sets, versions 2.1 and 3: the episodes in a Parquet file under `data/`.

A file of version 2.1 is one episode, one of version 3 holds many: the parts `episode 7`, by
`episode_index`. Sources are elements of vectors: `observation.state[3]`, `action[0]`, in the order
of `meta/info.json` (`kinemill new` takes channel names from there); a vector of one element is
`action`. The Parquet files under `meta/` are no logs. Videos are not read.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from kinemill.ingest.raw import TIME, RawLog

EPISODE, FRAME, STAMP = COUNTERS = ["episode_index", "frame_index", "timestamp"]
# float32 resolves a timestamp to a relative 6e-8; a rounded k / fps is within twice that.
ROUNDED = 1.2e-7


def episodes(log: RawLog, counters: pl.DataFrame) -> RawLog | list[RawLog]:
    """Split a file into its episodes, in the order of their indices.

    Args:
        log: all rows of the file.
        counters: the columns `COUNTERS` of the same rows.
    """
    numbered = counters.select(EPISODE).with_row_index("row")
    groups = numbered.group_by(EPISODE).agg("row").sort(EPISODE)
    if groups.height < 2:
        return _episode(log, counters, log.part)
    logs: list[RawLog] = []
    for number, rows in zip(groups[EPISODE], groups["row"], strict=True):
        own = replace(log, frame=log.frame[rows.sort()])
        logs.append(_episode(own, counters[rows.sort()], f"episode {number}"))
    return logs


def _episode(log: RawLog, counters: pl.DataFrame, part: str) -> RawLog:
    stamps = log.frame[TIME]
    rate = _rate(counters[FRAME], counters[STAMP])
    if rate is None or not stamps.equals(counters[STAMP].cast(stamps.dtype)):
        return replace(log, part=part)
    # Exact times: float32 timestamps would be off the grid by a fraction of a microsecond.
    exact = counters[FRAME].cast(pl.Int64).alias(TIME)
    return replace(log, frame=log.frame.with_columns(exact), ticks=rate, part=part)


def _rate(frames: pl.Series, stamps: pl.Series) -> float | None:
    """Return the integer frame rate of the timestamps, Hz, or None."""
    if (
        frames.null_count()
        or stamps.null_count()
        or len(frames) < 2
        or not frames.dtype.is_integer()
    ):
        return None
    index, seconds = frames.to_numpy().astype(np.int64), stamps.to_numpy().astype(np.float64)
    span = seconds[-1] - seconds[0]
    rate = float(round((index[-1] - index[0]) / span)) if span > 0.0 else 0.0
    if rate < 1.0:
        return None
    made = index / rate
    return rate if bool(np.all(np.abs(seconds - made) <= ROUNDED * np.abs(made))) else None
