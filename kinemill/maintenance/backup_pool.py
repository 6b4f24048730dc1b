"""Backup pool: files by SHA-256, each stored once, and the file list of each backup."""

import fcntl
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import uuid4

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store import Format, file_digest, read_json
from kinemill.store.atomic_write import Move
from kinemill.store.home import is_inner_path

FORMAT = Format("backup", 1)
OBJECTS, BACKUPS = "objects", "backups"
_ASIDES = ".aside-*"


class Entry(NamedTuple):
    """A file of a backup: its path in the home, its digest, and its stat."""

    path: str
    sha256: str
    bytes: int
    mode: int
    mtime_ns: int


@dataclass
class Pool:
    """The files of all backups in a folder, and those added by this backup."""

    folder: Path
    link: bool
    added: dict[str, int] = field(default_factory=dict[str, int])  # sizes, by sha256

    @contextmanager
    def open(self) -> Generator[None]:
        """Lock the pool while a backup is written; delete incomplete files of dead backups.

        Backups share the lock. Only a backup with the exclusive lock deletes incomplete files, so
        none that another backup writes. A dead process holds no lock.
        """
        objects = self.folder / OBJECTS
        objects.mkdir(parents=True, exist_ok=True)
        with (objects / ".lock").open("a") as file:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for leftover in [*objects.glob(_ASIDES), *(self.folder / BACKUPS).glob(_ASIDES)]:
                    leftover.unlink()
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def object_path(self, sha256: str) -> Path:
        """Return the path of the file with this SHA-256."""
        return self.folder / OBJECTS / sha256[:2] / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Return whether the pool has the file with this size."""
        path = self.object_path(sha256)
        return path.is_file() and path.stat().st_size == size

    def aside(self) -> Path:
        """Return the temporary path for a new file."""
        path = self.folder / OBJECTS / f".aside-{uuid4().hex}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def take(self, aside: Path, sha256: str) -> Move | None:
        """Return the move that adds a file; if the pool has it, delete it and return None."""
        size = aside.stat().st_size
        if self.has(sha256, size):
            aside.unlink()
            return None
        self.added[sha256] = size
        path = self.object_path(sha256)
        path.unlink(missing_ok=True)  # a different size is damage
        path.parent.mkdir(parents=True, exist_ok=True)
        return Move(aside, path)

    def verify(self, files: Iterable[Entry]) -> None:
        """Read the files of this backup again; of older files, check the size.

        Raises:
            CorruptArtifact: The disk returns different bytes.
        """
        for entry in files:
            whole = self.has(entry.sha256, entry.bytes)
            if whole and entry.sha256 in self.added:
                whole = file_digest(self.object_path(entry.sha256)) == entry.sha256
                del self.added[entry.sha256]
            if not whole:
                raise damaged(self.object_path(entry.sha256), entry.path)


def is_pool(folder: Path) -> bool:
    """Return whether a folder holds backups, or an interrupted one."""
    return (folder / BACKUPS).is_dir() or (folder / OBJECTS).is_dir()


def damaged(stored: Path, path: str) -> CorruptArtifact:
    """Return the error for a file of a backup whose bytes have changed."""
    return CorruptArtifact(
        stored,
        f"is missing, or its bytes have changed; it contains {path}",
        fix="use an earlier backup: kinemill admin restore FOLDER --at WHEN",
    )


def open_backup(folder: Path, at: str | None = None) -> tuple[str, list[Entry]]:
    """Return the time of a backup, and its files.

    `at` is a prefix of the backup's time; default: the last backup.

    Raises:
        BadInput: No backup matches.
        CorruptArtifact: Its document is damaged, or of another format.
    """
    made = sorted(path.stem for path in (folder / BACKUPS).glob("*.json"))
    matches = [stamp for stamp in made if stamp.startswith(at or "")]
    if not matches or (at and len(matches) > 1):
        there = ", ".join(made[-5:]) or "none"
        raise BadInput(
            folder, f"has {len(matches)} backups of {at or 'any time'}; there are {there}"
        )
    path = folder / BACKUPS / f"{matches[-1]}.json"
    document = FORMAT.open(path, read_json(path))
    return document["made"], [_entry(path, line) for line in document["files"]]


def _entry(document: Path, line: object) -> Entry:
    """Return an entry of a backup, checked: files are read and written by its fields.

    Raises:
        CorruptArtifact: A path leaves the home, or a field is not that of a file.
    """
    if isinstance(line, list) and [type(value) for value in line] == [str, str, int, int, int]:
        entry = Entry(*cast(list[Any], line))
        if is_inner_path(entry.path) and re.fullmatch("[0-9a-f]{64}", entry.sha256):
            return entry._replace(mode=entry.mode & 0o777)
    expected = "path in the home, sha256, bytes, mode and time"
    raise CorruptArtifact(document, f"lists {line!r:.200}", expected=expected)
