"""Ingest stage: from a folder of logs to the snapshot of a task's recordings, with a report.

Only changes since the last ingest are processed: files with a new stat, recordings with a manual
decision, and files of an interrupted ingest. If the ingest rules have changed, or the index is
lost, everything is processed.
"""

from collections.abc import Iterable, Mapping, Set
from pathlib import Path

from kinemill.catalog import open_connections
from kinemill.errors import BadInput, join_first
from kinemill.ingest import recordings
from kinemill.ingest.decisions import DECISIONS, current_decisions
from kinemill.ingest.edited_log import NO_EDITS, LogEdits
from kinemill.ingest.edits import EDITS
from kinemill.ingest.file_stat import NOTHING, FileStat, is_file, stat_of
from kinemill.ingest.files import (
    ScanResult,
    drop_folder,
    empty_scan,
    no_logs,
    require_channels,
    scan,
    wait_for_settled,
)
from kinemill.ingest.index import add_pending
from kinemill.ingest.log_digest import hash_logs
from kinemill.ingest.membership import Member, sync_members
from kinemill.ingest.partitions import file_key
from kinemill.ingest.raw import MAX_LISTED
from kinemill.ingest.report import IngestReport
from kinemill.ingest.scan_cache import ScanCache
from kinemill.ingest.snapshot_update import SnapshotUpdate
from kinemill.store import Artifact, Json
from kinemill.store.disk_space import warn
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.store.staging import sweep_staging
from kinemill.task import Task
from kinemill.task.protocols import NullReporter, Progress

VERSION: int = recordings.VERSION
_FOLD = 4  # disk space per byte of a new log: raw, recording, episodes, dataset


def inputs(task: Task, member: Member, edits: LogEdits = NO_EDITS) -> Json:
    """Return the parts of the key of one recording."""
    return recordings.recording_inputs(task, member, edits)


def run(
    task: Task,
    home: Home,
    folder: Path | None = None,
    progress: Progress | None = None,
    *,
    partition: str | None = None,
) -> IngestReport:
    """Ingest the logs of a folder, and publish the snapshot of all recordings of the task.

    Args:
        task: Defines which files are logs and how they are read.
        home: Stores artifacts, raw bytes and memberships.
        folder: One log, or a folder that is searched recursively. Default: the drop folder.
        progress: Called for each file.
        partition: Read the logs and recordings of this partition alone, and publish a snapshot of
            them. The next ingest of all partitions finds them cached.

    Raises:
        BadInput: The folder does not exist, the task declares no channels, or neither the task
            nor the folder has a recording.
        CorruptArtifact: The artifact of a recording and its raw bytes are both damaged.
    """
    require_channels(task)
    progress = progress or NullReporter()
    # A second ingest blocks here, reports the lock holder, then reads the cached result.
    with lock(home, f"ingest-{task.name}", progress.log_message), open_connections(home):
        return _ingest(task, home, folder, progress, partition)


def publish_members(task: Task, home: Home, progress: Progress | None = None) -> Artifact:
    """Publish the snapshot of all recordings that were ingested, without looking for new logs.

    Ingests of single partitions leave it to this function, or to the next `run`.

    Raises:
        BadInput: The task has no recording.
    """
    progress = progress or NullReporter()
    with lock(home, f"ingest-{task.name}", progress.log_message), open_connections(home):
        _sync_with_remote(task, home)
        taking = SnapshotUpdate(task, home, current_decisions(home, task.name), set())
        result = taking.take({}, empty_scan().unchanged, {}, progress)
    if result is None:
        raise _nothing(task, drop_folder(task, home), {})
    return result.artifact


def _ingest(
    task: Task, home: Home, folder: Path | None, progress: Progress, partition: str | None
) -> IngestReport:
    source = folder or drop_folder(task, home)
    sweep_staging(home)
    _sync_with_remote(task, home)
    cache = ScanCache(task, home, source)
    scanned = scan(task, source, cache) if folder or stat_of(source) else empty_scan()
    described = _described_anew(task, scanned)
    if partition is not None:
        scanned, described = _restrict(task, scanned, described, partition)
    changed = sorted(described - {*scanned.logs})
    unchanged = scanned.unchanged.without(changed)
    warn(home.root, progress.log_message, _FOLD * sum(log.size for log in scanned.new))
    fault_point("ingest.scanned")
    decisions = current_decisions(home, task.name)
    still, unstable = _settled_logs(task, scanned, changed)
    read, unread = hash_logs(task, still)
    fault_point("ingest.hashed")
    earlier = _earlier_contents(cache, read, scanned.stale | {log.name for log in changed})
    update = SnapshotUpdate(task, home, decisions, described)
    if partition is None:
        result = update.take(read, unchanged, earlier, progress)
    else:
        result = update.take_partition(partition, read, earlier, progress)
    unread |= dict.fromkeys(unstable, "changed while it was read")
    if result is None:
        raise _nothing(task, source, unread, partition)
    if not is_file(source):
        finished = {s: bytes.fromhex(h) for s, h in read.items() if h not in result.unfinished}
        stale = [*scanned.stale, *(log.name for log in changed)] if partition is None else []
        cache.write({**finished, **dict.fromkeys(_examined(scanned, unstable), NOTHING)}, stale)
    return IngestReport(
        task=task,
        home=home,
        artifact=result.artifact,
        decisions=decisions,
        entered=result.entered,
        unfinished=result.unfinished,
        ignored=scanned.ignored,
        read=read,
        unread=unread,
        unchanged=unchanged,
    )


