"""Backup: a folder with the files of a home, from which `kinemill admin restore` restores it.

`objects/ab/abcd...` stores each file by its SHA-256, so a second backup copies new files only.
`backup.json` lists the files of the home with path, size and time. It is replaced last: an
interrupted backup leaves the previous one as it was. Files that it does not list are then deleted.

Databases are copied first, by SQLite's online backup: everything that they refer to was published
before, so the later copy of the store includes it. `kinemill admin gc` waits during a backup.
"""

import os
import re
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.failures import check_databases
from kinemill.store import MANIFEST, Format, Home, Json, fault_point, publish_json, read_json
from kinemill.store.atomic_write import Move, settle
from kinemill.store.database import database
from kinemill.store.digests import copy, file_digest
from kinemill.store.disk_space import convert_disk_errors, shortage
from kinemill.store.home import is_inner_path
from kinemill.store.locks import MAINTENANCE, file_timestamp, lock
from kinemill.task.protocols import Progress
from kinemill.tracking.database import has_versions, open_registry

_MAGIC = b"SQLite format 3\x00"
_SIDE_FILES = ("-wal", "-shm", "-journal")  # files of SQLite next to a database
_PAGES = 1000  # pages per step; writers continue in between
_WAIT = 60.0  # s for a lock
FORMAT = Format("backup", 1)
OBJECTS = "objects"
FILE = "backup.json"
_ASIDES = ".aside-*"
_SHA256 = re.compile("[0-9a-f]{64}")
# Caches, and files of processes of this machine.
_LEFT_OUT = {".locks", "backups", "alerts.yaml", "drafts"}
_LEFT_OUT_OF_STORE = {".staging", ".corrupt"}
_BATCH = 200  # files per flush to disk


class Entry(NamedTuple):
    """A file of a backup: its path in the home, its digest, and its stat."""

    path: str
    sha256: str
    bytes: int
    mode: int
    mtime_ns: int


def object_path(folder: Path, sha256: str) -> Path:
    """Return the path of the file with this SHA-256 in a backup."""
    return folder / OBJECTS / sha256[:2] / sha256


def damaged(stored: Path, path: str) -> CorruptArtifact:
    """Return the error for a file of a backup whose bytes have changed."""
    return CorruptArtifact(
        stored,
        f"is missing, or its bytes have changed; it contains {path}",
        fix="use an earlier copy of the backup folder",
    )


def open_backup(folder: Path) -> tuple[str, list[Entry]]:
    """Return the time of a backup, and its files.

    Raises:
        BadInput: The folder has no complete backup.
        CorruptArtifact: Its document is damaged, or of another format.
    """
    path = folder / FILE
    if not path.is_file():
        raise BadInput(folder, f"has no {FILE}", expected="a folder of kinemill admin backup")
    document = FORMAT.open(path, read_json(path))
    return document["made"], [_checked(path, line) for line in document["files"]]


def _checked(document: Path, line: object) -> Entry:
    """Return an entry of a backup, checked: files are read and written by its fields.

    Raises:
        CorruptArtifact: A path leaves the home, or a field is not that of a file.
    """
    if isinstance(line, list) and [type(value) for value in line] == [str, str, int, int, int]:
        entry = Entry(*line)
        if is_inner_path(entry.path) and _SHA256.fullmatch(entry.sha256):
            return entry._replace(mode=entry.mode & 0o777)
    expected = "path in the home, sha256, bytes, mode and time"
    raise CorruptArtifact(document, f"lists {line!r:.200}", expected=expected)


def back_up(home: Home, to: Path, progress: Progress) -> Json:
    """Back up a home while it is in use.

    Args:
        home: the home.
        to: folder outside of the home, new or with an earlier backup of this home.
        progress: receives messages.

    Returns:
        The document of `kinemill admin backup`. It lists damaged artifacts and raw logs, which are
        omitted: the next run rebuilds them, or reports missing data.

    Raises:
        BadInput: The folder is in the home or has the backup of another one, or the home is empty.
        KinemillError: The registry is missing or damaged.
        CorruptArtifact: A database is damaged.
    """
    _check(home, to)
    if has_versions(home):
        open_registry(home)
    with lock(home, "dagster"):
        check_databases(home)
    writer = _Writer(home, to)
    with lock(home, MAINTENANCE, progress.log_message), convert_disk_errors(to):
        (to / OBJECTS).mkdir(parents=True, exist_ok=True)
        for leftover in (to / OBJECTS).glob(_ASIDES):
            leftover.unlink()
        stamp = file_timestamp()
        files = _copy_all(writer, progress)
        fault_point("backup.copied")
        document = {
            "made": stamp,
            "shared_database": database() is not None,
            "files": [list(entry) for entry in files],
        }
        publish_json(to / FILE, FORMAT.stamp(document))
        fault_point("backup.listed")
        _prune(to, {entry.sha256 for entry in files})
    return {
        "backup": str(to),
        "made": stamp,
        "files": len(files),
        "bytes": sum(entry.bytes for entry in files),
        "added": {"files": len(writer.added), "bytes": sum(writer.added.values())},
        "damaged": writer.damage,
        "left_out": _left_out(),
    }


