"""The topics of a log: each clock is split at resets and gaps, then intersected with the others.

A table has one clock, and more if a sensor with a lower rate leaves the cells between its samples
empty: such a column is resampled from its samples.

A simulator that starts an episode resets its clock to zero. Timestamps alone then no longer
distinguish episodes, so samples also carry the number of clock resets before them.

Symbols: N rows of a clock as logged, n of them with a usable timestamp, C channels, t time in s.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.ingest.channels import Channel, convert_units
from kinemill.ingest.clock import EXACT, Clock, Floats, Rows, read_clock, usable
from kinemill.ingest.raw import TIME, RawLog, Reason, Signal
from kinemill.task import Source, Task

_YEAR_2000 = 946_684_800.0
_YEAR_2100 = 4_102_444_800.0  # s since 1970
_FEWEST = 3  # samples that show the rate of a column
_STRETCHES = 20
_STRETCH = 1000  # stretches of a long log that are sampled, and rows of each


ResetCounts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Stamps:
    """The clock of one topic: times (n,) s as logged, and positions in the file (n,) or None."""

    seconds: Floats
    order: Rows | None


def count_resets(topics: list[Stamps]) -> list[ResetCounts]:
    """Return the number of clock resets before each sample of each topic, (n,) from 0.

    A topic whose time goes back was reset between two of its samples. The result has the fewest
    resets that explain all topics, each right before the first sample that shows it. Without
    positions in the file, the k-th reset of a topic is the k-th reset of every other topic.
    """
    orders = [topic.order for topic in topics if topic.order is not None]
    if len(orders) < len(topics):
        return [_resets_of_clock(topic.seconds) for topic in topics]
    spans: list[tuple[int, int]] = []
    for topic, order in zip(topics, orders, strict=True):
        back = _reset_rows(topic.seconds)
        spans += [(int(order[at]), int(order[at + 1])) for at in back]
    resets: list[int] = []
    for earlier_at, later_at in sorted(spans, key=lambda span: span[1]):
        if not resets or resets[-1] <= earlier_at:
            resets.append(later_at)
    if not resets:
        return [np.zeros(len(order), np.int64) for order in orders]
    return [np.searchsorted(resets, order, side="right").astype(np.int64) for order in orders]


def _resets_of_clock(seconds: Floats) -> ResetCounts:
    resets = _reset_rows(seconds)
    counts = np.zeros(len(seconds), np.int64)
    if len(resets):
        counts[resets + 1] = 1
        np.cumsum(counts, out=counts)
    return counts


def _reset_rows(seconds: Floats) -> Rows:
    """Return the rows of (n,) s after which time goes back."""
    return np.flatnonzero(seconds[1:] < seconds[:-1])


@dataclass(frozen=True)
class Span:
    """Time between two clock resets, from `start` to `stop` s inclusive."""

    n_resets: int
    start: float
    stop: float


Piece = tuple[Span, slice]  # time of a stretch, and its samples among the n of a topic


@dataclass(frozen=True)
class Topic:
    """Channels that share a clock: values (n,) by name in the task's units, n_resets (n,)."""

    values: dict[str, Channel]
    clock: Clock
    n_resets: ResetCounts

    def pieces(self) -> list[Piece]:
        """Return the stretches without a gap or a reset."""
        if not len(self.n_resets):
            return []
        cuts = (np.flatnonzero(np.diff(self.n_resets)) + 1).tolist()
        starts = sorted({*(segment.start for segment in self.clock.segments), *cuts})
        ends = [*starts[1:], len(self.n_resets)]
        seconds = self.clock.seconds
        return [
            (
                Span(int(self.n_resets[start]), float(seconds[start]), float(seconds[end - 1])),
                slice(start, end),
            )
            for start, end in zip(starts, ends, strict=True)
        ]

    def usual_step(self) -> float:
        """Return the usual distance of two timestamps in s; 0 without timestamps.

        In a long log, it is measured in stretches spread evenly over it.
        """
        seconds = self.clock.seconds
        rows = _STRETCHES * _STRETCH
        starts = np.linspace(0, max(len(seconds) - _STRETCH, 0), _STRETCHES).astype(np.intp)
        stretches = (
            [seconds[at : at + _STRETCH] for at in starts] if len(seconds) > rows else [seconds]
        )
        rising = np.concatenate([np.diff(part) for part in stretches])
        rising = rising[rising > 0.0]
        return float(np.median(rising)) if len(rising) else 0.0


