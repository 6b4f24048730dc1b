"""Raw log: the columns that a reader returns, with timestamps and channels as logged.

A reader is a `Reader` registered under its format's name in `kinemill/ingest/readers/`. It matches
columns by name with `match_columns`, reads only those, and raises `Unreadable` on errors. A file
with several runs is a list of `RawLog`, one for each `part`.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.errors import BadLog, join_first
from kinemill.registry import nearest
from kinemill.store.json_io import valid_text
from kinemill.task import Source, Task

TIME = "time_s"
SUBSECONDS = "time_rest"  # parts of a second, of a timestamp in two columns
_LISTED = 12  # names in a message
MAX_LISTED = 3  # stretches of rows listed in one reason; the rest is counted

Reason = dict[str, str | None]


def reason(
    check: str, where: str, actual: str, *, expected: str, fix: str, channel: str | None = None
) -> Reason:
    """Return one reason why a log, or a stretch of it, was not accepted unchanged.

    Names from the file are converted to valid Unicode.
    """
    return {
        "check": check,
        "channel": channel,
        "where": valid_text(where),
        "found": valid_text(actual),
        "expected": valid_text(expected),
        "fix": valid_text(fix),
    }


class Unreadable(BadLog):
    """A log cannot be read as the task describes it; every reason is listed."""

    def __init__(self, *reasons: Reason) -> None:
        self.reasons = list(reasons)
        first = reasons[0]
        super().__init__(
            first["where"], str(first["found"]), expected=first["expected"], fix=first["fix"]
        )


@dataclass(frozen=True)
class Signal:
    """The samples of one channel in a log whose channels have their own timestamps.

    Signals of one topic share one `time` object; their rows are counted once.

    Args:
        time: timestamps (n,), Int64 or Float64, in ticks of the log.
        values: (n,) Float64 in the unit of the channel's source, null for missing values.
        order: positions of the samples in the file (n,), rising and comparable between signals;
            they separate samples before and after a clock reset. None: the file has none.
    """

    time: pl.Series
    values: pl.Series
    order: np.ndarray[Any, np.dtype[np.int64]] | None = None


Pictures = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Images:
    """The images of one channel in a part of a log; none is in memory.

    Args:
        shape: height, width and colors of each image.
        read: yields the images at rising rows (n,), a few at a time, (k, H, W, 3) uint8; raises
            `BadLog` if their bytes are damaged.
    """

    shape: tuple[int, ...]
    read: Callable[[np.ndarray[Any, np.dtype[np.int64]]], Iterator[Pictures]]


@dataclass(frozen=True)
class Texts:
    """The distinct texts of one channel in a part of a log."""

    texts: list[str]


@dataclass(frozen=True)
class RawLog:
    """One log, or one part of a log, as in its file.

    `frame` holds `time_s` (Int64 or Float64, `ticks` per second) and each channel (Float64, null
    for missing values) in the unit of its source. Row 1 is the first after the header. If channels
    have their own timestamps, `signals` holds each channel and the frame is empty. A log without
    timestamps counts its rows (`row_numbers`), and `ticks` is its rate in Hz.

    `part` names an episode with its own clock among those of one file, such as `data/demo_3`. A
    part that cannot be read has reasons and no column or signal: see `refused_part`. Nothing is
    interpolated across `breaks`.

    `media` reads images and texts; the column or signal of such a channel holds the row of the
    image, or the index of the text.

    A user splits a log at `splits`, and leaves out the spans `excluded`, both in s since its first
    timestamp.
    """

    frame: pl.DataFrame
    sources: dict[str, Source]
    ticks: float
    dropped_rows: int = 0
    reasons: list[Reason] = field(default_factory=list[Reason])
    part: str = ""
    signals: dict[str, Signal] = field(default_factory=dict[str, Signal])
    breaks: list[int] = field(default_factory=list[int])  # timestamps after which samples are lost
    media: dict[str, Images | Texts] = field(default_factory=dict[str, Images | Texts])
    splits: list[float] = field(default_factory=list[float])
    excluded: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])


class Header(Exception):
    """All column names of a log, raised by a reader for a task without channels."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        super().__init__(f"{len(names)} columns")


