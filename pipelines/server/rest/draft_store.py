"""Drafts of new tasks in the home: `drafts/ID/` with its logs and its preview.

A draft belongs to the user who started it; others cannot see it. It is deleted after a day, and a
user may have few at a time.
"""

import errno
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel

from kinemill.draft.draft_preview import DraftPreview
from kinemill.draft.draft_process import LOGS, LearnType
from kinemill.errors import BadInput, KinemillError
from kinemill.store import file_digest, publish_file
from kinemill.store.disk_space import convert_disk_errors, shortage
from kinemill.store.home import Home
from kinemill.store.locks import spell_time
from kinemill_dagster.pipelines.server.rest.bodies import StartDraft
from kinemill_dagster.pipelines.server.rest.documents import DraftDocument
from kinemill_dagster.pipelines.server.rest.log_folders import describe_file
from kinemill_dagster.pipelines.server.rest.service import NotHere

AGE = 86400.0  # s until a draft is deleted
MOST_DRAFTS = 5  # of a user; the oldest is deleted
MOST_LOGS = 200  # of a draft
LARGEST = 1 << 30  # bytes of all logs of a draft, those that are links excluded
_RECORD = "draft.json"
_PREVIEW = "preview.json"


class _Record(BaseModel):
    """Owner and purpose of a draft; `created` is s since the epoch."""

    owner: str
    name: str
    learn: LearnType
    rate: float | None
    created: float


@dataclass(frozen=True)
class Draft:
    """A draft in the home."""

    folder: Path
    record: _Record

    @property
    def logs(self) -> Path:
        """Folder of its logs."""
        return self.folder / LOGS

    def files(self) -> list[Path]:
        """Return its complete logs, sorted."""
        paths = (Path(top, name) for top, _, names in os.walk(self.logs) for name in names)
        return sorted(path for path in paths if not path.name.startswith("."))

    def room(self) -> int:
        """Return the number of bytes that may still be uploaded.

        Raises:
            BadInput: It has as many logs, or bytes, as it may have.
        """
        files = self.files()
        room = LARGEST - sum(
            status.st_size for status in map(Path.stat, files) if status.st_nlink == 1
        )
        if len(files) >= MOST_LOGS or room <= 0:
            expected = f"at most {MOST_LOGS} logs and {LARGEST >> 20:,} MiB"
            fix = "create the task, then send it the other logs"
            raise BadInput("the draft", "is full", expected=expected, fix=fix)
        return room

    def take(self, name: str, source: Path) -> None:
        """Add a log that is in the home: as a link, or as a copy from another file system.

        Raises:
            BadInput: Two logs have the same name, or the draft is full.
        """
        target = self.logs / name
        room = self.room()
        if target.exists():
            raise BadInput(f"log {name!r}", "is named twice", fix="name logs of one folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
                raise
            _copy(source, target, room)

    def preview(self) -> DraftPreview | None:
        """Return the conclusions from the logs; None before."""
        file = self.folder / _PREVIEW
        return DraftPreview.model_validate_json(file.read_bytes()) if file.is_file() else None

    def keep_preview(self, preview: DraftPreview) -> None:
        """Store the conclusions from the logs."""
        publish_file(self.folder / _PREVIEW, preview.model_dump_json().encode())

    def require_preview(self) -> DraftPreview:
        """Return the conclusions from the logs.

        Raises:
            BadInput: The draft is not built yet.
        """
        if (preview := self.preview()) is None:
            raise BadInput("the draft", "is not built yet", fix="POST to its path `build` first")
        return preview

    def document(self) -> DraftDocument:
        """Return it for a response."""
        return DraftDocument(
            id=self.folder.name,
            name=self.record.name,
            learn=self.record.learn,
            rate=self.record.rate,
            created_at=spell_time(self.record.created),
            logs=[describe_file(path, self.logs) for path in self.files()],
            preview=self.preview(),
        )

    def check_target(self, drop: Path) -> None:
        """Check that the logs can be put into a drop folder.

        Raises:
            BadInput: Another log of the same name exists.
        """
        for source, target in self._targets(drop).items():
            if target.exists() and not _is_same(source, target):
                fix = "rename it, or take it out of the drop folder"
                raise BadInput(f"log {target.name!r}", "is in the drop folder already", fix=fix)

    def move_logs(self, drop: Path) -> int:
        """Link the logs into a drop folder in the home, except those there; return their number."""
        targets = self._targets(drop)
        for source, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                os.link(source, target)
        return len(targets)

    def _targets(self, drop: Path) -> dict[Path, Path]:
        return {path: drop / path.relative_to(self.logs) for path in self.files()}

    def delete(self) -> None:
        """Delete it with its logs; files outside are kept."""
        shutil.rmtree(self.folder, ignore_errors=True)


def start_draft(home: Home, owner: str, body: StartDraft) -> Draft:
    """Create an empty draft; delete those that are too old, and the user's oldest."""
    drafts = _all(home)
    earlier = [draft for draft in drafts if draft.record.owner == owner]
    earlier.sort(key=lambda draft: draft.record.created)
    for draft in earlier[: max(0, len(earlier) + 1 - MOST_DRAFTS)]:
        draft.delete()
    record = _Record(
        owner=owner, name=body.name, learn=body.learn, rate=body.rate, created=time.time()
    )
    draft = Draft(home.drafts / uuid4().hex, record)
    home.make()
    draft.logs.mkdir(parents=True)
    publish_file(draft.folder / _RECORD, record.model_dump_json().encode())
    return draft


def open_draft(home: Home, draft: str, user: str) -> Draft:
    """Return a draft of a user.

    Raises:
        NotHere: There is none of this id, or it is of another user or too old.
    """
    stored = next((item for item in _all(home) if item.folder.name == draft), None)
    if stored is None or stored.record.owner != user:
        fix = "start another one; a draft is deleted after a day"
        raise NotHere(f"draft {draft[:8]}", "unknown", fix=fix)
    return stored


def _all(home: Home) -> list[Draft]:
    """Return the drafts of a home; delete those that are too old."""
    drafts = list[Draft]()
    for folder in home.drafts.glob("*"):
        file = folder / _RECORD
        if not file.is_file():  # being created, or being deleted
            continue
        draft = Draft(folder, _Record.model_validate_json(file.read_bytes()))
        if time.time() - draft.record.created > AGE:
            draft.delete()
        else:
            drafts.append(draft)
    return drafts


def _copy(source: Path, target: Path, room: int) -> None:
    size = source.stat().st_size
    if size > room:
        raise BadInput(f"log {source.name!r}", "does not fit into the draft", fix="name fewer logs")
    if problem := shortage(target.parent, size):
        raise KinemillError(target.parent, problem)
    with convert_disk_errors(target.parent):
        shutil.copyfile(source, target)


def _is_same(first: Path, second: Path) -> bool:
    return first.samefile(second) or file_digest(first) == file_digest(second)