@dataclass(frozen=True)
class _Shared:
    """One clock as logged, its `signal.time`, and the values (N,) of each channel on it."""

    signal: Signal
    max_gap: float
    channels: dict[str, pl.Series]


def read_topics(log: RawLog, task: Task) -> tuple[list[Topic], list[Reason]]:
    """Read every clock of a log: one for a table, one for each topic of a bag."""
    shared = _by_clock(log.signals, task) if log.signals else _of_table(log.frame, task)
    origin = _first_stamp(shared) if len(shared) > 1 or log.breaks else None
    breaks = [(stamp - origin) / log.ticks for stamp in log.breaks] if origin is not None else []
    breaks += _chosen_breaks(log, EXACT * task.dt)
    clocks = [
        read_clock(
            group.signal.time,
            log.ticks,
            group.max_gap,
            task.dt,
            origin,
            breaks,
            list(group.channels.values()),
        )
        for group in shared
    ]
    stamps = [
        Stamps(clock.seconds, _take_rows(group.signal.order, clock.rows))
        for group, clock in zip(shared, clocks, strict=True)
    ]
    topics = list[Topic]()
    reasons = list[Reason]()
    odd = list[Reason]()
    for group, clock, n_resets in zip(shared, clocks, count_resets(stamps), strict=True):
        values, issues = _in_units(group, clock.rows, log, task)
        topics.append(Topic(values, clock, n_resets))
        reasons += clock.reasons if len(shared) == 1 else _of_topic(group, clock.reasons)
        odd += issues
    return topics, reasons + odd


def _chosen_breaks(log: RawLog, exact: float) -> list[float]:
    """Return the times in s before which the splits and excluded spans of a log start or end."""
    starts = [*log.splits, *(start for start, _ in log.excluded)]
    return [*(time - exact for time in starts), *(stop + exact for _, stop in log.excluded)]


def _take_rows(order: Rows | None, rows: Rows) -> Rows | None:
    """Return the positions (N,) of rows (n,)."""
    return order if order is None or len(order) == len(rows) else order[rows]


def _by_clock(signals: dict[str, Signal], task: Task) -> list[_Shared]:
    """Group signals by their timestamps and their `max_gap`."""
    groups: dict[tuple[int, float], _Shared] = {}
    for name in task.logged:
        signal = signals[name]
        gap = task.bridged(name)
        group = groups.setdefault((id(signal.time), gap), _Shared(signal, gap, {}))
        group.channels[name] = signal.values
    return list(groups.values())


def _of_table(frame: pl.DataFrame, task: Task) -> list[_Shared]:
    """Group the columns of a table by clock.

    The clock of a slower column, or of one with empty cells whose channel has its own `max_gap`,
    consists of the rows in which it has a value. Empty cells of other columns are missing values.
    """
    rows = np.arange(frame.height, dtype=np.int64)
    table = Signal(frame[TIME], pl.Series(), rows)
    groups: dict[tuple[bytes, float], _Shared] = {}
    for name in task.logged:
        values = frame[name]
        present = _present(values)
        is_sparse = task.channels[name].resample.max_gap and not present.all()
        if not is_sparse and not is_slower(present):
            group = groups.setdefault((b"", task.max_gap), _Shared(table, task.max_gap, {}))
            group.channels[name] = values
            continue
        gap = task.bridged(name)
        mask = pl.Series(present)
        signal = Signal(frame[TIME].filter(mask), pl.Series(), rows[present])
        group = groups.setdefault((present.tobytes(), gap), _Shared(signal, gap, {}))
        group.channels[name] = values.filter(mask)
    return list(groups.values())