@dataclass(frozen=True)
class ColumnAttributes:
    """What a log states of one of its columns.

    Attributes:
        unit: unit of its values; empty if none is stated.
        low: lowest valid value, in that unit; NaN if none is stated. One for each element of a
            vector, or one for all.
        high: highest valid value, as `low`.
    """

    unit: str = ""
    low: tuple[float, ...] = (math.nan,)
    high: tuple[float, ...] = (math.nan,)

    def range_of(self, element: int | None) -> tuple[float, float] | None:
        """Return the valid range of a column, or of an element of a vector; None if it is open."""
        index = element or 0
        low, high = (ends[index if len(ends) > index else 0] for ends in (self.low, self.high))
        return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None


@dataclass(frozen=True)
class About:
    """Descriptions of a log, in its metadata or in other files.

    Args:
        labels: descriptive names of its columns, by their names in the log.
        text: instruction of the log.
        columns: attributes of its columns, by name without the index of an element.
        left_out: content that cannot be read, with reasons.
        rate: rate that the metadata states, Hz.
        splits: names of the parts of each data split that the log states.
        clock: column of times by its type; empty without one.
    """

    labels: dict[str, str] = field(default_factory=dict[str, str])
    text: str = ""
    columns: dict[str, ColumnAttributes] = field(default_factory=dict[str, ColumnAttributes])
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    rate: float | None = None
    splits: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    clock: str = ""


def refused_part(part: str, reasons: list[Reason]) -> RawLog:
    """Return a part of a log that cannot be read; other parts are not affected."""
    return RawLog(pl.DataFrame(), {}, 1.0, 0, reasons, part)


def row_numbers(rows: int) -> pl.Series:
    """Return the timestamps of a log without timestamps: 0, 1, 2, ... as `time_s`, Int64 (N,)."""
    return pl.Series(TIME, np.arange(rows, dtype=np.int64))


@dataclass(frozen=True)
class Reader:
    """One log format.

    Args:
        suffixes: suffixes of log files of this format, in lower case.
        recognizes: returns whether the first 4096 bytes of a file are of this format.
        read: reads one file, one part or several; raises `Unreadable`.
        shared: whether other files have the suffix too; unrecognized ones are no logs, unless the
            task sets this format.
        describes: returns whether a file of this format only describes logs next to it.
        about: returns descriptions of a log from its metadata, or from files next to it.
        selects: whether drafts use labeled columns only, if there are any.
        attributes: returns attributes in the log, such as the serial number of a robot; may raise
            anything if the file is damaged.
    """

    suffixes: tuple[str, ...]
    recognizes: Callable[[bytes], bool]
    read: Callable[[Path, Task], RawLog | list[RawLog]]
    shared: bool = False
    describes: Callable[[Path], bool] = lambda _: False
    about: Callable[[Path], About] = lambda _: About()
    selects: bool = False
    attributes: Callable[[Path], dict[str, str]] = lambda _: {}


TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True)
class Columns:
    """Positions of the columns of a task in the header of a log.

    `time` is None for a log without timestamps: row k is at k / `rate` s. If `rest` is set, it may
    hold the rest of whole seconds in `time`, in parts of 1 / `per_second` s (`join_stamps`).
    """

    time: int | None
    channels: dict[str, int]
    sources: dict[str, Source]
    rate: float | None = None  # Hz
    rest: int | None = None
    per_second: int = 1

    @property
    def stamps(self) -> dict[str, int]:
        """The columns of the timestamps: none, one or two."""
        columns = {TIME: self.time, SUBSECONDS: self.rest}
        return {name: index for name, index in columns.items() if index is not None}


def join_stamps(frame: pl.DataFrame, per_second: int, ticks: float) -> tuple[pl.DataFrame, float]:
    """Return a frame whose seconds and rest are one Int64 timestamp in ns, and ticks per second.

    A rest that is none is left out: both columns then count the same time.

    Args:
        frame: columns (n,) of a log; one without a rest is unchanged.
        per_second: parts per second in which the rest counts.
        ticks: ticks per second of the first column; a clock that is not in s has no rest.
    """
    if SUBSECONDS not in frame:
        return frame, ticks
    numbers = frame.select(pl.col(TIME, SUBSECONDS).cast(pl.Float64, strict=False))
    values = numbers.fill_null(np.nan).to_numpy()
    if ticks != 1.0 or not is_rest(values[:, 0], values[:, 1], per_second):
        return frame.drop(SUBSECONDS), ticks
    seconds, rest = (pl.col(name).cast(pl.Int64, strict=False) for name in (TIME, SUBSECONDS))
    stamps = 1_000_000_000 * seconds + 1_000_000_000 // per_second * rest
    return frame.with_columns(stamps.alias(TIME)).drop(SUBSECONDS), TICKS["ns"]


