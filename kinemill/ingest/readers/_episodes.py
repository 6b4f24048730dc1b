"""Several episodes in the rows of one table, as D4RL and replay buffers store them.

A flag in each row marks the last row of an episode (`terminals`, `timeouts`, `done`) or the first
one (`is_first`), or a number counts the episodes (`episode_index`).
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.ingest.raw import RawLog

LASTS = {"terminals", "timeouts", "terminations", "truncations", "terminal", "timeout",
         "terminated", "truncated", "done", "dones", "is_last"}  # fmt: skip
FIRSTS = {"is_first"}
NUMBERS = {"episode_index", "episode_id", "episode"}
NAMES = LASTS | FIRSTS | NUMBERS
_ADJOINING = 0.1  # share of flags next to another one from which a flag is a state of the robot


def split_episodes(log: RawLog, marks: Mapping[str, NDArray[Any]]) -> RawLog | list[RawLog]:
    """Split a table into its episodes; without a mark it is one.

    Args:
        log: all rows. Dropped rows of the file are reported with the last episode.
        marks: columns with names in `NAMES`, (rows,); one of another length is ignored.
    """
    rows = log.frame.height
    cuts = [0, *episode_starts(marks, rows), rows]
    if len(cuts) < 3:
        return log
    # Images and texts are found by the values of a row, and stay with it.
    parts = [
        replace(log, frame=log.frame.slice(start, stop - start), part=f"episode {number}")
        for number, (start, stop) in enumerate(pairwise(cuts))
    ]
    return [*(replace(part, dropped_rows=0, reasons=[]) for part in parts[:-1]), parts[-1]]


def episode_starts(marks: Mapping[str, NDArray[Any]], rows: int) -> list[int]:
    """Return the rows between the first and the last one at which an episode starts.

    Args:
        marks: columns with names in `NAMES`, (rows,); one of another length is ignored.
        rows: number of rows of the table.
    """
    starts = [_starts(name, values) for name, values in marks.items() if len(values) == rows]
    boundaries = np.unique(np.concatenate(starts)) if starts else np.empty(0, dtype=np.int64)
    return boundaries[(boundaries > 0) & (boundaries < rows)].astype(np.int64).tolist()


def _starts(name: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the rows at which an episode starts by a column (rows,)."""
    if name in NUMBERS:
        return np.flatnonzero(values[1:] != values[:-1]) + 1
    is_flag = np.isin(values, (0, 1)).all()
    rows = np.flatnonzero(values == 1) if is_flag else np.empty(0, dtype=np.int64)
    if len(rows) and np.mean(np.diff(rows, prepend=-2) == 1) > _ADJOINING:
        return np.empty(0, dtype=np.int64)
    return rows if name in FIRSTS else rows + 1
