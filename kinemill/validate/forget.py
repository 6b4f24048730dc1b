"""Forgetting a recording: its bytes, what was read, judged and measured of it go; a note stays.

The note keeps the content from being taken again while its file still lies in a drop folder.
Frozen datasets keep the rows they packed, and models what they learned: `kinemill.register.lineage`
says which.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.ingest.decisions import Decision, current_decisions, decide
from kinemill.ingest.membership import Member, forget_member, raw_path
from kinemill.ingest.recordings import STAGE as READ
from kinemill.store import SUMMARY, read_json
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.store.remote_sync import withdraw
from kinemill.task import Task
from kinemill.validate.drift.evaluate import STAGE as MEASURED
from kinemill.validate.duplicates.registry import forget_duplicates
from kinemill.validate.episodes import STAGE as EVALUATED


@dataclass(frozen=True)
class StoredData:
    """What is kept of a recording: its raw bytes and outcomes under every rule there was."""

    raw: Path | None  # None: not there, or another task needs it
    artifacts: list[Path]

    @property
    def bytes(self) -> int:
        """Size of all of it."""
        files = [self.raw] if self.raw else []
        files += [file for folder in self.artifacts for file in folder.iterdir()]
        return sum(file.stat().st_size for file in files)


def stored_data(task: Task, home: Home, member: Member) -> StoredData:
    """Find what is kept of a recording; looks at every outcome of the task."""
    raw = raw_path(home, member)
    others = home.store.joinpath("members").glob(f"*/{member.hash}.json")
    shared = any(path.parent.name != task.name for path in others)
    return StoredData(
        raw if raw.is_file() and not shared else None,
        list(_artifact_folders(task, home, member.hash)),
    )


def _artifact_folders(task: Task, home: Home, hash_: str) -> Iterator[Path]:
    for stage in (READ, EVALUATED, MEASURED):
        for summary in sorted((home.store / stage / task.name).glob(f"*/{SUMMARY}")):
            # A damaged outcome is of nobody we know; the next run sets it aside.
            with suppress(CorruptArtifact):
                if read_json(summary).get("hash") == hash_:
                    yield summary.parent


def forget(task: Task, home: Home, member: Member, because: str = "") -> Decision:
    """Remove all that is kept of a recording, and note that it is not to be taken again.

    The note is written first: after a crash the rest is removed by asking again.
    """
    with lock(home, f"ingest-{task.name}"):
        previous = current_decisions(home, task.name).get(member.hash)
        made = previous if previous and previous.decision == "forget" else None
        made = made or decide(home, task.name, (member.hash, member.name), "forget", because)
        stored = stored_data(task, home, member)
        for folder in stored.artifacts:
            _remove(home, folder)
        if stored.raw:
            withdraw(home, stored.raw)
            stored.raw.unlink()
        forget_duplicates(home, task, member.hash)
        forget_member(home, task.name, member)
    return made


def _remove(home: Home, folder: Path) -> None:
    """Move an outcome out of sight at once, then delete it."""
    withdraw(home, folder)
    aside = home.store / ".staging" / f"forgotten-{uuid4().hex}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(aside)
    shutil.rmtree(aside)


def undo_forget(task: Task, home: Home, which: str, because: str = "") -> Decision:
    """Take back that a recording was forgotten: it is read again when its file is found again.

    Raises:
        BadInput: no recording of this name or hash is forgotten.
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
    return decide(home, task.name, (matches[0].recording, matches[0].name), "withdraw", because)
