"""Defects of real logs, injected into good ones: table in, file content out.

Each defect is placed by the content of its log, so it needs no randomness. The first column holds
the time stamps; a column called `q*` is a measurement.
"""

from collections.abc import Callable

import numpy as np

from kinemill.sim._table import Table, csv

Defect = Callable[[Table], str]

STRETCH = 0.1  # share of a log that a stretch takes


def _middle(table: Table) -> slice:
    """Return the rows of a stretch that starts at a third of the log."""
    rows = len(next(iter(table.values())))
    return slice(rows // 3, rows // 3 + max(2, round(STRETCH * rows)))


def nan_stretch(table: Table) -> str:
    """Lose all measurements for a while, as a driver that answers NaN."""
    stretch = _middle(table)
    broken = {name: column.copy() for name, column in table.items()}
    for name, column in broken.items():
        if name.startswith("q"):
            column[stretch] = np.nan
    return csv(broken)


def stuck_encoder(table: Table) -> str:
    """Freeze the last position where it moves most, while its velocity continues."""
    name = [name for name in table if name.startswith("qpos")][-1]
    column = table[name].copy()
    length = _middle(table).stop - _middle(table).start
    windows = np.lib.stride_tricks.sliding_window_view(column, length)
    start = int(np.argmax(windows.max(axis=1) - windows.min(axis=1)))
    column[start : start + length] = column[start]
    return csv({**table, name: column})


def time_reversal(table: Table) -> str:
    """Set the clock back by half a second in the middle, as a time server does."""
    name = next(iter(table))
    stamps = table[name].copy()
    stamps[len(stamps) // 2 :] -= 0.5
    return csv({**table, name: stamps})


def truncated(table: Table) -> str:
    """Cut the last line inside its last number, so that the rest is still a valid number."""
    return csv(table)[:-5]


DEFECTS: dict[str, Defect] = {
    "nan-stretch": nan_stretch,
    "stuck-encoder": stuck_encoder,
    "time-reversal": time_reversal,
    "truncated": truncated,
}
