"""From a raw log to tracks: continuous stretches on the task's grid, in the task's units.

Symbols: n rows of a segment, m steps of its grid, C channels in the task's order (states, then
actions), t time in s.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kinemill.ingest.clock import EXACT, Clock, Floats, read_clock
from kinemill.ingest.raw import TIME, RawLog, Reason, reason, stretches
from kinemill.spec import Task
from kinemill.spec.units import factor

TURN = 2.0 * np.pi
# An encoder that wraps reads at most one turn; a little more when noise is added after wrapping.
WRAPPED_RANGE = TURN + 0.1


@dataclass(frozen=True)
class Tracks:
    """The usable stretches of one log: frames of `time_s` and the task's columns."""

    frames: list[pl.DataFrame]
    rows: int
    dropped_rows: int
    reasons: list[Reason]


def make_tracks(log: RawLog, task: Task) -> Tracks:
    """Bring a raw log to the task's clock, units and grid.

    Missing and infinite values become NaN, and so do the steps beside them; what to do about NaN
    is for validation to say.
    """
    values, odd = _values(log, task)
    clock = read_clock(log.frame[TIME], log.ticks, task.max_gap, task.dt)
    reasons = [*log.reasons, *clock.reasons, *odd]
    lost = log.dropped_rows + clock.dropped_rows
    if task.ingest.on_time_reversal == "quarantine" and _goes_back(clock):
        return Tracks([], 0, lost + len(clock.rows), reasons)
    frames, short = list[pl.DataFrame](), 0
    for segment in clock.segments:
        grid = _grid(clock.seconds[segment], task.dt)
        if len(grid) < 2:
            short += segment.stop - segment.start
            continue
        raw = values[clock.rows[segment]]
        frames.append(_on_grid(clock.seconds[segment], raw, grid, task))
    if short or not frames:
        reasons.append(_too_short(short, clock, task))
    return Tracks(frames, len(clock.rows) - short, lost + short, reasons)


def _goes_back(clock: Clock) -> bool:
    return any(item["check"] == "time_order" for item in clock.reasons)


def _values(log: RawLog, task: Task) -> tuple[Floats, list[Reason]]:
    """Return the channels in the task's units, (N, C), and a reason for each with odd values."""
    columns, reasons = list[Floats](), list[Reason]()
    for name in task.columns:
        series = log.frame[name]
        reasons += _missing(name, series) + _infinite(name, series)
        value = series.fill_null(np.nan).to_numpy().copy()
        value[np.isinf(value)] = np.nan
        own, unit = log.sources[name].unit, task.channels[name].unit
        if own and own != unit:
            scale, offset = factor(own, unit)
            value = scale * value + offset
        columns.append(value)
    return np.stack(columns, axis=1), reasons


def _missing(name: str, series: pl.Series) -> list[Reason]:
    rows = series.is_null().arg_true().to_numpy().astype(np.int64)
    if not len(rows):
        return []
    found = f"no value in {len(rows)} of {len(series)} rows"
    return [_odd(name, "missing", rows, found)]


def _infinite(name: str, series: pl.Series) -> list[Reason]:
    rows = series.is_infinite().fill_null(value=False).arg_true().to_numpy().astype(np.int64)
    if not len(rows):
        return []
    return [
        _odd(name, "finite", rows, f"{series[int(rows[0])]}, or a number beyond float64 (1e308)")
    ]


def _odd(name: str, check: str, rows: np.ndarray[Any, np.dtype[np.int64]], found: str) -> Reason:
    return reason(
        check,
        stretches(rows + 1),
        found,
        channel=name,
        expected="a finite number in every row",
        fix="nothing to do: read as NaN, which validation cuts out",
    )


def _too_short(rows: int, clock: Clock, task: Task) -> Reason:
    rising = np.diff(clock.seconds)
    rising = rising[rising > 0.0]
    usual = f"; stamps are usually {np.median(rising):.3g} s apart" if len(rising) else ""
    return reason(
        "too_short",
        "whole log" if rows == len(clock.rows) else "between gaps",
        f"{rows} rows in stretches shorter than two steps{usual}",
        expected=f"stretches of at least {task.dt:.3g} s without a gap of {task.max_gap:.3g} s",
        fix="if the log is meant to be slow, raise `dt` or `ingest.resample.max_gap`",
    )


def _grid(seconds: Floats, dt: float) -> Floats:
    """Return the grid of a segment (m,): its first stamp and every `dt` s from there, in s."""
    steps = int(np.floor((seconds[-1] - seconds[0]) / dt + EXACT)) + 1
    return seconds[0] + dt * np.arange(steps)


def _on_grid(seconds: Floats, values: Floats, grid: Floats, task: Task) -> pl.DataFrame:
    """Resample one segment: times (n,) s, values (n, C) -> `time_s` and C columns of m rows."""
    smooth = values.copy()
    for index, name in enumerate(task.columns):
        if task.channels[name].kind == "angle":
            smooth[:, index] = unwrap(values[:, index])
    resample = linear if task.ingest.resample.method == "linear" else hold
    out = resample(seconds, smooth, grid, EXACT * task.dt)
    columns = {name: np.ascontiguousarray(out[:, index]) for index, name in enumerate(task.columns)}
    return pl.DataFrame({TIME: grid, **columns})


def unwrap(angle: Floats) -> Floats:
    """Make an angle (n,) rad continuous where an encoder wrapped it; NaN stay where they are.

    An angle that covers more than one turn was not wrapped, and is returned as it is: a jump in it
    is a fault that validation must see.
    """
    finite = np.isfinite(angle)
    known = angle[finite]
    if not len(known) or np.ptp(known) > WRAPPED_RANGE:
        return angle
    out = angle.copy()
    out[finite] = np.unwrap(known)
    return out


def linear(seconds: Floats, values: Floats, grid: Floats, exact: float) -> Floats:
    """Interpolate (n,) s, (n, C) onto (m,) s -> (m, C); a step on a stamp takes that row alone.

    NaN reaches the steps between it and its neighbours, and no further.
    """
    left = np.clip(np.searchsorted(seconds, grid, side="right") - 1, 0, len(seconds) - 2)
    width = seconds[left + 1] - seconds[left]
    share = (grid - seconds[left]) / width
    share = np.where(np.abs(share * width) <= exact, 0.0, share)
    share = np.where(np.abs((1.0 - share) * width) <= exact, 1.0, share)[:, None]
    low, high = values[left], values[left + 1]
    between = low + share * (high - low)
    return np.where(share == 0.0, low, np.where(share == 1.0, high, between))


def hold(seconds: Floats, values: Floats, grid: Floats, exact: float) -> Floats:
    """Take for each step of (m,) s the last row at or before it: (n,) s, (n, C) -> (m, C)."""
    last = np.searchsorted(seconds, grid + exact, side="right") - 1
    return values[np.clip(last, 0, len(seconds) - 1)]