def is_rest(seconds: NDArray[np.float64], rest: NDArray[np.float64], per_second: int) -> bool:
    """Return whether a column (n,) holds the rest of whole seconds (n,): it wraps as they change.

    Both are whole numbers, and the rest is below `per_second`.
    """
    there = np.isfinite(seconds) & np.isfinite(rest)
    whole, parts = seconds[there], rest[there]
    has_digits = np.mod(whole, 1.0).any() or np.mod(parts, 1.0).any()
    is_below = ((parts >= 0.0) & (parts < per_second)).all()
    wraps = np.diff(whole)[np.diff(parts) < 0.0] != 0.0
    return bool(is_below and not has_digits and (not len(wraps) or wraps.mean() > 0.5))


_SECONDS = re.compile(r"(?s)(.*?)(?:sec(?:ond)?s?|(?<![a-z])s)|(.*(?:time|stamp|epoch|zeit))")
_PARTS = {  # names of parts of a second, and their number in it
    f"{prefix}{unit}": number
    for prefixes, number in (("m milli", 10**3), ("u micro", 10**6), ("n nano", 10**9))
    for prefix in prefixes.split()
    for unit in ("s", "sec", "secs", "second", "seconds")
}


def rest_of_seconds(name: str, names: Iterable[str]) -> tuple[str, int] | None:
    """Return the column next to one of whole seconds that counts parts of them, and their number.

    By their names, as `stamp.sec` and `stamp.nanosec`, `t_s` and `t_us`, `unix_time` and `millis`.
    """
    if not (match := _SECONDS.fullmatch(name.lower())):
        return None
    stems = (match[1],) if match[2] is None else (f"{match[2]}_", "")
    parts = {f"{stem}{part}": number for stem in stems for part, number in _PARTS.items()}
    columns = ((column, parts[column.lower()]) for column in names if column.lower() in parts)
    return next(columns, None)


_INDEX = re.compile(r"(.+)\[(\d{1,9})\]\Z", re.DOTALL)


def split_index(name: str) -> tuple[str, int | None]:
    """Split an element into name and index: `x[3]` -> ("x", 3), `x` -> ("x", None)."""
    match = _INDEX.match(name)
    return (match[1], int(match[2])) if match else (name, None)


def vectors_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the elements of each vector among names, in the order of their indices."""
    vectors = dict[str, dict[int, str]]()
    for name in names:
        vector, index = split_index(name)
        if index is not None:
            vectors.setdefault(vector, {})[index] = name
    return {name: [inside[at] for at in sorted(inside)] for name, inside in vectors.items()}


def elements(name: str, width: int) -> list[str]:
    """Return the names of a vector's elements: `x[0]`, `x[1]`, ..."""
    return [f"{name}[{index}]" for index in range(width)]


def unique_names(names: Sequence[str]) -> list[str]:
    """Return names with each repeated one numbered as an element: `V`, `V` -> `V[0]`, `V[1]`.

    Empty names stay empty.
    """
    counts = Counter(names)
    numbered = Counter[str]()
    unique = list[str]()
    for name in names:
        unique.append(f"{name}[{numbered[name]}]" if name and counts[name] > 1 else name)
        numbered[name] += 1
    return unique


