"""The stage itself: files of a drop folder -> recordings, each with its tracks or its reasons."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kinemill.errors import BadInput, BadLog
from kinemill.home import Home
from kinemill.ingest.decisions import decided
from kinemill.ingest.files import Sight, readers, recognise, scan, see, wait_for_settled
from kinemill.ingest.membership import Member, Moved, enter, first_sights, keep_raw, members
from kinemill.ingest.meta import describe
from kinemill.ingest.raw import Reason, Unreadable, reason
from kinemill.ingest.report import entry, left_out, unstable
from kinemill.ingest.tracks import Tracks, make_tracks
from kinemill.locks import lock
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

VERSION = 2
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
    released: bool = False  # by a person: what checks find in it does not count


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
    # Whoever comes second waits, hears for whom, and finds everything known.
    with lock(home, f"ingest-{task.name}", progress.say):
        return _ingest(task, home, folder, progress)


def _ingest(task: Task, home: Home, folder: Path | None, progress: Progress) -> IngestReport:
    source = folder or drop_folder(task, home)
    logs, ignored = scan(task, source) if folder or source.exists() else ([], [])
    still, moving = wait_for_settled(logs, task.ingest.settle)
    hashes = dict(zip(still, _parallel(_hash, still), strict=True))
    known = members(home, task.name)
    found = first_sights([(sight, hash_) for sight, hash_ in hashes.items() if hash_])
    every = [*known.values(), *(m for hash_, (m, _) in found.items() if hash_ not in known)]
    barred = {hash_: made for hash_, made in decided(home, task.name).items() if made.bars}
    admitted = (m for m in every if task.ingest.wants(m.name) and m.hash not in barred)
    wanted = sorted(admitted, key=lambda m: m.hash)
    outcomes: dict[str, Outcome] = {}
    jobs = ((task, home, m, found[m.hash][1] if m.hash in found else None) for m in wanted)
    for done, (member, outcome) in enumerate(_parallel(_record, jobs), start=1):
        progress.advance("ingest", done, len(wanted), member.name)
        if outcome:
            outcomes[member.hash] = outcome
    entries = [
        left_out(sight, hash_, barred[hash_].reason(task.name))
        if hash_ in barred
        else entry(sight, hash_, outcomes, known, found)
        for sight, hash_ in hashes.items()
    ] + [unstable(sight) for sight in moving]
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
        released = item.get("released", False)
        recordings.append(Recording(item["hash"], item["name"], own, folder, summary, released))
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
        return read_into(task, member, keep_raw(home, member, source), folder)

    try:
        outcome = once(home, STAGE, task.name, recording_inputs(task, member), build)
    except Moved:
        return member, None
    described = describe(task, member, source)
    enter(home, task.name, described, anew=described is not member)
    return member, outcome


def recording_inputs(task: Task, member: Member) -> Json:
    """Return everything that the outcome of a recording depends on."""
    return {
        "version": VERSION,
        "hash": member.hash,
        "suffix": member.suffix,
        "columns": task.columns,
        "task": _own_part(task),
    }


def _own_part(task: Task) -> Json:
    """Return what recordings depend on: patterns and waiting times are not among it."""
    part = task.part("dt", "channels", "ingest")
    elsewhere = {"include", "exclude", "settle", "watch", "meta"}
    return {
        "dt": part["dt"],
        "channels": {
            name: {key: channel[key] for key in ("role", "kind", "unit", "source", "resample")}
            for name, channel in part["channels"].items()
        },
        "ingest": {key: value for key, value in part["ingest"].items() if key not in elsewhere},
    }


def read_into(task: Task, member: Member, raw: Path, folder: Path) -> Json:
    """Read the bytes at `raw`, write the tracks into `folder`, and return the summary."""
    form = recognise(task, raw)
    parts, listed = _read(task, form, raw), list[Json]()
    for part, frame in [(part, frame) for part, tracks in parts for frame in tracks.frames]:
        index = len(listed)
        name = f"track-{index:04d}.parquet"
        frame.write_parquet(folder / name, compression="lz4")
        start = float(frame["time_s"][0])
        entry = {"index": index, "rows": frame.height, "start_s": start, "file": name}
        listed.append({**entry, "part": part} if part else entry)
    return {
        "hash": member.hash,
        "format": form,
        "rows": sum(tracks.rows for _, tracks in parts),
        "dropped_rows": sum(tracks.dropped_rows for _, tracks in parts),
        "tracks": listed,
        "reasons": [_of_part(part, item) for part, tracks in parts for item in tracks.reasons],
    }


def _of_part(part: str, item: Reason) -> Reason:
    return {**item, "where": f"{part}, {item['where']}"} if part else item


def _read(task: Task, form: str, raw: Path) -> list[tuple[str, Tracks]]:
    """Read a log: the tracks of each of its parts, or of the nameless one that is all of it."""
    try:
        found = readers(task)[form].read(raw, task)
        logs = found if isinstance(found, list) else [found]
        return [(log.part, make_tracks(log, task)) for log in logs]
    except Unreadable as error:
        reasons = error.reasons
    except BadLog as error:
        fix = error.fix or "correct the log"
        where = "file" if error.where == str(raw) else error.where
        expected = error.expected or f"a log that {form} can read"
        reasons = [reason("format", where, error.found, expected=expected, fix=fix)]
    return [("", Tracks([], 0, 0, reasons))]


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
    standing = decided(home, task.name)
    released = {hash_ for hash_, made in standing.items() if made.decision == "release"}
    listed = [
        {"hash": m.hash, "name": m.name, "ref": outcomes[m.hash].ref.to_json()}
        # Only where it is so: snapshots from before there were decisions keep their keys.
        | ({"released": True} if m.hash in released else {})
        for m in included
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
