"""Horizon of a draft: the dead time of the commands, and the slowest time constant of the states.

Both are measured in the logs. The dead time is the delay after which commands explain the next
change of the states best, given the states so far. The time constant of a state is the time for
which its values stay correlated with themselves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinemill.draft.column import Column
from kinemill.draft.constants import (
    HORIZON_ACTS,
    HORIZON_DELAYED,
    HORIZON_FEWEST,
    HORIZON_LOGS,
    HORIZON_LONGEST,
    HORIZON_LONGEST_DELAY,
    HORIZON_MOST,
    HORIZON_PAST,
    HORIZON_ROWS,
    HORIZON_SHARE,
)
from kinemill.draft.table import Samples, without_restarts
from kinemill.ingest.clock import EXACT, Floats
from kinemill.runtime.window_metrics import nonzero_std
from kinemill.tracking.throughput import duration

CORRELATED = math.exp(-1.0)  # autocorrelation after one time constant of exponential decay
LEAST_ROWS = 10 * HORIZON_LONGEST_DELAY


@dataclass(frozen=True)
class Horizon:
    """Horizon of a draft: its number of steps, and the reason."""

    steps: int
    why: str


NO_HORIZON = Horizon(0, "")  # of a policy


def find_horizon(columns: Sequence[Column], dt: float) -> Horizon:
    """Return the horizon that covers dead time and slowest time constant, at a time step in s."""
    recordings = [recording for recording in _recordings(columns, dt) if len(recording) > 1]
    states = [column.channel for column in columns if column.role == "state"]
    if not recordings or not states:
        return Horizon(HORIZON_FEWEST, "the logs are short")
    compared = recordings[:: math.ceil(len(recordings) / HORIZON_LOGS)]
    dead_time = find_dead_time([rows[:HORIZON_ROWS] for rows in compared], len(states)) * dt
    states_of = [rows[:, : len(states)] for rows in recordings]
    constants = np.median([_time_constants(rows) for rows in states_of], axis=0)
    slowest = int(constants.argmax())
    constant = float(constants[slowest]) * dt
    most = min(HORIZON_MOST, int(np.median([len(rows) for rows in recordings])) // HORIZON_SHARE)
    steps = max(HORIZON_FEWEST, min(most, math.ceil((dead_time + constant) / dt)))
    more = " or more" * bool(constants[slowest] >= HORIZON_MOST)
    text = f"the slowest time constant is {_spell(constant)}{more} ({states[slowest]})"
    delay = f", commands act after {_spell(dead_time)}" if dead_time else ""
    bound = f", {steps} steps are the most" * (steps == most)
    return Horizon(steps, f"{_spell(steps * dt)}: {text}{delay}{bound}")


def _spell(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 60.0 else duration(seconds)


def _recordings(columns: Sequence[Column], dt: float) -> list[Floats]:
    """Return the rows of each log at the time step: states, then actions.

    A log whose clock starts again gives a recording for each stretch.
    """
    signals = [
        column
        for role in ("state", "action")
        for column in columns
        if column.role == role and not column.formula
    ]
    logs = dict.fromkeys(log for column in signals for log in column.samples)
    shared = [log for log in logs if all(log in column.samples for column in signals)]
    return [
        rows
        for log in shared
        for rows in _rows(
            [column.motion(log) for column in signals], dt, signals[0].samples[log][0]
        )
    ]


def _rows(samples: Sequence[Samples], dt: float, clock: Floats) -> list[Floats]:
    """Return the first rows (n, columns) of a log in which all columns have samples.

    Rows are split where the clock (N,) s starts again.
    """
    if min(len(seconds) for seconds, _ in samples) < 2:
        return []
    start = max(float(seconds[0]) for seconds, _ in samples)
    stop = min(float(seconds[-1]) for seconds, _ in samples)
    grid = start + dt * np.arange(min(int((stop - start) / dt + EXACT) + 1, HORIZON_LONGEST))
    rows = np.stack([np.interp(grid, seconds, values) for seconds, values in samples], axis=1)
    last = np.flatnonzero(np.diff(clock) < 0.0)
    edges = without_restarts(clock)[np.stack([last, last + 1], axis=1).ravel()]
    return np.split(rows, np.searchsorted(grid, edges, side="right"))[::2]


def _time_constants(states: Floats) -> Floats:
    """Return the rows for which each state (n, S) stays correlated with itself, with a maximum.

    An oscillation is correlated again after a period, and counts as long as it is.
    """
    centered = states - states.mean(axis=0)
    power = nonzero_std((centered**2).sum(axis=0))
    lags = range(1, min(HORIZON_MOST, len(states) - 1) + 1)
    correlations = [(centered[lag:] * centered[:-lag]).sum(axis=0) / power for lag in lags]
    is_correlated = np.abs(correlations) >= CORRELATED
    return np.array([max(np.flatnonzero(column) + 1, default=0) for column in is_correlated.T])


def find_dead_time(recordings: Sequence[Floats], states: int) -> int:
    """Return the delay of the commands in rows; 0 without one, or if the logs do not show it.

    The next change of each state is regressed on the states so far, and on the commands of two
    rows, which are later and later ago.

    Args:
        recordings: rows (n, columns), the states first.
        states: number of states.
    """
    parts = [_regression(rows, states) for rows in recordings if len(rows) >= LEAST_ROWS]
    if not parts or recordings[0].shape[1] == states:
        return 0
    past, commands, changes = (np.concatenate(part) for part in zip(*parts, strict=True))
    # What the states so far explain of the commands and of the changes is left out of both.
    basis = np.linalg.qr(past)[0]
    changes = changes - basis @ (basis.T @ changes)
    actions = recordings[0].shape[1] - states
    commands = commands - basis @ (basis.T @ commands)
    power = nonzero_std((changes**2).sum(axis=0))
    errors = list[float]()
    for delay in range(HORIZON_LONGEST_DELAY):
        pair = commands[:, delay * actions : (delay + 2) * actions]
        residuals = changes - pair @ np.linalg.lstsq(pair, changes, rcond=None)[0]
        errors.append(float(((residuals**2).sum(axis=0) / power).mean()))
    best = int(np.argmin(errors))
    is_delayed = errors[best] <= min(HORIZON_DELAYED * errors[0], 1.0 - HORIZON_ACTS)
    return best if best > 1 and is_delayed else 0


def _regression(rows: Floats, states: int) -> tuple[Floats, Floats, Floats]:
    """Return past states and a constant, commands by delay, and next changes, one row each."""
    scaled = (rows - rows.mean(axis=0)) / nonzero_std(rows.std(axis=0))
    count = len(rows) - HORIZON_LONGEST_DELAY - 1
    current = slice(HORIZON_LONGEST_DELAY, HORIZON_LONGEST_DELAY + count)

    def earlier(lag: int) -> slice:
        return slice(current.start - lag, current.stop - lag)

    past = [scaled[earlier(lag), :states] for lag in range(HORIZON_PAST)]
    commands = [scaled[earlier(lag), states:] for lag in range(HORIZON_LONGEST_DELAY + 1)]
    changes = scaled[earlier(-1), :states] - scaled[current, :states]
    constant = np.ones((count, 1))
    return np.concatenate([*past, constant], axis=1), np.concatenate(commands, axis=1), changes