def _check(home: Home, to: Path) -> None:
    if not home.root.is_dir() or not any(home.root.iterdir()):
        raise BadInput(home.root, "is empty", fix="set KINEMILL_HOME to the home to back up")
    if to.resolve().is_relative_to(home.root.resolve()):
        raise BadInput(to, f"is inside the home {home.root}", fix="use a folder on another disk")
    if (to / FILE).is_file():
        stored = [entry.path for entry in open_backup(to)[1] if entry.path.startswith("store/")]
        if stored and not any((home.root / path).exists() for path in stored):
            problem = f"has a backup of another home: nothing of it is in {home.root}"
            raise BadInput(to, problem, fix="use a new folder")
    elif to.exists() and (not to.is_dir() or {path.name for path in to.iterdir()} - {OBJECTS}):
        raise BadInput(to, "is not empty and has no backup", fix="use a new folder")
    if text := shortage(to):
        raise BadInput(to, text, fix="use a folder on a disk with free space")


def _left_out() -> list[str]:
    if database() is None:
        return ["alerts.yaml, which holds addresses"]
    return ["alerts.yaml, which holds addresses", "the shared database: pg_dump backs it up"]


def _prune(folder: Path, listed: set[str]) -> None:
    """Delete the files of earlier backups that are not listed any more."""
    for path in (folder / OBJECTS).glob("[0-9a-f][0-9a-f]/*"):
        if _SHA256.fullmatch(path.name) and path.name not in listed:
            path.unlink()


@dataclass
class _Writer:
    """The files that a backup adds to its folder, and the damage that it finds."""

    home: Home
    folder: Path
    added: dict[str, int] = field(default_factory=dict[str, int])  # sizes, by sha256
    damage: list[str] = field(default_factory=list[str])
    _moves: list[Move] = field(default_factory=list[Move])

    def copy(self, path: Path) -> Entry:
        """Copy a file, with the bytes as read, unless the backup has them."""
        aside = self._aside()
        with path.open("rb") as original:
            looked = os.fstat(original.fileno())
            sha256 = copy(original, aside)
        return self._take(path, aside, sha256, looked)

    def copy_known(self, path: Path, sha256: str) -> Entry:
        """Copy a file with a known digest; read it only if it is new.

        Raises:
            CorruptArtifact: It is missing, or has another digest.
        """
        try:
            looked = path.stat()
            if self._has(sha256, looked.st_size):
                return self._entry(path, sha256, looked.st_size, looked)
            entry = self.copy(path)
        except FileNotFoundError as error:
            raise _damage(path) from error
        if entry.sha256 != sha256:
            raise _damage(path)
        return entry

    def copy_database(self, path: Path) -> Entry:
        """Copy a consistent state of a database."""
        aside = self._aside()
        looked = path.stat()
        copy_database(path, aside)
        return self._take(path, aside, file_digest(aside), looked)

    def flush(self) -> None:
        """Flush the copied files to disk, and give them their names."""
        settle(self._moves)
        self._moves.clear()

    def _aside(self) -> Path:
        return self.folder / OBJECTS / f".aside-{uuid4().hex}"

    def _has(self, sha256: str, size: int) -> bool:
        path = object_path(self.folder, sha256)
        # A file of another size is damaged, and is replaced.
        return sha256 in self.added or (path.is_file() and path.stat().st_size == size)

    def _take(self, path: Path, aside: Path, sha256: str, looked: os.stat_result) -> Entry:
        size = aside.stat().st_size
        if self._has(sha256, size):
            aside.unlink()
        else:
            self.added[sha256] = size
            self._moves.append(Move(aside, object_path(self.folder, sha256)))
        if len(self._moves) >= _BATCH:
            self.flush()
        return self._entry(path, sha256, size, looked)

    def _entry(self, path: Path, sha256: str, size: int, looked: os.stat_result) -> Entry:
        name = path.relative_to(self.home.root).as_posix()
        return Entry(name, sha256, size, looked.st_mode & 0o777, looked.st_mtime_ns)


def _copy_all(writer: _Writer, progress: Progress) -> list[Entry]:
    """Copy all files of a home: databases, then changing files, then immutable ones."""
    home = writer.home
    files = list[Entry]()
    copied = set[Path]()
    with _audit_logs_held(home):  # a consistent state of MLflow's database and the audit logs
        files += [writer.copy(path) for path in _audit_logs(home, copied)]
        for path in databases(home):
            copied.add(path)
            with suppress(FileNotFoundError):  # the run was deleted in the meantime
                files.append(writer.copy_database(path))
    fault_point("backup.databases")
    for entry in chain(_changing(writer, copied), _frozen(writer)):
        files.append(entry)
        progress.advance("backup", len(files), len(files), entry.path)
    writer.flush()
    return sorted(files)


