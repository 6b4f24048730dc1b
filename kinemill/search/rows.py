"""Rows of the view: what is known about each recording, as columns that a query reads."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from kinemill.ingest.metadata import metadata
from kinemill.ingest.recording_summary import RecordingSummary
from kinemill.query import META, NOT_VALIDATED, STATISTICS
from kinemill.search.changes import Source
from kinemill.store import Home, canonical
from kinemill.task import Task

CONTENT = "_content"  # a digest of the row
OTHERS = "_others"  # metadata beyond the most frequent keys
MOST_KEYS = 256  # keys of the metadata that have a column of their own in a segment

_PROPERTIES: dict[str, pl.DataType | type[pl.DataType]] = {
    "recording": pl.String,
    "name": pl.String,
    "status": pl.String,
    "start": pl.Datetime("us", "UTC"),
    "seconds": pl.Float64,
    "rows": pl.Int64,
    "dropped_rows": pl.Int64,
    "episodes": pl.Int64,
    "bytes": pl.Int64,
    "found": pl.List(pl.String),
}
_OTHERS = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))

Value = str | int | float | datetime | list[str] | None


@dataclass(frozen=True)
class Row:
    """One recording: its columns and its metadata."""

    values: dict[str, Value]
    metadata: dict[str, str]

    @property
    def content(self) -> int:
        """A digest of what the row shows, 63 bits."""
        state = canonical([{k: str(v) for k, v in self.values.items()}, self.metadata])
        return int.from_bytes(hashlib.sha256(state.encode()).digest()[:8], "big") >> 1


def statistic_columns(task: Task) -> list[str]:
    """Return the names of the columns of channel statistics, such as `max(torque)`."""
    return [f"{function}({channel})" for channel in task.numbers for function in STATISTICS]


def schema(task: Task) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Return the columns that every segment has, without metadata."""
    statistics = dict.fromkeys(statistic_columns(task), pl.Float64)
    return {**_PROPERTIES, **statistics, CONTENT: pl.Int64}


def row_of(task: Task, home: Home, source: Source) -> Row:
    """Return the row of one recording.

    Raises:
        CorruptArtifact: Its artifact is damaged.
    """
    member = source.member
    entry = source.entry
    summary = None
    if entry is not None:
        summary = RecordingSummary.read(home, entry.ref)
    values: dict[str, Value] = {
        "recording": member.hash,
        "name": member.name,
        "status": _status(source),
        "bytes": member.bytes,
        "episodes": source.evaluated.episodes if source.evaluated else None,
        "found": _checks_with_findings(source, summary),
        **(_numbers(task, summary) if summary else {}),
    }
    return Row(values, metadata(task, member.name, member.meta))


def _status(source: Source) -> str:
    """Return the status, as `kinemill data list` names it."""
    decision = source.decision
    entry = source.entry
    item = source.evaluated
    if decision and decision.bars:
        return decision.status
    if entry is None or (entry.tracks and item is None):
        return NOT_VALIDATED
    if decision:
        return "released"
    if item is None or not item.episodes:
        return "quarantined"
    return "partly" if item.held_back else "accepted"


def _checks_with_findings(source: Source, summary: RecordingSummary | None) -> list[str] | None:
    """Return the names of the checks that reported something, sorted; None if it is not known."""
    if source.details:
        return sorted({str(item["check"]) for item in source.details.reasons})
    return sorted({str(item["check"]) for item in summary.reasons}) if summary else None


def _numbers(task: Task, summary: RecordingSummary) -> dict[str, Value]:
    """Return the columns of a recording that was read."""
    start = None if summary.start is None else datetime.fromtimestamp(summary.start, UTC)
    return {
        "start": start,
        "seconds": task.dt * sum(track.rows - 1 for track in summary.tracks),
        "rows": summary.rows,
        "dropped_rows": summary.dropped_rows,
        **{
            f"{function}({channel})": getattr(stats, function)
            for channel, stats in summary.channels.items()
            for function in STATISTICS
        },
    }


def frame_of(task: Task, rows: Iterable[Row]) -> pl.DataFrame:
    """Return rows as a table: `schema`, one column per frequent key of the metadata, the rest."""
    listed = list(rows)
    counts = Counter(key for row in listed for key in row.metadata)
    keys = sorted(key for key, _ in counts.most_common(MOST_KEYS))
    types = schema(task)
    columns = [
        pl.Series(name, [row.values.get(name) for row in listed], dtype, strict=False)
        for name, dtype in types.items()
        if name != CONTENT
    ]
    columns.append(pl.Series(CONTENT, [row.content for row in listed], pl.Int64))
    columns += [
        pl.Series(f"{META}{key}", [row.metadata.get(key) for row in listed], pl.String)
        for key in keys
    ]
    if len(counts) > len(keys):
        columns.append(pl.Series(OTHERS, [_rest(row, set(keys)) for row in listed], _OTHERS))
    return pl.DataFrame(columns)


def _rest(row: Row, keys: set[str]) -> list[dict[str, str]]:
    """Return the metadata of a row without a column of its own."""
    return [{"key": k, "value": v} for k, v in sorted(row.metadata.items()) if k not in keys]
