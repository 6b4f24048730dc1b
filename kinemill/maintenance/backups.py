"""Backups: a pool of files by SHA-256, and one small document per backup.

`objects/ab/abcd...` stores each file of all backups once; `backups/STAMP.json` lists the files with
path, size and time. A second backup copies new files only, and older ones stay complete. The
document is written last, so an interrupted backup is no backup.

Databases are copied first, by SQLite's online backup: everything that they refer to was published
before, so the later copy of the store includes it. `kinemill admin gc` waits during a backup.
"""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.failures import check_databases
from kinemill.maintenance.backup_pool import BACKUPS, FORMAT, Entry, Pool, is_pool
from kinemill.maintenance.sqlite_backup import belongs_to_database, copy_database, databases
from kinemill.store import MANIFEST, Home, Json, fault_point, publish_json, read_json
from kinemill.store.atomic_write import Move, settle
from kinemill.store.database import database
from kinemill.store.digests import copy, file_digest
from kinemill.store.disk_space import convert_disk_errors, shortage
from kinemill.store.locks import MAINTENANCE, file_timestamp, lock
from kinemill.task.protocols import Progress
from kinemill.tracking.database import has_versions, open_registry

# Caches, and files of processes of this machine.
_LEFT_OUT = {".locks", "backups", "alerts.yaml", "drafts"}
_LEFT_OUT_OF_STORE = {".staging", ".corrupt"}
_BATCH = 200  # files per flush to disk


def back_up(home: Home, to: Path, progress: Progress, *, link: bool = False) -> Json:
    """Back up a home while it is in use.

    Args:
        home: the home.
        to: folder outside of the home, new or with earlier backups.
        progress: receives messages.
        link: whether to hard-link immutable files on the same disk instead of copying them; this
            needs no space, and does not protect against a disk failure.

    Returns:
        The document of `kinemill admin backup`. It lists damaged artifacts and raw logs, which are
        omitted: the next run rebuilds them, or reports missing data.

    Raises:
        BadInput: The folder is in the home, or the home is empty.
        KinemillError: The registry is missing or damaged.
        CorruptArtifact: A database is damaged, or the disk returns different bytes.
    """
    _check(home, to)
    if has_versions(home):
        open_registry(home)
    with lock(home, "dagster"):
        check_databases(home)
    pool, damage = Pool(to, link), list[str]()
    with lock(home, MAINTENANCE, progress.log_message), convert_disk_errors(to), pool.open():
        stamp = file_timestamp()
        files = _everything(home, pool, progress, damage)
        added = dict(pool.added)
        pool.verify(files)
        fault_point("backup.verified")
        document = {
            "made": stamp,
            "home": home.root.name,
            "shared_database": database() is not None,
            "files": [list(entry) for entry in files],
        }
        publish_json(to / BACKUPS / f"{stamp}.json", FORMAT.stamp(document))
    return {
        "backup": str(to),
        "made": stamp,
        "files": len(files),
        "bytes": sum(entry.bytes for entry in files),
        "added": {"files": len(added), "bytes": sum(added.values())},
        "verified": True,
        "damaged": damage,
        "left_out": _left_out(),
    }


def _check(home: Home, to: Path) -> None:
    if not home.root.is_dir() or not any(home.root.iterdir()):
        raise BadInput(home.root, "is empty", fix="set KINEMILL_HOME to the home to back up")
    if to.resolve().is_relative_to(home.root.resolve()):
        raise BadInput(to, f"is inside the home {home.root}", fix="use a folder on another disk")
    if (to.exists() and not to.is_dir()) or (to.is_dir() and any(to.iterdir()) and not is_pool(to)):
        raise BadInput(to, "is not empty and has no backup", fix="use a new folder")
    if text := shortage(to):
        raise BadInput(to, text, fix="use a folder on a disk with free space")


def _left_out() -> list[str]:
    if database() is None:
        return ["alerts.yaml, which holds addresses"]
    return ["alerts.yaml, which holds addresses", "the shared database: pg_dump backs it up"]


def _everything(home: Home, pool: Pool, progress: Progress, damage: list[str]) -> list[Entry]:
    """Add all files of a home to the pool: databases, then changing files, then immutable ones."""
    files, copied = list[Entry](), set[Path]()
    with _audit_logs_held(home):  # a consistent state of MLflow's database and the audit logs
        files += _flush_in_batches(
            _copy_to_pool(home, pool, path) for path in _audit_logs(home, copied)
        )
        for path in databases(home):
            copied.add(path)
            if entry := _database(home, pool, path):
                files.append(entry)
    fault_point("backup.databases")
    files += _flush_in_batches(_changing(home, pool, copied))
    for entry in _flush_in_batches(_frozen(home, pool, damage)):
        files.append(entry)
        progress.advance("backup", len(files), len(files), entry.path)
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


