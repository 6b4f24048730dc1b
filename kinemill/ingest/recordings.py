"""The stage itself: files of a drop folder -> recordings, each with its tracks or its reasons."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kinemill.errors import BadInput, BadLog
from kinemill.home import Home
from kinemill.ingest.files import Sight, readers, recognise, scan, see, wait_for_settled
from kinemill.ingest.membership import Member, Moved, enter, first_sights, keep_raw, members
from kinemill.ingest.raw import Unreadable, reason
from kinemill.ingest.report import entry, unstable
from kinemill.ingest.tracks import Tracks, make_tracks
from kinemill.spec import Task
from kinemill.spec.ports import Progress, Silence
from kinemill.store import (
    Json,
    Outcome,
    Ref,
    digest,
    file_digest,
    once,
    open_ref,
    publish_json,
    read_json,
)

VERSION = 1
STAGE, SNAPSHOT = "recording", "recordings"
LIST = "recordings.json"
WORKERS = 4  # files in memory at a time; polars uses all cores for each

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Recording:
    """A published recording: `folder` holds the tracks that `summary["tracks"]` lists."""

    hash: str
    name: str
    ref: Ref
    folder: Path
    summary: Json


@dataclass(frozen=True)
class IngestReport:
    """What an ingest found: the snapshot of all recordings, and one entry for each file."""

    outcome: Outcome
    files: list[Json]
    ignored: list[str]


def ingest(
    task: Task, home: Home, folder: Path | None = None, progress: Progress | None = None
) -> IngestReport:
    """Take in the logs of a folder, and publish the snapshot of all recordings of the task.

    Args:
        task: says which files are logs and how they are read.
        home: where outcomes, raw bytes and memberships are kept.
        folder: where the logs are, searched recursively, or one log; default: the drop folder.
        progress: hears of each file.

    Raises:
        BadInput: no such folder, or the task has no recording yet and none was found.
        CorruptArtifact: a recording's outcome and its raw bytes are both damaged.
    """
    progress = progress or Silence()
    source = folder or drop_folder(task, home)
    logs, ignored = scan(task, source) if folder or source.exists() else ([], [])
    still, moving = wait_for_settled(logs, task.ingest.settle)
    hashes = dict(zip(still, _parallel(_hash, still), strict=True))
    known = members(home, task.name)
    found = first_sights([(sight, hash_) for sight, hash_ in hashes.items() if hash_])
    every = [*known.values(), *(m for hash_, (m, _) in found.items() if hash_ not in known)]
    wanted = sorted((m for m in every if task.ingest.wants(m.name)), key=lambda m: m.hash)
    outcomes: dict[str, Outcome] = {}
    jobs = ((task, home, m, found[m.hash][1] if m.hash in found else None) for m in wanted)
    for done, (member, outcome) in enumerate(_parallel(_record, jobs), start=1):
        progress.advance("ingest", done, len(wanted), member.name)
        if outcome:
            outcomes[member.hash] = outcome
    entries = [entry(sight, hash_, outcomes, known, found) for sight, hash_ in hashes.items()] + [
        unstable(sight) for sight in moving
    ]
    snapshot = _snapshot(task, home, [m for m in wanted if m.hash in outcomes], outcomes, source)
    return IngestReport(snapshot, sorted(entries, key=lambda item: str(item["file"])), ignored)


def drop_folder(task: Task, home: Home) -> Path:
    """Return the folder in which the task's logs are dropped; `ingest.watch` may name another."""
    watch = task.ingest.watch
    return Path(watch).expanduser() if watch else home.logs(task.name)


def load_recordings(home: Home, ref: Ref) -> list[Recording]:
    """Return the recordings of a snapshot, sorted by hash, after checking all their bytes.

    Raises:
        CorruptArtifact: the snapshot or one of its recordings is damaged.
    """
    recordings: list[Recording] = []
    for item in read_json(open_ref(home, ref) / LIST):
        own = Ref.from_json(item["ref"])
        folder = open_ref(home, own)
        summary = read_json(folder / "summary.json")
        recordings.append(Recording(item["hash"], item["name"], own, folder, summary))
    return recordings