def _examined(scanned: ScanResult, unstable: list[FileStat]) -> list[FileStat]:
    """Return the side-car files and videos that the next ingest need not examine.

    Videos of logs that are not read yet stay new.
    """
    if scanned.logs_of(scanned.videos) & {*unstable}:
        return sorted({*scanned.sidecars} - {*scanned.videos})
    return scanned.sidecars


def _settled_logs(
    task: Task, scanned: ScanResult, changed: list[FileStat]
) -> tuple[list[FileStat], list[FileStat]]:
    """Return the stable logs whose videos are stable too, and all other logs."""
    waiting = [*scanned.new, *changed]
    still, unstable = wait_for_settled(waiting, task.ingest.min_file_age)
    videos = {video.name for video in scanned.videos}
    of_changing = scanned.logs_of(log for log in unstable if log.name in videos)
    logs = [log for log in still if log.name not in videos]
    changing = [log for log in unstable if log.name not in videos]
    settled = [log for log in logs if log not in of_changing]
    return settled, [*changing, *(log for log in logs if log in of_changing)]


def _earlier_contents(
    cache: ScanCache, read: Iterable[FileStat], stale: Set[str]
) -> dict[FileStat, str]:
    """Return the content hashes that the last ingest read under the names of changed files."""
    cached = cache.find({log.name for log in read} & stale)
    return {log: cached[log.name][1].hex() for log in read if log.name in cached}


def _sync_with_remote(task: Task, home: Home) -> None:
    """Fetch the recordings and decisions of other machines."""
    DECISIONS.fetch(home, task.name)
    EDITS.fetch(home, task.name)
    sync_members(home, task.name, lambda new: add_pending(home, task.name, new))


def _described_anew(task: Task, looked: ScanResult) -> set[FileStat]:
    """Return the logs with a new or changed side-car file or video."""
    of_videos = looked.logs_of(looked.videos)
    bases = {
        file_stat.name[: -len(ending)]
        for file_stat in looked.sidecars
        for ending in task.ingest.meta.sidecar
        if file_stat.name.lower().endswith(ending)
    }
    if not bases:
        return of_videos
    new = {s for s in looked.logs if s.name in bases or s.name.rpartition(".")[0] in bases}
    return {*new, *looked.unchanged.described_by(bases), *of_videos}


def _restrict(
    task: Task, scanned: ScanResult, described: set[FileStat], partition: str
) -> tuple[ScanResult, set[FileStat]]:
    """Return the new logs of one partition with their side-cars, and those that are described."""
    logs = [log for log in scanned.logs if file_key(task, log) == partition]
    described = {log for log in described if file_key(task, log) == partition}
    bases = {log.name for log in described} | {log.name.rpartition(".")[0] for log in described}
    sidecars = [
        sidecar
        for sidecar in scanned.sidecars
        for ending in task.ingest.meta.sidecar
        if sidecar.name.lower().endswith(ending) and sidecar.name[: -len(ending)] in bases
    ]
    return scanned._replace(logs=logs, sidecars=sidecars), described


def _nothing(
    task: Task, source: Path, unread: Mapping[FileStat, str], partition: str | None = None
) -> BadInput:
    named = [f"{file_stat.label} {why}" for file_stat, why in sorted(unread.items())]
    if partition is not None:
        listing = f": {join_first(named, MAX_LISTED, '; ')}" if named else ""
        return BadInput(
            source,
            f"holds no complete log of the partition {partition!r} of {task.name}{listing}",
            expected=f"logs or recordings whose {task.ingest.partition_by} is {partition!r}",
            fix="put logs there, or delete the partition on the page of the asset in Dagster",
        )
    return no_logs(task, source, named)
