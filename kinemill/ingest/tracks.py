"""Tracks: continuous stretches of a log on the task's grid, in the task's units.

Each clock of a log (one for a table, one for each topic of a bag) is split at resets and gaps. A
track is a stretch inside one piece of every clock; every channel is resampled by its own method.
Nothing is interpolated across a gap.

Symbols: n samples of a clock, m steps of a grid, C channels, t time in s.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from kinemill.ingest.channels import on_grid
from kinemill.ingest.clock import EXACT, Floats, is_newest_first
from kinemill.ingest.computed import add_computed
from kinemill.ingest.raw import MAX_LISTED, TICKS, TIME, Images, RawLog, Reason, Texts, reason
from kinemill.ingest.topics import Piece, Span, Topic, absolute_start, read_topics
from kinemill.task import Task

_SAME_RATE = 0.2  # relative difference of `dt` and the rate of a log, if `dt` was meant in Hz
_LIKELY = 10.0  # factor by which the rate of a log may differ from that of the task
_FAR = 100.0  # factor beyond which it is in doubt


@dataclass(frozen=True)
class Tracks:
    """The usable stretches of one log: frames of `time_s` and the task's recorded channels.

    Rows are samples; those of a log with several clocks are counted for each clock. Columns of
    images and texts are Int32 and refer to `media`. `start` is the time of the first stamp, s since
    1970 in UTC, if the clock of the log counts from there.
    """

    frames: list[pl.DataFrame]
    rows: int
    dropped_rows: int
    reasons: list[Reason]
    media: dict[str, Images | Texts] = field(default_factory=dict[str, Images | Texts])
    start: float | None = None


@dataclass(frozen=True)
class _Stretch:
    """A stretch inside one piece of every clock.

    `samples` are those of each topic that its grid needs: the ones inside, and at either edge the
    neighbor outside, if the piece continues; `rows` counts the ones inside.
    """

    span: Span
    samples: list[slice]
    rows: int


def make_tracks(log: RawLog, task: Task) -> Tracks:
    """Convert a raw log to the task's clock, units and grid.

    Missing and infinite values become NaN, and so do the steps next to them; validation decides
    about NaN.
    """
    if not log.signals and not log.frame.width:
        return Tracks([], 0, log.dropped_rows, log.reasons)
    if missing := _no_media(log, task):
        return Tracks([], 0, log.dropped_rows + log.frame.height, [*log.reasons, *missing])
    if task.ingest.time_kind == "steps" and not log.signals:
        log = replace(log, frame=log.frame.with_columns(pl.col(TIME).fill_nan(None).cum_sum()))
    elif not log.signals and is_newest_first(log.frame[TIME].cast(pl.Float64).to_numpy()):
        log = replace(
            log, frame=log.frame.reverse(), reasons=[*log.reasons, _newest_first_reason()]
        )
    topics, reasons = read_topics(log, task)
    reasons = [*log.reasons, *reasons]
    total = sum(len(topic.clock.rows) for topic in topics)
    lost = log.dropped_rows + sum(topic.clock.dropped_rows for topic in topics)
    back = any(item["check"] == "time_order" for item in reasons)
    if task.ingest.on_time_reversal == "quarantine" and back:
        return Tracks([], 0, lost + total, reasons)
    stretches = _shared_stretches(topics, EXACT * task.dt)
    stretches, excluded = _without_excluded(stretches, log)
    total -= excluded
    long = [item for item in stretches if len(_grid(item.span, task.dt)) > 1]
    frames = [frame for item in long if (frame := _frame(item, topics, task)).height > 1]
    rows = sum(item.rows for item in long)
    reasons += _uncovered_reasons(topics, task)
    short = sum(item.rows for item in stretches) - rows
    if short or not frames:
        reasons.append(_too_short(short, total, topics, log.ticks, task))
    else:
        reasons += doubtful_unit(log, max(topic.usual_step() for topic in topics), task)
    return Tracks(frames, rows, lost + total - rows, reasons, log.media, absolute_start(log))


def _newest_first_reason() -> Reason:
    return reason(
        "newest_first",
        "whole log",
        "timestamps fall: the newest row is first",
        expected="rising timestamps",
        fix="nothing to do: rows are read from the last one to the first",
    )


def _no_media(log: RawLog, task: Task) -> list[Reason]:
    """Return a reason for each image or text channel that the reader did not return."""
    return [
        reason(
            "media",
            "whole log",
            f"the format has no {task.channels[name].role} channels",
            channel=name,
            expected="images and texts in HDF5, NPZ, Parquet, MCAP or ROS bags",
            fix=f"record such a format, or leave out `channels.{name}`",
        )
        for name in task.media
        if name not in log.media
    ]


def _shared_stretches(topics: list[Topic], exact: float) -> list[_Stretch]:
    """Return the stretches that lie inside one piece of every topic, in the order of time."""
    common: list[tuple[Span, list[slice]]] = [(span, [piece]) for span, piece in topics[0].pieces()]
    for topic in topics[1:]:
        common = _overlaps(common, topic.pieces())
    stretches: list[_Stretch] = []
    for span, pieces in common:
        inside = [
            _samples_in_span(topic.clock.seconds, piece, span, exact)
            for topic, piece in zip(topics, pieces, strict=True)
        ]
        near = [
            slice(max(there.start - 1, piece.start), min(there.stop + 1, piece.stop))
            for there, piece in zip(inside, pieces, strict=True)
        ]
        stretches.append(_Stretch(span, near, sum(there.stop - there.start for there in inside)))
    return stretches


def _without_excluded(stretches: list[_Stretch], log: RawLog) -> tuple[list[_Stretch], int]:
    """Return the stretches outside of the excluded spans, and the number of rows inside."""
    middles = [0.5 * (item.span.start + item.span.stop) for item in stretches]
    inside = [any(a <= middle <= b for a, b in log.excluded) for middle in middles]
    rows = sum(item.rows for item, out in zip(stretches, inside, strict=True) if out)
    return [item for item, out in zip(stretches, inside, strict=True) if not out], rows


def _overlaps(
    common: list[tuple[Span, list[slice]]], pieces: list[Piece]
) -> list[tuple[Span, list[slice]]]:
    overlaps: list[tuple[Span, list[slice]]] = []
    i = j = 0
    while i < len(common) and j < len(pieces):
        ours, samples = common[i]
        theirs, piece = pieces[j]
        start = max(ours.start, theirs.start)
        stop = min(ours.stop, theirs.stop)
        if ours.n_resets == theirs.n_resets and start <= stop:
            overlaps.append((Span(ours.n_resets, start, stop), [*samples, piece]))
        first = (ours.n_resets, ours.stop) <= (theirs.n_resets, theirs.stop)
        i, j = (i + 1, j) if first else (i, j + 1)
    return overlaps


def _samples_in_span(seconds: Floats, piece: slice, span: Span, exact: float) -> slice:
    """Return the samples of a piece of a clock that lie in a span."""
    first = int(np.searchsorted(seconds[piece], span.start - exact, side="left"))
    last = int(np.searchsorted(seconds[piece], span.stop + exact, side="right"))
    return slice(piece.start + first, piece.start + last)


def _grid(span: Span, dt: float) -> Floats:
    """Return the grid of a stretch (m,): its start and every `dt` s from there, in s."""
    steps = int(np.floor((span.stop - span.start) / dt + EXACT)) + 1
    grid = np.arange(steps, dtype=np.float64)
    grid *= dt
    grid += span.start
    return grid


def _frame(stretch: _Stretch, topics: list[Topic], task: Task) -> pl.DataFrame:
    """Resample every topic onto the grid of a stretch: `time_s` and the channels, m rows."""
    grid = _grid(stretch.span, task.dt)
    columns = dict[str, Floats]()
    for topic, near in zip(topics, stretch.samples, strict=True):
        whole = near == slice(0, len(topic.clock.rows))
        values = topic.values if whole else {n: values[near] for n, values in topic.values.items()}
        columns |= on_grid(values, topic.clock.seconds[near], grid, task)
    frame = pl.DataFrame({TIME: grid, **{name: columns[name] for name in task.logged}})
    lead_rows = {name: task.channels[name].resample.lead for name in task.logged}
    if last := max(lead_rows.values()):
        later = [pl.col(name).shift(-rows) for name, rows in lead_rows.items() if rows]
        frame = frame.with_columns(later).head(-last)
    if any(task.channels[name].resample.delay for name in task.logged_numbers):
        frame = _delayed(frame, task)
    frame = add_computed(frame, task).select(TIME, *task.recorded)
    return frame.with_columns(pl.col(task.media).cast(pl.Int32)) if task.media else frame


def _delayed(frame: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Return a frame whose delayed channels hold the values that act, without the first rows.

    The mean over a step of a held signal that arrives n + f steps late is
    (1 - f) u[k - n] + f u[k - n - 1].
    """
    delays = {name: task.channels[name].resample.delay for name in task.logged_numbers}
    late: list[pl.Expr] = []
    for name, rows in delays.items():
        whole = int(rows)
        share = rows % 1.0
        earlier = pl.col(name).shift(whole + 1 if share else whole)
        late.append((pl.col(name).shift(whole) * (1.0 - share) + earlier * share).alias(name))
    first = max(math.ceil(rows) for rows in delays.values())
    return frame.with_columns(late).slice(first)


