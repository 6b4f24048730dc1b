"""Timing of a draft: its time step, and the longest gap between rows that interpolation bridges.

Where the logs are much faster than the motion, the time step follows the motion: in one row of such
a log the states change less than their noise, and a horizon of some rows is the blink of an eye.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinemill.draft.column import Column
from kinemill.draft.constants import (
    COMPARED_ROWS,
    TIMING_BRIDGED,
    TIMING_EVEN,
    TIMING_FASTER,
    TIMING_LEAST_HOLD,
    TIMING_MOST_STEPS,
    TIMING_MUCH_FASTER,
    TIMING_NOISE,
    TIMING_ROBOT,
    TIMING_STEPS_A_GAP,
    TIMING_USUAL_GAP,
)
from kinemill.draft.table import Table
from kinemill.ingest.clock import Floats

NICE = (1.0, 1.25, 5 / 3, 2.0, 2.5, 10 / 3, 4.0, 5.0, 8.0, 10.0)  # 600, 60, 30 Hz are usual too
GAPS = tuple(k * 10**n for n in range(4) for k in (2, 3, 5, 8, 12))  # in rows of the log


def time_step(tables: list[Table], step: float) -> float:
    """Return the time step, s: that of evenly spaced timestamps, else a usual one close to it."""
    clocks = {id(seconds): seconds for table in tables for seconds, _ in table.values.values()}
    if all(_even(seconds) for seconds in clocks.values()):
        rounded = float(f"{step:.6g}")  # a median of long logs has rounding errors
        is_round = abs(rounded - step) < 1e-9 * step
        return rounded if is_round else float(f"{step:.12g}")
    return nice(step)


def motion_step(columns: Sequence[Column], step: float) -> float:
    """Return the time step, s, that the motion needs: several steps of the log, or one.

    It is a fourth of the longest time over which interpolation shows the motion of every state,
    but not longer than commands are held, and than a robot's controller waits.
    """
    gaps = [
        float(np.median(log_gaps))
        for column in columns
        if column.role == "state" and not column.formula
        if (log_gaps := [gap for log in column.samples if (gap := _smooth_gap(column, log))])
    ]
    if not gaps:
        return step
    hold_times = [time for time in _hold_times(columns) if time >= TIMING_LEAST_HOLD * step]
    longest = min([min(gaps) / TIMING_STEPS_A_GAP, *hold_times])
    is_fast = step < TIMING_ROBOT
    factor = min(longest, TIMING_ROBOT if is_fast else longest) / step
    if factor < (TIMING_FASTER if is_fast else TIMING_MUCH_FASTER):
        return step
    digit = 10 ** int(np.log10(factor))
    return step * digit * int(factor / digit + TIMING_EVEN)


def _hold_times(columns: Sequence[Column]) -> list[float]:
    """Return the usual time for which each command keeps its value, s; of those that change."""
    hold_times = list[float]()
    for column in columns:
        for seconds, values in column.samples.values():
            changes = np.flatnonzero(np.diff(values[:COMPARED_ROWS]))
            if column.role == "action" and len(changes) > 2:
                hold_times.append(float(np.median(np.diff(seconds[changes]))))
    return hold_times


def _even(seconds: Floats) -> bool:
    steps = np.diff(seconds)
    return bool(len(steps)) and bool(
        np.all(np.abs(steps - np.median(steps)) <= TIMING_EVEN * steps[0])
    )


def nice(step: float) -> float:
    """Round a time step, s: to a usual one within 8 %, else to two digits."""
    power = 10.0 ** np.floor(np.log10(step))
    usual = min((digit * power for digit in NICE), key=lambda candidate: abs(candidate - step))
    if abs(usual - step) <= 0.08 * step:
        return float(f"{usual:.4g}")
    return float(f"{step:.2g}")


def bridged_gap(columns: list[Column], dt: float) -> float | None:
    """Return the longest gap, s, over which the states are smooth enough to interpolate.

    To find it, samples are removed and interpolated from their neighbors. None if the gap is not
    longer than the default of five time steps.
    """
    states = [column for column in columns if column.guess.role == "state"]
    logs = dict.fromkeys(log for column in states for log in column.samples)
    gaps = [
        _smooth_gap(column, log, TIMING_MOST_STEPS)
        for column in states
        for log in logs
        if log in column.samples
    ]
    per_log = [gap for gap in gaps if gap is not None]
    shortest = min(per_log, default=0.0)
    return float(f"{shortest:.2g}") if shortest > TIMING_USUAL_GAP * dt else None


def _smooth_gap(column: Column, log: tuple[Path, str], most: int = GAPS[-1]) -> float | None:
    """Return the longest gap of one log, s, of at most `most` rows; None if it never changes."""
    seconds, values = column.motion(log, COMPARED_ROWS)
    if len(values) < 4 * TIMING_USUAL_GAP or float(np.std(values)) == 0.0:
        return None
    step = float(np.median(np.diff(seconds)))
    std = float(np.std(values))
    # Noise adds the same error to any gap; only a larger error shows that motion is lost.
    allowed = max(TIMING_BRIDGED * std, TIMING_NOISE * _bridging_error(seconds, values, 2))
    reached = 1
    for rows in GAPS:
        is_short = 4 * rows > len(values) or rows > most
        if is_short or _bridging_error(seconds, values, rows) > allowed:
            break
        reached = rows
    return reached * step


def _bridging_error(seconds: Floats, values: Floats, rows: int) -> float:
    """Return the rms error of linear interpolation between every `rows`-th sample of (n,)."""
    sample = slice(None, None, rows)
    last = (len(values) - 1) // rows * rows + 1
    bridged = np.interp(seconds[:last], seconds[sample], values[sample])
    return float(np.sqrt(np.mean((bridged - values[:last]) ** 2)))