def _database(home: Home, pool: Pool, path: Path) -> Entry | None:
    aside = pool.aside()
    try:
        looked = path.stat()
        copy_database(path, aside)
    except FileNotFoundError:
        return None  # the run was deleted in the meantime
    sha256 = file_digest(aside)
    entry = _entry(home, path, sha256, aside.stat().st_size, looked)
    if move := pool.take(aside, sha256):
        settle([move])
    return entry


def _entry(home: Home, path: Path, sha256: str, size: int, looked: os.stat_result) -> Entry:
    name = path.relative_to(home.root).as_posix()
    return Entry(name, sha256, size, looked.st_mode & 0o777, looked.st_mtime_ns)


_One = tuple[Entry, Move | None]
_Files = Iterator[_One]


def _flush_in_batches(files: _Files) -> Iterator[Entry]:
    """Yield entries, and flush their files to disk in batches."""
    moves, targets = list[Move](), set[Path]()
    for entry, move in files:
        if move and move.target in targets:  # twice in this batch
            move.aside.unlink()
        elif move:
            moves.append(move)
            targets.add(move.target)
        yield entry
        if len(moves) >= _BATCH:
            settle(moves)
            moves, targets = [], set()
    settle(moves)


def _changing(home: Home, pool: Pool, copied: set[Path]) -> _Files:
    """Add the files that can change during the backup, with the bytes as read."""
    for path in _walk(home):
        if (
            path in copied
            or path.is_relative_to(home.audit_logs)
            or belongs_to_database(path)
            or _is_frozen(home, path)
        ):
            continue
        with suppress(FileNotFoundError):  # deleted in the meantime, such as a replaced checkpoint
            yield _copy_to_pool(home, pool, path)


def _frozen(home: Home, pool: Pool, damage: list[str]) -> _Files:
    """Add artifacts and raw logs, which never change."""
    for manifest in sorted(home.store.glob(f"*/*/*/{MANIFEST}")):
        yield from _whole(
            home, damage, lambda manifest=manifest: _artifact_files(home, pool, manifest)
        )
    for path in sorted((home.store / "raw").glob("*/*")):
        if not path.name.startswith("."):
            digest = path.name.partition(".")[0]
            yield from _whole(
                home,
                damage,
                lambda path=path, digest=digest: [_add_to_pool(home, pool, path, digest)],
            )


def _whole(home: Home, damage: list[str], take: Callable[[], list[_One]]) -> _Files:
    """Yield all files of an artifact; record and omit a damaged one."""
    try:
        yield from take()
    except CorruptArtifact as error:
        damage.append(f"{Path(error.where).relative_to(home.root)} {error.problem}")


def _artifact_files(home: Home, pool: Pool, manifest: Path) -> list[_One]:
    folder, content = manifest.parent, read_json(manifest)
    try:
        listed = {name: about["sha256"] for name, about in content["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise _damage(manifest) from error
    files = [
        _add_to_pool(home, pool, folder / name, sha256) for name, sha256 in sorted(listed.items())
    ]
    return [*files, _copy_to_pool(home, pool, manifest)]


def _is_frozen(home: Home, path: Path) -> bool:
    parts = path.relative_to(home.root).parts
    if parts[0] != "store" or len(parts) < 4:
        return False
    return parts[1] == "raw" or (home.root.joinpath(*parts[:4]) / MANIFEST).is_file()


def _add_to_pool(home: Home, pool: Pool, path: Path, sha256: str) -> _One:
    """Add a file with a known digest; read it only if it is new."""
    try:
        looked = path.stat()
        if pool.has(sha256, looked.st_size):
            return _entry(home, path, sha256, looked.st_size, looked), None
        entry, move = (
            _link_to_pool(home, pool, path) if pool.link else _copy_to_pool(home, pool, path)
        )
    except FileNotFoundError as error:
        raise _damage(path) from error
    if entry.sha256 != sha256:
        raise _damage(path)
    return entry, move


def _damage(path: Path) -> CorruptArtifact:
    fix = "the next run rebuilds it; then back up again"
    return CorruptArtifact(path, "is missing, or its bytes have changed", fix=fix)


def _copy_to_pool(home: Home, pool: Pool, path: Path) -> _One:
    aside = pool.aside()
    try:
        with path.open("rb") as original:
            looked = os.fstat(original.fileno())
            sha256 = copy(original, aside)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    entry = _entry(home, path, sha256, aside.stat().st_size, looked)
    return entry, pool.take(aside, sha256)


def _link_to_pool(home: Home, pool: Pool, path: Path) -> _One:
    aside = pool.aside()
    try:
        aside.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:
        return _copy_to_pool(home, pool, path)  # links need the same disk
    looked, sha256 = path.stat(), file_digest(aside)
    return _entry(home, path, sha256, looked.st_size, looked), pool.take(aside, sha256)


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