def match_columns(header: Sequence[str], task: Task, rate: float | None = None) -> Columns:
    """Find the task's time and numeric channels in `header`, each by its first name present.

    A vector is listed in `header` by its `elements`; `ingest.rate` overrides `rate`, Hz.

    Raises:
        Unreadable: names are missing, or a required one is repeated.
        Header: the task has no channels.
    """
    names = [name.strip() for name in header]
    if not task.channels:
        raise Header(names)
    reasons: list[Reason] = []
    rate = task.ingest.rate or rate
    unstamped = rate is not None and not any(name in names for name in task.ingest.time)
    time = None if unstamped else _find(task, task.ingest.time, names, None, reasons)
    sources = dict[str, Source]()
    indices = dict[str, int]()
    for channel in task.logged_numbers:
        spec = task.channels[channel]
        candidates = spec.source or [Source(name=channel)]
        index = _find(task, [source.name for source in candidates], names, channel, reasons)
        if index is not None:
            indices[channel] = index
            source = next(source for source in candidates if source.name == names[index])
            sources[channel] = source.model_copy(update={"unit": source.unit or spec.unit})
    if reasons:
        raise Unreadable(*reasons)
    columns = Columns(time, indices, sources, rate if unstamped else None)
    if time is None or not (pair := rest_of_seconds(names[time], names)):
        return columns
    return replace(columns, rest=names.index(pair[0]), per_second=pair[1])


def _find(
    task: Task,
    candidates: list[str],
    names: list[str],
    channel: str | None,
    reasons: list[Reason],
) -> int | None:
    """Return the index of the first of `candidates` in `names`, or add the reason."""
    named = next((name for name in candidates if name in names), None)
    if named is not None and names.count(named) == 1:
        return names.index(named)
    key = f"channels.{channel}.source" if channel else "ingest.time"
    duplicates = [name for name in names if split_index(name)[0] in candidates]
    if named is not None:
        problem = f"column {named!r} appears {names.count(named)} times"
        fix = "correct the header"
    elif duplicates:
        problem = f"{len(duplicates)} columns named {split_index(duplicates[0])[0]!r}"
        fix = f"name one of them at `{key}`: {_list_names(duplicates)}"
    else:
        problem = f"no column {' or '.join(map(repr, candidates)) or 'with stamps'}"
        close = _nearest_name(task, candidates, names)
        unstamped = "" if channel else "; for a log without stamps, its `ingest.rate` in Hz"
        fix = f"{close} name the log's column at `{key}`{unstamped}".strip()
    reasons.append(
        reason(
            "columns",
            "header",
            problem,
            channel=channel,
            expected="one column of that name; the log has " + _list_names(names),
            fix=fix,
        )
    )
    return None


def missing_media(
    channel: str,
    task: Task,
    available: Sequence[str],
    what: str,
    *,
    where: str = "header",
    note: str = "",
) -> Reason:
    """Return the reason for a channel of images or texts that a log does not have.

    Args:
        channel: its name.
        task: task with the channel.
        available: names in the log.
        what: kind of name that the log lacks, such as `column`.
        where: where it was searched.
        note: what else a user has to know.
    """
    names = [source.name for source in task.channels[channel].source] or [channel]
    listed = ", ".join(sorted(available)[:_LISTED]) or "nothing"
    close = _nearest_name(task, names, available)
    return reason(
        "media",
        where,
        f"no {what} {' or '.join(map(repr, names))}",
        channel=channel,
        expected=f"one of that name; the log has {listed}",
        fix=f"{close} name it at `channels.{channel}.source`{note}".strip(),
    )


def _nearest_name(task: Task, names: Sequence[str], available: Sequence[str]) -> str:
    """Return the hint at an available name that is close to one of some names, or "".

    Names that the time or another channel reads are not suggested.
    """
    used = {source.name for spec in task.channels.values() for source in spec.source}
    used.update(task.ingest.time, (name for name, spec in task.channels.items() if not spec.source))
    unused = [name for name in available if name not in used]
    return next((hint for name in names if "did you" in (hint := nearest(name, unused))), "")


def _list_names(names: list[str]) -> str:
    return join_first([*map(repr, names)], _LISTED)


def stretches(rows: NDArray[np.int64]) -> str:
    """Spell rising row numbers: `row 7`, or `rows 3-5, 9 and 40 more`."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    spans = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs[:MAX_LISTED]]
    more = sum(len(run) for run in runs[MAX_LISTED:])
    text = ", ".join(spans) + (f" and {more} more" if more else "")
    return f"{'row' if len(rows) == 1 else 'rows'} {text}"