def _uncovered_reasons(topics: list[Topic], task: Task) -> list[Reason]:
    """Return a reason for each of the longest times before or after the samples of a channel.

    A silence between two samples is a gap, which its clock has reported.
    """
    pieces = {next(iter(topic.values)): [span for span, _ in topic.pieces()] for topic in topics}
    lost = set[tuple[float, str, float, float]]()
    for n_resets in {span.n_resets for spans in pieces.values() for span in spans}:
        ends = {
            name: [edge for span in spans if span.n_resets == n_resets
                   for edge in (span.start, span.stop)]
            for name, spans in pieces.items()
        }  # fmt: skip
        first = min(min(edges) for edges in ends.values() if edges)
        last = max(max(edges) for edges in ends.values() if edges)
        for name, edges in ends.items():
            start = min(edges, default=last)
            stop = max(edges, default=last)
            lost |= {(start - first, name, first, start), (last - stop, name, stop, last)}
    return [
        reason(
            "coverage",
            f"{start:.6g}-{stop:.6g} s",
            f"{length:.3g} s with samples of other channels, and none of this",
            channel=channel,
            expected="samples of every channel, or `channels.*.resample.max_gap` to bridge",
            fix="nothing to do: this time is left out",
        )
        for length, channel, start, stop in sorted(lost, reverse=True)[:MAX_LISTED]
        if length > task.max_gap
    ]


