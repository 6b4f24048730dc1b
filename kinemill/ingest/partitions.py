"""Partitions: the recordings of a task by robot, session or day, for their status in Dagster.

The key of a recording is metadata: `robot`, `session`, `day` or `date`, from a side-car file, from
`ingest.meta.name`, or from attributes in the log, in this order. A day is also found in the log's
name, such as `2026-03-01/run7.csv` or `run_20260301.csv`. It is not taken from timestamps: the key
is needed before the log is read. A recording without a key belongs to the partition `unknown`.

Partitions change neither recordings nor datasets. Artifacts are those of a task without partitions.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from kinemill.catalog import CatalogEntry, totals_of
from kinemill.catalog.evaluations import Evaluation
from kinemill.errors import BadInput
from kinemill.ingest.file_stat import FileStat, stat_of
from kinemill.ingest.files import drop_folder, scan
from kinemill.ingest.membership import Member, members
from kinemill.ingest.metadata import attributes_in, name_groups, read_attributes, read_sidecar
from kinemill.ingest.scan_cache import ScanCache
from kinemill.ingest.snapshot import Snapshot
from kinemill.store import ArtifactRef, digest
from kinemill.store.home import Home
from kinemill.task import Task

UNKNOWN = "unknown"  # the partition of recordings without a key
MAX_KEYS = 20_000
_LONGEST = 200  # characters of a key
_DAY = re.compile(r"(?<!\d)(\d{4})([-_.]?)(\d\d)\2(\d\d)(?!\d)")
# Dagster forbids control characters and `...`, and its pages separate keys by commas and brackets.
_ESCAPED = re.compile(r"[\x00-\x1f\x7f%,\[\]]|\.(?=\.\.)|\A\s|\s\Z")

T = TypeVar("T", CatalogEntry, Evaluation)
Source = Callable[[], Mapping[str, str]]  # of metadata, read when it is needed


@dataclass(frozen=True, kw_only=True)
class PartitionCounts:
    """Counts of one partition, and the digest of its content."""

    key: str
    recordings: int
    quarantined: int
    rows: int
    dropped_rows: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class PartitionRecordings(PartitionCounts):
    """Counts of one partition's recordings."""

    tracks: int


def partition_key(value: str) -> str:
    """Return a metadata value as a key that Dagster accepts: other characters are %-encoded.

    A value of more than 200 characters is cut, and its sha256 appended.
    """
    key = _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", value)
    if len(key) > _LONGEST:
        key = f"{key[: _LONGEST - 17]}-{sha256(value.encode()).hexdigest()[:16]}"
    return key or UNKNOWN


def file_key(task: Task, file_stat: FileStat) -> str:
    """Return the partition of a log that was not ingested yet.

    The log is opened only if its name and side-car do not give the key.
    """
    path = file_stat.path
    return _find_key(
        task,
        file_stat.label,
        lambda: read_sidecar(task, path),
        lambda: read_attributes(task, path),
    )


def member_key(task: Task, member: Member) -> str:
    """Return the partition of a recording, from its name and metadata at first ingest."""
    return _find_key(task, member.name, lambda: member.meta, lambda: member.meta)


def _find_key(task: Task, name: str, sidecar: Source, attributes: Source) -> str:
    by = task.ingest.partition_by
    names = ("day", "date") if by == "day" else (str(by),)
    sources: list[Source] = [
        sidecar,
        lambda: name_groups(task, name),
        lambda: attributes_in(attributes()),
    ]
    for source in sources:
        values = source()
        if value := next((values[key] for key in names if values.get(key)), None):
            return partition_key(value) if by != "day" else _day_in(value) or UNKNOWN
    return (_day_in(name) if by == "day" else None) or UNKNOWN


def _day_in(text: str) -> str | None:
    """Return the first date in a text as `2026-03-01`, or None."""
    for match in _DAY.finditer(text):
        try:
            return date(int(match[1]), int(match[3]), int(match[4])).isoformat()
        except ValueError:
            continue  # digits that are no date
    return None


def member_keys(task: Task, home: Home) -> dict[str, str]:
    """Return the partition of every recording of a task, by content hash."""
    return {hash_: member_key(task, member) for hash_, member in members(home, task.name).items()}


def new_keys(task: Task, home: Home, folder: Path | None = None) -> list[str]:
    """Return the partitions of the new and changed logs in a folder, sorted."""
    source = folder or drop_folder(task, home)
    if not stat_of(source):
        return []
    scanned = scan(task, source, ScanCache(task, home, source))
    return sorted({file_key(task, file_stat) for file_stat in scanned.logs})


def recordings_by_partition(
    task: Task, home: Home, recordings: ArtifactRef
) -> list[PartitionRecordings]:
    """Return the counts of every partition of a snapshot, sorted by key.

    Raises:
        BadInput: there are more partitions than Dagster shows.
        CorruptArtifact: the snapshot is damaged.
    """
    entries = by_partition(task, home, Snapshot(home, recordings))
    return [count_recordings(key, group) for key, group in entries.items()]


def by_partition(task: Task, home: Home, items: Iterable[T]) -> dict[str, list[T]]:
    """Return items of recordings by partition, sorted by key.

    Raises:
        BadInput: there are more partitions than Dagster shows.
    """
    keys = member_keys(task, home)
    groups = defaultdict[str, list[T]](list)
    for item in items:
        groups[keys.get(item.hash, UNKNOWN)].append(item)
    check_number(task, groups)
    return dict(sorted(groups.items()))


def count_recordings(key: str, entries: Iterable[CatalogEntry]) -> PartitionRecordings:
    """Return the counts of one partition from its entries in a snapshot."""
    listed = sorted(entries, key=lambda entry: entry.hash)
    return PartitionRecordings(
        key=key,
        **asdict(totals_of(listed)),
        digest=digest([[entry.ref.digest, entry.released] for entry in listed]),
    )


def check_number(task: Task, keys: Collection[str]) -> None:
    """Check that a task has no more partitions than Dagster shows.

    Raises:
        BadInput: it has more.
    """
    if len(keys) <= MAX_KEYS:
        return
    by = task.ingest.partition_by
    coarser = "`session` or `robot`" if by == "day" else "`day`"
    raise BadInput(
        task.path or task.name,
        f"`ingest.partition_by: {by}` divides the recordings of {task.name} into {len(keys)} "
        "partitions",
        expected=f"at most {MAX_KEYS}",
        fix=f"partition by {coarser}, give coarser values in `ingest.meta.name`, remove the "
        "key, or delete partitions without recordings on the page of the asset in Dagster",
    )
