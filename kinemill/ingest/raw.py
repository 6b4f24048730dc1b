"""What readers hand on: one log's stamps and wanted channels, before any unit or clock is applied.

A reader is a `Reader` registered under its format's name in `kinemill/ingest/readers/`. It matches
columns by name with `match_columns`, reads only those, and says `Unreadable` when it cannot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kinemill.errors import BadLog
from kinemill.registry import nearest
from kinemill.spec import Source, Task

TIME = "time_s"
SHOWN = 3  # stretches of rows named in one reason; the rest is counted

Reason = dict[str, str | None]


def reason(
    check: str, where: str, found: str, *, expected: str, fix: str, channel: str | None = None
) -> Reason:
    """Return one reason why a log, or a stretch of it, is not used as it stands."""
    return {
        "check": check,
        "channel": channel,
        "where": where,
        "found": found,
        "expected": expected,
        "fix": fix,
    }


class Unreadable(BadLog):
    """A log that cannot be read as the task describes it, with every reason."""

    def __init__(self, *reasons: Reason) -> None:
        self.reasons = list(reasons)
        first = reasons[0]
        super().__init__(
            first["where"], str(first["found"]), expected=first["expected"], fix=first["fix"]
        )


@dataclass(frozen=True)
class RawLog:
    """One log as its file has it.

    `frame` holds `time_s` (Int64 or Float64, counted in units of `ticks` per second) and each
    channel (Float64, null where the log has no value) in the unit of its source, row after row as
    in the file: row 1 is the first after the header.
    """

    frame: pl.DataFrame
    sources: dict[str, Source]
    ticks: float
    dropped_rows: int = 0
    reasons: list[Reason] = field(default_factory=list[Reason])


@dataclass(frozen=True)
class Reader:
    """One log format.

    Args:
        suffixes: endings of file names that are logs of this format, in lower case.
        recognises: tells from a file's first 4096 bytes whether it is of this format.
        read: reads one file; raises `Unreadable`.
    """

    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    read: Callable[[Path, Task], RawLog]


TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True)
class Columns:
    """Where a log keeps what a task wants: positions in its header."""

    time: int
    channels: dict[str, int]
    sources: dict[str, Source]


def match_columns(header: Sequence[str], task: Task) -> Columns:
    """Find the task's time and channels in `header`, each by the first of its names that is there.

    Raises:
        Unreadable: names are missing, or one that is wanted stands twice.
    """
    names = [name.strip() for name in header]
    reasons: list[Reason] = []
    time = _find(task.ingest.time, names, None, reasons)
    sources, places = dict[str, Source](), dict[str, int]()
    for channel, spec in task.channels.items():
        wanted = spec.source or [Source(name=channel)]
        place = _find([source.name for source in wanted], names, channel, reasons)
        if place is not None:
            places[channel] = place
            source = next(source for source in wanted if source.name == names[place])
            sources[channel] = source.model_copy(update={"unit": source.unit or spec.unit})
    if reasons or time is None:
        raise Unreadable(*reasons)
    return Columns(time, places, sources)


def _find(
    wanted: list[str], names: list[str], channel: str | None, reasons: list[Reason]
) -> int | None:
    """Return the place of the first of `wanted` in `names`, or add the reason why there is none."""
    named = next((name for name in wanted if name in names), None)
    if named is not None and names.count(named) == 1:
        return names.index(named)
    key = f"channels.{channel}.source" if channel else "ingest.time"
    if named is not None:
        found, fix = f"column {named!r} stands {names.count(named)} times", "rename all but one"
    else:
        found = f"no column {' or '.join(map(repr, wanted))}"
        close = next((hint for name in wanted if "did you" in (hint := nearest(name, names))), "")
        fix = f"{close} name the log's column at `{key}`".strip()
    reasons.append(
        reason(
            "columns",
            "header",
            found,
            channel=channel,
            expected="one column of that name; the log has " + _listed(names),
            fix=fix,
        )
    )
    return None


def _listed(names: list[str], most: int = 12) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def stretches(rows: np.ndarray[Any, np.dtype[np.int64]]) -> str:
    """Name rising row numbers: `row 7`, or `rows 3-5, 9 and 40 more`."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    spans = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs[:SHOWN]]
    more = sum(len(run) for run in runs[SHOWN:])
    text = ", ".join(spans) + (f" and {more} more" if more else "")
    return f"{'row' if len(rows) == 1 else 'rows'} {text}"
