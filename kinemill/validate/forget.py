"""Forget a recording: delete its bytes and all results, and keep a decision that excludes it.

The decision prevents another ingest while the file is still in a drop folder. Frozen datasets keep
their packed rows; `kinemill.register.lineage` lists the datasets and models that used it.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from kinemill import catalog
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.ingest.decisions import Decision, current_decisions, decide
from kinemill.ingest.membership import Member, forget_member, raw_path
from kinemill.ingest.recordings import STAGE as READ
from kinemill.store import MANIFEST, SUMMARY, Home, file_digest, read_json
from kinemill.store.locks import lock
from kinemill.store.remote_sync import withdraw
from kinemill.task import Task
from kinemill.validate.drift.evaluate import STAGE as MEASURED
from kinemill.validate.duplicates.registry import forget_duplicates
from kinemill.validate.episodes import STAGE as EVALUATED
from kinemill.validate.results import Results


@dataclass(frozen=True)
class StoredData:
    """Stored data of a recording: its raw bytes, and the artifacts of all rules so far."""

    raw: Path | None  # None if it is missing, or another task needs it
    artifacts: list[Path]

    @property
    def bytes(self) -> int:
        """Total size."""
        files = [self.raw] if self.raw else []
        files += [file for folder in self.artifacts for file in folder.iterdir()]
        return sum(file.stat().st_size for file in files)


def stored_data(task: Task, home: Home, member: Member) -> StoredData:
    """Return the stored data of a recording, searched in all artifacts of the task."""
    raw = raw_path(home, member)
    references = home.store.joinpath("members").glob(f"*/{member.hash}.json")
    shared = any(path.parent.name != task.name for path in references)
    return StoredData(
        raw if raw.is_file() and not shared else None,
        list(_artifact_folders(task, home, member.hash)),
    )


def _artifact_folders(task: Task, home: Home, hash_: str) -> Iterator[Path]:
    """Yield the artifacts of a recording, and of others that it was merged into, if only once."""
    merged = set[str]()  # digests of artifacts of others that hold rows of the recording
    for stage in (READ, EVALUATED, MEASURED):
        for summary in sorted((home.store / stage / task.name).glob(f"*/{SUMMARY}")):
            # The recording of a damaged artifact is unknown; the next run moves it aside.
            with suppress(CorruptArtifact):
                document = read_json(summary)
                folder = summary.parent
                if document.get("hash") == hash_:
                    yield folder
                elif hash_ in document.get("merged", ()) or _is_made_of(folder, merged):
                    merged.add(file_digest(folder / MANIFEST))
                    yield folder


def _is_made_of(folder: Path, digests: set[str]) -> bool:
    """Return whether an artifact was made of one of some others."""
    if not digests:
        return False
    inputs = read_json(folder / MANIFEST)["inputs"]
    return bool({inputs.get("recording"), inputs.get("episodes")} & digests)


def forget(task: Task, home: Home, member: Member, because: str = "") -> Decision:
    """Delete all stored data of a recording, and record the decision that excludes it.

    The decision is written first, so that a repeated call completes the deletion after a crash.
    """
    with lock(home, f"ingest-{task.name}"):
        previous = current_decisions(home, task.name).get(member.hash)
        if previous:
            previous.require_not_merged(task.name)
        made = previous if previous and previous.decision == "forget" else None
        made = made or decide(home, task.name, member.hash, member.name, "forget", because)
        stored = stored_data(task, home, member)
        for folder in stored.artifacts:
            _remove(home, folder)
        if stored.raw:
            withdraw(home, stored.raw)
            stored.raw.unlink()
        forget_duplicates(home, task, member.hash)
        catalog.forget(home, task.name, member.hash)
        with lock(home, f"validate-{task.name}"):
            Results(task, home).forget(member.hash)
        forget_member(home, task.name, member)
    return made


def _remove(home: Home, folder: Path) -> None:
    """Move an artifact aside in one step, then delete it."""
    withdraw(home, folder)
    aside = home.store / ".staging" / f"forgotten-{uuid4().hex}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(aside)
    shutil.rmtree(aside)


def undo_forget(task: Task, home: Home, which: str, because: str = "") -> Decision:
    """Withdraw the decision to forget a recording: its file can be ingested again.

    Raises:
        BadInput: No forgotten recording has this name or hash.
    """
    forgotten = [
        item for item in current_decisions(home, task.name).values() if item.decision == "forget"
    ]
    matches = [item for item in forgotten if which == item.name or item.recording.startswith(which)]
    if len(matches) != 1:
        names = ", ".join(f"{item.name} ({item.recording[:16]})" for item in forgotten[:8])
        raise BadInput(
            which,
            f"names {len(matches)} forgotten recordings of {task.name}",
            expected="one",
            fix=f"forgotten are: {names or 'none'}",
        )
    return decide(home, task.name, matches[0].recording, matches[0].name, "withdraw", because)