def _parallel(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Do `work` on all items on a few threads, in order; polars and hashing release the GIL."""
    pool = ThreadPoolExecutor(max_workers=min(WORKERS, os.cpu_count() or 1))
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _hash(sight: Sight) -> str | None:
    """Return the sha256 of a file's bytes; None if it changed meanwhile or cannot be read."""
    try:
        found = file_digest(sight.path)
    except OSError:
        return None
    return found if see(sight.path, sight.name) == sight else None


def _record(job: tuple[Task, Home, Member, Path | None]) -> tuple[Member, Outcome | None]:
    """Publish one recording and enter it as a member; no outcome if its file is moving."""
    task, home, member, source = job

    def build(folder: Path) -> Json:
        return _publish_tracks(task, member, keep_raw(home, member, source), folder)

    inputs = {
        "version": VERSION,
        "hash": member.hash,
        "suffix": member.suffix,
        "columns": task.columns,
        "task": _own_part(task),
    }
    try:
        outcome = once(home, STAGE, task.name, inputs, build)
    except Moved:
        return member, None
    enter(home, task.name, member)
    return member, outcome


def _own_part(task: Task) -> Json:
    """Return what recordings depend on: patterns and waiting times are not among it."""
    part = task.part("dt", "channels", "ingest")
    elsewhere = {"include", "exclude", "settle", "watch"}
    return {
        "dt": part["dt"],
        "channels": {
            name: {key: channel[key] for key in ("role", "kind", "unit", "source")}
            for name, channel in part["channels"].items()
        },
        "ingest": {key: value for key, value in part["ingest"].items() if key not in elsewhere},
    }


def _publish_tracks(task: Task, member: Member, raw: Path, folder: Path) -> Json:
    form = recognise(task, raw)
    tracks = _read(task, form, raw)
    listed: list[dict[str, Any]] = []
    for index, frame in enumerate(tracks.frames):
        name = f"track-{index:04d}.parquet"
        frame.write_parquet(folder / name, compression="lz4")
        start = float(frame["time_s"][0])
        listed.append({"index": index, "rows": frame.height, "start_s": start, "file": name})
    return {
        "hash": member.hash,
        "format": form,
        "rows": tracks.rows,
        "dropped_rows": tracks.dropped_rows,
        "tracks": listed,
        "reasons": tracks.reasons,
    }


def _read(task: Task, form: str, raw: Path) -> Tracks:
    try:
        return make_tracks(readers(task)[form].read(raw, task), task)
    except Unreadable as error:
        reasons = error.reasons
    except BadLog as error:
        fix = error.fix or "correct the log"
        where = "file" if error.where == str(raw) else error.where
        expected = error.expected or f"a log that {form} can read"
        reasons = [reason("format", where, error.found, expected=expected, fix=fix)]
    return Tracks([], 0, 0, reasons)


def _snapshot(
    task: Task, home: Home, included: list[Member], outcomes: dict[str, Outcome], source: Path
) -> Outcome:
    """Publish the list of all recordings."""
    if not included:
        endings = [suffix for reader in readers(task).values() for suffix in reader.suffixes]
        raise BadInput(
            source,
            f"holds no complete log of the task {task.name!r}",
            expected=f"files that end in {', '.join(endings)} and match `ingest.include`",
            fix="put logs there, or name a folder with --logs",
        )
    listed = [
        {"hash": m.hash, "name": m.name, "ref": outcomes[m.hash].ref.to_json()} for m in included
    ]
    summaries = [outcomes[m.hash].summary for m in included]

    def build(folder: Path) -> Json:
        publish_json(folder / LIST, listed)
        return {
            "recordings": len(included),
            "quarantined": sum(not summary["tracks"] for summary in summaries),
            "tracks": sum(len(summary["tracks"]) for summary in summaries),
            "rows": sum(summary["rows"] for summary in summaries),
            "dropped_rows": sum(summary["dropped_rows"] for summary in summaries),
        }

    return once(
        home, SNAPSHOT, task.name, {"version": VERSION, "recordings": digest(listed)}, build
    )