@contextmanager
def _audit_logs_held(home: Home) -> Generator[None]:
    """Hold the locks of all audit logs, so that a backup contains whole decisions only."""
    with ExitStack() as locks:
        for folder in sorted(home.audit_logs.glob("*")):
            locks.enter_context(lock(home, f"audit-{folder.name}"))
        yield


def _audit_logs(home: Home, copied: set[Path]) -> list[Path]:
    """Return the files of the logs, marked as copied; later ones belong to the next backup."""
    logs = [path for path in _walk(home) if path.is_relative_to(home.audit_logs)]
    copied.update(logs)
    return logs


def _changing(writer: _Writer, copied: set[Path]) -> Iterator[Entry]:
    """Copy the files that can change during the backup, with the bytes as read."""
    home = writer.home
    for path in _walk(home):
        if (
            path in copied
            or path.is_relative_to(home.audit_logs)
            or belongs_to_database(path)
            or _is_frozen(home, path)
        ):
            continue
        with suppress(FileNotFoundError):  # deleted in the meantime, such as a replaced checkpoint
            yield writer.copy(path)


def _frozen(writer: _Writer) -> Iterator[Entry]:
    """Copy artifacts and raw logs, which never change; record and omit damaged ones."""
    home = writer.home
    units: list[Path] = sorted(home.store.glob(f"*/*/*/{MANIFEST}"))
    units += sorted(path for path in (home.store / "raw").glob("*/*") if path.name[0] != ".")
    for path in units:
        try:
            yield from (
                _artifact_files(writer, path)
                if path.name == MANIFEST
                else [writer.copy_known(path, path.name.partition(".")[0])]
            )
        except CorruptArtifact as error:
            writer.damage.append(f"{Path(error.where).relative_to(home.root)} {error.problem}")


def _artifact_files(writer: _Writer, manifest: Path) -> list[Entry]:
    content = read_json(manifest)
    try:
        listed = {name: about["sha256"] for name, about in content["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise _damage(manifest) from error
    files = [
        writer.copy_known(manifest.parent / name, sha256) for name, sha256 in sorted(listed.items())
    ]
    return [*files, writer.copy(manifest)]


def _is_frozen(home: Home, path: Path) -> bool:
    parts = path.relative_to(home.root).parts
    if parts[0] != "store" or len(parts) < 4:
        return False
    return parts[1] == "raw" or (home.root.joinpath(*parts[:4]) / MANIFEST).is_file()


def _damage(path: Path) -> CorruptArtifact:
    fix = "the next run rebuilds it; then back up again"
    return CorruptArtifact(path, "is missing, or its bytes have changed", fix=fix)


def _walk(home: Home) -> Iterator[Path]:
    """Yield the files of a home, except temporary and excluded ones."""
    for folder, below, names in os.walk(home.root):
        here = Path(folder)
        out = _LEFT_OUT if here == home.root else set[str]()
        out = _LEFT_OUT_OF_STORE if here == home.store else out
        out = {"servers"} if here == home.dagster else out  # logs of processes, and a token
        below[:] = sorted(name for name in below if name not in out and not _is_aside(name))
        for name in sorted(names):
            path = here / name
            if name not in out and not _is_aside(name) and not path.is_symlink():
                yield path


def _is_aside(name: str) -> bool:
    return name.startswith((".aside-", ".mlflow-", ".restored-", ".replaced-"))


def databases(home: Home) -> Iterator[Path]:
    """Yield MLflow's and Dagster's databases of a home, its catalog, and studies of searches."""
    yield from (path for path in (home.mlflow_db, home.catalog_db) if path.is_file())
    for folder in (home.dagster, home.root / "tune"):
        yield from (path for path in sorted(folder.rglob("*.db")) if is_database(path))


def is_database(path: Path) -> bool:
    """Return whether a file is an SQLite database."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def belongs_to_database(path: Path) -> bool:
    """Return whether a file is an auxiliary file of SQLite, which copies do not need."""
    return path.name.endswith(_SIDE_FILES)


def copy_database(source: Path, to: Path) -> None:
    """Copy a consistent state of a database by SQLite's online backup.

    Raises:
        CorruptArtifact: It is damaged; `to` is then not created.
    """
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=_WAIT)) as here,
            closing(sqlite3.connect(to)) as there,
        ):
            here.backup(there, pages=_PAGES)
            there.execute("PRAGMA journal_mode=DELETE")
            (result,) = there.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        to.unlink(missing_ok=True)
        raise CorruptArtifact(source, f"is not a complete database ({error})") from error
    if result != "ok":
        to.unlink(missing_ok=True)
        raise CorruptArtifact(source, f"is damaged: {result}", fix="restore it from a backup")
