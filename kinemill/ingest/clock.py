"""Clock: timestamps of a log to increasing seconds, by unit, order, repeats and gaps.

Symbols: N rows of the log, t time in s since the first timestamp of the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from kinemill.ingest.raw import MAX_LISTED, TICKS, Reason, reason, stretches

Floats = np.ndarray[Any, np.dtype[np.float64]]
Rows = np.ndarray[Any, np.dtype[np.int64]]

LATEST = 2.0**63  # ticks; the largest timestamp of any clock
EXACT = 1e-6  # of a time step: rounding error of equal timestamps
# Ticks: us or ms may be logged in s, and s or ms of the day or of the GPS week.
WRAPS = (2.0**32, 2.0**24, 2.0**20, 2.0**16, 2.0**32 * 1e-6, 2.0**32 * 1e-3,
         86_400.0, 86_400_000.0, 604_800.0, 604_800_000.0)  # fmt: skip
# s, of dates: the end of summer time, and hours, halves of the day or days that are left out.
HOURS = (3_600.0, 43_200.0, 86_400.0)
LONGEST_WRAP = 5.0  # usual steps between the rows before and after a wrap
FEWEST_STAMPS = 10  # different stamps that show a constant rate
COARSER = 0.98  # largest mean distance of rounded stamps, relative to their resolution
CONSTANT = 0.9  # share of the steps that are the usual one, at a constant rate
ROOM = 0.25  # deviation of these, relative
FALLING = 0.9  # share of falling stamps of a log with its newest row first
_REASONS = {  # expected, and fix
    "time": ("a number in every row", "nothing to do: these rows are dropped"),
    "time_order": (
        "rising timestamps",
        "`ingest.on_time_reversal`: split starts a new track, quarantine refuses the log",
    ),
    "clock_wrap": ("rising timestamps", "nothing to do: time continues"),
    "rounded_stamps": (
        "timestamps with enough digits to tell rows apart",
        "nothing to do: rows are spread evenly, as their rate is constant",
    ),
    "packed_time": ("seconds", "nothing to do: read as hours, minutes and seconds"),
    "late_stamp": (
        "a step between timestamps, as the rate is constant",
        "nothing to do: the row is put a step apart, where no row is",
    ),
}


@dataclass(frozen=True)
class Clock:
    """The rows with a usable timestamp, in segments in which time rises without a gap.

    `rows[i]` is the position (from 0) of row i in the log, `seconds[i]` its time in s; `segments`
    are ranges of i.
    """

    rows: Rows
    seconds: Floats
    segments: list[slice]
    dropped_rows: int
    reasons: list[Reason]


def read_clock(
    stamps: pl.Series,
    ticks: float,
    max_gap: float,
    step: float,
    origin: float | None = None,
    breaks: Sequence[float] = (),
    channels: Sequence[pl.Series] = (),
) -> Clock:
    """Convert timestamps to rising seconds.

    A counter that wraps continues, and stamps with too few digits are spread evenly.

    Args:
        stamps: Int64 or Float64 (N,), in ticks.
        ticks: ticks per second.
        max_gap: a longer gap starts a new segment, s.
        step: time step of the task, s; timestamps differ if they do by more than 1e-6 of it.
        origin: the timestamp that becomes 0 s; default: the first.
        breaks: a new segment starts after each of these times, s.
        channels: values (N,) of the rows; a row that repeats all of them is a copy.
    """
    rows, seconds, lost = _finite(stamps, ticks, origin)
    problem = "no timestamp that is a number below 9.2e18"
    reasons = [_reason("time", stretches(lost + 1), problem)] if len(lost) else []
    if not len(rows):
        return Clock(rows, seconds, [], len(lost), reasons)
    bridged = max_gap + EXACT * step
    change = np.diff(seconds)
    if len(change) and not breaks and change.min() > 0.0 and change.max() <= bridged:
        return Clock(rows, seconds, [slice(0, len(rows))], len(lost), reasons)
    copies = [series.gather(rows) for series in channels]
    first = float(stamps[int(rows[0])]) / ticks
    seconds, repairs = repair_stamps(seconds, ticks, bridged, copies, first)
    reasons += repairs
    change = np.diff(seconds)
    n_repeated = 0
    if not change.all():
        fresh = np.concatenate(([True], change != 0.0))
        n_repeated = int(np.count_nonzero(~fresh))
        reasons.append(_repeated_stamps_reason(rows[~fresh], n_repeated, len(rows)))
        rows = rows[fresh]
        seconds = seconds[fresh]
        change = np.diff(seconds)
    back = np.flatnonzero(change < 0.0)
    silent = np.flatnonzero(change > bridged)
    reasons += _order_reasons(rows, seconds, back) + _gap_reasons(rows, seconds, silent, max_gap)
    broken = [np.flatnonzero((seconds[:-1] <= at) & (seconds[1:] > at)) for at in breaks]
    cuts = np.unique(np.concatenate([back, silent, *broken])) + 1
    segments = [slice(*pair) for pair in pairwise([0, *cuts.tolist(), len(rows)])]
    return Clock(rows, seconds, segments, len(lost) + n_repeated, reasons)


def is_newest_first(stamps: Floats) -> bool:
    """Return whether timestamps (N,) fall in nearly all rows in which they change."""
    steps = np.diff(stamps[np.isfinite(stamps)])
    changes = steps[steps != 0.0]
    return 2 * len(changes) > max(len(steps), 2) and bool(np.mean(changes < 0.0) > FALLING)


def repair_stamps(
    seconds: Floats,
    ticks: float,
    longest: float,
    channels: Sequence[pl.Series] = (),
    first: float = 0.0,
) -> tuple[Floats, list[Reason]]:
    """Continue a counter that wraps, spread stamps with too few digits, and put rows into gaps.

    Args:
        seconds: (n,) s.
        ticks: ticks per second.
        longest: a longer gap interrupts a constant rate, s.
        channels: values (n,) of the rows.
        first: the first timestamp, s.
    """
    reasons = list[Reason]()
    if (day_seconds := unpack_times(first - seconds[0] + seconds)) is not None:
        seconds = day_seconds - day_seconds[0] + seconds[0]
        problem = "timestamps are times of the day, written as hhmmss"
        reasons.append(_reason("packed_time", "whole log", problem))
    change = np.diff(seconds)
    rising = change[change > 0.0]
    usual = float(np.median(rising)) if len(rising) else 0.0
    periods = [size / ticks for size in WRAPS] + [*HOURS] * (ticks == TICKS["ns"])
    for period in periods:
        wraps = np.flatnonzero((change + period > 0.0) & (change + period <= LONGEST_WRAP * usual))
        wraps = wraps[change[wraps] < 0.0]
        if len(wraps):
            where = np.zeros(len(seconds))
            where[wraps + 1] = period
            seconds = seconds + np.cumsum(where)
            change = np.diff(seconds)
            problem = f"the counter of the clock starts again after {period:.10g} s"
            reasons.append(_reason("clock_wrap", stretches(wraps + 2), problem))
    if change.all() or _are_copies(np.flatnonzero(change == 0.0), channels):
        return seconds, reasons
    edges = np.flatnonzero((change < 0.0) | (change > longest)) + 1
    pieces = [_spread_evenly(piece) for piece in np.split(seconds, edges)]
    if any(piece is None for piece in pieces):
        seconds, late = _into_gaps(seconds, usual) if channels else (seconds, np.array([], int))
        problem = "the timestamp of the row before, next to a step without a row"
        late_reasons = [_reason("late_stamp", stretches(late + 1), problem)] if len(late) else []
        return seconds, reasons + late_reasons
    n_repeated = int(np.count_nonzero(change == 0.0))
    even = np.concatenate([piece for piece in pieces if piece is not None])
    problem = f"{n_repeated} of {len(seconds)} rows have the timestamp of the row before"
    return even, [
        *reasons,
        _reason("rounded_stamps", "whole log", f"{problem}, as digits are missing"),
    ]


def unpack_times(stamps: Floats) -> Floats | None:
    """Return times of the day (n,), written as hhmmss.sss, in s; None for other stamps.

    Their minutes and seconds are below 60, and the next minute follows within a usual step.
    """
    if stamps[0] < 100.0 or stamps.min() < 0.0 or stamps.max() >= 240_000.0:
        return None
    steps = np.diff(stamps)
    is_next = np.diff(stamps // 100.0) != 0.0
    if not is_next.any() or (stamps % 100.0).max() >= 60.0 or (stamps // 100.0 % 100.0).max() >= 60:
        return None
    seconds = 3600.0 * (stamps // 10_000.0) + 60.0 * (stamps // 100.0 % 100.0) + stamps % 100.0
    usual = float(np.median(steps[steps > 0.0])) if (steps > 0.0).any() else 0.0
    next_steps = np.diff(seconds)[is_next] % 86_400.0
    return seconds if next_steps.max() <= LONGEST_WRAP * usual else None


def _are_copies(rows: Rows, channels: Sequence[pl.Series]) -> bool:
    """Return whether the row after each of `rows` (k,) has the same values in all channels."""
    if not channels:
        return False
    return all(
        bool(series.gather(rows).eq_missing(series.gather(rows + 1)).all()) for series in channels
    )


def _spread_evenly(seconds: Floats) -> Floats | None:
    """Return evenly spaced stamps (n,) if these are such stamps with too few digits, else None.

    The resolution of rounded stamps is larger than their mean distance, and none is farther from
    an even one than the resolution.
    """
    change = np.diff(seconds)
    if change.all():
        return seconds
    if np.count_nonzero(change) < FEWEST_STAMPS:
        return None
    resolution = float(change[change > 0.0].min())
    rows = np.arange(len(seconds))
    slope, start = np.polyfit(rows, seconds, 1)
    even = start + slope * rows
    is_rounded = 0.0 < slope < COARSER * resolution
    return even if is_rounded and np.abs(seconds - even).max() <= resolution else None


def _into_gaps(seconds: Floats, usual: float) -> tuple[Floats, Rows]:
    """Return stamps (n,) at a constant rate without repeats next to a gap, and the rows moved.

    Two rows share a stamp if a loop is late once, or if its first row comes before its clock
    starts: then a step before or after them has no row. Before the first and after the last row
    is such a step as well.
    """
    change = np.diff(seconds)
    is_usual = np.abs(change - usual) <= ROOM * usual
    if np.count_nonzero(is_usual) < max(FEWEST_STAMPS, CONSTANT * len(change)):
        return seconds, np.array([], int)
    gaps = np.concatenate([[2.0 * usual], change, [2.0 * usual]])  # gaps[i]: before row i
    is_gap = np.abs(gaps - 2.0 * usual) <= ROOM * usual
    repeats = np.flatnonzero(change == 0.0)
    in_front = repeats[is_gap[repeats]]
    is_free = is_gap[repeats + 2] & ~is_gap[repeats] & ~np.isin(repeats + 2, in_front)
    behind = repeats[is_free] + 1
    moved = seconds.copy()
    moved[in_front] -= 0.5 * gaps[in_front]
    moved[behind] += 0.5 * gaps[behind + 1]
    return moved, np.sort(np.concatenate([in_front + 1, behind]))


def _finite(stamps: pl.Series, ticks: float, origin: float | None) -> tuple[Rows, Floats, Rows]:
    """Return positions and seconds of rows with a finite timestamp, and positions of the others."""
    good = usable(stamps).to_numpy()
    lost = np.flatnonzero(~good)
    rows = np.flatnonzero(good) if len(lost) else np.arange(len(good))
    values = (stamps.gather(rows) if len(lost) else stamps).to_numpy()
    # Integers are rebased as integers: float64 resolves epoch nanoseconds to 256 ns only.
    zero = values[:1] if origin is None else origin
    seconds = (values - zero).astype(np.float64, copy=False)
    seconds /= ticks
    return rows, seconds, lost


def usable(stamps: pl.Series) -> pl.Series:
    """Return which timestamps (N,) are numbers that a clock can show, as (N,) of bool."""
    return (stamps.cast(pl.Float64).abs() <= LATEST).fill_null(value=False)


def _reason(check: str, where: str, problem: str) -> Reason:
    expected, fix = _REASONS[check]
    return reason(check, where, problem, expected=expected, fix=fix)


def _order_reasons(rows: Rows, seconds: Floats, back: Rows) -> list[Reason]:
    listed = [
        _reason(
            "time_order",
            f"row {rows[at + 1] + 1}",
            f"time goes back from {seconds[at]:.6g} s to {seconds[at + 1]:.6g} s",
        )
        for at in back[:MAX_LISTED]
    ]
    return listed + _more_reasons("time_order", len(back) - MAX_LISTED)


def _gap_reasons(rows: Rows, seconds: Floats, silent: Rows, max_gap: float) -> list[Reason]:
    listed = [
        reason(
            "gap",
            f"after row {rows[at] + 1}, {seconds[at]:.6g}-{seconds[at + 1]:.6g} s",
            f"{seconds[at + 1] - seconds[at]:.3g} s without a timestamp",
            expected=f"at most {max_gap:.3g} s",
            fix="`ingest.resample.max_gap` sets the longest gap to interpolate",
        )
        for at in silent[:MAX_LISTED]
    ]
    return listed + _more_reasons("gap", len(silent) - MAX_LISTED)


def _more_reasons(check: str, count: int) -> list[Reason]:
    text = f"{count} more"
    fix = "see the previous reasons"
    return [reason(check, "later", text, expected="none", fix=fix)] if count > 0 else []


def _repeated_stamps_reason(rows: Rows, count: int, total: int) -> Reason:
    default = "the first of equal stamps is kept"
    has_few_digits = 2 * count > total
    return reason(
        "repeated_stamp",
        stretches(rows + 1),
        f"{count}{f' of {total}' if has_few_digits else ''} with the timestamp of the previous row",
        expected="rising timestamps",
        fix=f"state the rows per second at `ingest.rate` if the clock has too few digits; {default}"
        if has_few_digits
        else f"nothing to do: {default}",
    )