def _too_short(rows: int, total: int, topics: list[Topic], ticks: float, task: Task) -> Reason:
    step = max(topic.usual_step() for topic in topics)
    usual = f"; timestamps are usually {step:.3g} s apart" if step else ""
    unit = likely_unit(step, ticks, task.dt)
    fix = "if the log is intentionally slow, raise `dt` or `ingest.resample.max_gap`"
    if step and abs(step * task.dt - 1.0) < _SAME_RATE:
        fix = f"`dt` is the time between two rows, in s; if {task.dt:g} is a rate in Hz, set "
        fix += f"`dt: {1.0 / task.dt:g}`"
    elif unit:
        fix = f"if the timestamps are in {unit}, set `ingest.time_unit: {unit}`"
    return reason(
        "too_short",
        "whole log" if rows == total else "between gaps",
        f"{rows} rows in stretches shorter than two steps{usual}",
        expected=f"stretches of at least {task.dt:.3g} s without a gap of {task.max_gap:.3g} s",
        fix=fix,
    )


def likely_unit(step: float, ticks: float, dt: float) -> str | None:
    """Return the unit in which timestamps would be about `dt` apart; None if they already are.

    Args:
        step: usual distance of two timestamps as read, s.
        ticks: units per second that they were read with.
        dt: time step of the task, s.
    """
    if not step or 1.0 / _LIKELY < step / dt < _LIKELY:
        return None
    for unit, rate in TICKS.items():
        if rate != ticks and 1.0 / _LIKELY < step * ticks / rate / dt < _LIKELY:
            return unit
    return None


def doubtful_unit(log: RawLog, step: float, task: Task) -> list[Reason]:
    """Return a reason if the timestamps of a table seem to be in another unit; drop nothing.

    Args:
        log: has timestamps of its own, not a rate.
        step: usual distance of two timestamps as read, s.
        task: its `ingest.time_unit` is the unit they were read in.
    """
    unit = likely_unit(step, log.ticks, task.dt)
    is_default = not log.signals and log.ticks == task.ingest.ticks
    if unit is None or not is_default or 1.0 / _FAR < step / task.dt < _FAR:
        return []
    return [
        reason(
            "time_unit",
            "whole log",
            f"timestamps are usually {step:.3g} s apart, as if in {unit} and read as "
            f"{task.ingest.time_unit}",
            expected=f"about the time step of {task.dt:g} s",
            fix=f"if they are in {unit}, set `ingest.time_unit: {unit}`",
        )
    ]