def is_slower(present: NDArray[np.bool_]) -> bool:
    """Return whether a column (n,) usually has a value in every second row or less."""
    if present.all():
        return False
    rows = np.flatnonzero(present)
    return len(rows) >= _FEWEST and float(np.median(np.diff(rows))) >= 2.0


def _present(column: pl.Series) -> NDArray[np.bool_]:
    """Return in which rows a column (n,) has a value."""
    present = column.is_not_null()
    if column.dtype.is_float():
        present &= column.is_not_nan().fill_null(value=False)
    return present.to_numpy()


def _first_stamp(shared: list[_Shared]) -> float | None:
    """Return the earliest first timestamp of the topics, as logged."""
    return min(_first_stamps([group.signal.time for group in shared]), default=None)


def _first_stamps(times: list[pl.Series]) -> list[float]:
    """Return the first usable timestamp of each clock that has one, as logged."""
    stamps: list[float] = []
    for time in times:
        first = time.head(1)  # nearly always usable; then the others are not looked at
        good = first.filter(usable(first))
        stamps += (good if len(good) else time.filter(usable(time)).head(1)).to_list()
    return stamps


def absolute_start(log: RawLog) -> float | None:
    """Return the first timestamp of a log, s since 1970 in UTC; None if it is no date from then.

    A clock that counts from 1970 shows a time between the years 2000 and 2100 in the unit it was
    read in. Others count from a start of the recorder.
    """
    start = min(_first_stamps(_times(log)), default=-1.0) / log.ticks
    return start if _YEAR_2000 <= start < _YEAR_2100 else None


def _times(log: RawLog) -> list[pl.Series]:
    """Return the timestamps of each clock of a log."""
    clocks = {id(signal.time): signal.time for signal in log.signals.values()}
    return [*clocks.values()] if clocks else [log.frame[TIME]]


def stamp_range(log: RawLog) -> tuple[float, float]:
    """Return the first and the largest usable timestamp of a log, as logged; 0 without one."""
    good = [time.filter(usable(time)) for time in _times(log)]
    stamps = pl.concat(good) if good else pl.Series(dtype=pl.Int64)
    first = min(_first_stamps(_times(log)), default=0.0)
    return first, float(stamps.to_numpy().max(initial=first))


def last_time(log: RawLog) -> float | None:
    """Return the largest time of a log, s since its first timestamp; None without columns."""
    if not log.signals and not log.frame.width:
        return None
    first, last = stamp_range(log)
    return (last - first) / log.ticks


def usual_distance(log: RawLog) -> float:
    """Return the usual distance of two timestamps of the slowest clock of a log, s."""
    steps = [np.diff(time.filter(usable(time)).to_numpy()) for time in _times(log)]
    return max((float(np.median(step)) for step in steps if len(step)), default=0.0) / log.ticks


def _in_units(
    group: _Shared, rows: Rows, log: RawLog, task: Task
) -> tuple[dict[str, Channel], list[Reason]]:
    """Return the channels of a clock at its usable rows (n,) of (N,), and reasons."""
    usable = dict[str, Channel]()
    reasons = list[Reason]()
    for name, series in group.channels.items():
        source = log.sources.get(name) or Source(name=name)  # media references have no source
        values, issues = convert_units(name, series, source, task)
        usable[name] = values if len(rows) == len(values) else np.asarray(values)[rows]
        reasons += issues
    return usable, reasons


def _of_topic(group: _Shared, reasons: list[Reason]) -> list[Reason]:
    """Name the clock in reasons by its first channel."""
    name = next(iter(group.channels))
    return [
        {**item, "channel": name, "where": (item["where"] or "").replace("row", "sample")}
        for item in reasons
    ]
