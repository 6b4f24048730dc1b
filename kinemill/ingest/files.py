"""Which files in a drop folder are logs, and which of them are complete."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.ingest.raw import Reader
from kinemill.spec import READERS, Task
from kinemill.store import digest, file_digest

HEAD = 4096  # bytes a reader sees to recognise its format
TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".swp", "~")


@dataclass(frozen=True)
class Sight:
    """One file as it was seen: what tells a changed file from an unchanged one."""

    path: Path
    name: str  # relative to the folder it was found in, with forward slashes
    size: int
    mtime_ns: int
    inode: int

    def age(self, now: float) -> float:
        """Return the distance, in s, of the last change from `now`.

        A stamp in the future, of a robot whose clock is off, ages like one in the past.
        """
        return abs(now - self.mtime_ns / 1e9)


def see(path: Path, name: str) -> Sight | None:
    """Look at a file; None if it is gone or no regular file."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not path.is_file():
        return None
    return Sight(path, name, found.st_size, found.st_mtime_ns, found.st_ino)


def readers(task: Task) -> dict[str, Reader]:
    """Return the readers that the task admits, by format."""
    wanted = task.ingest.format
    return {name: READERS[name] for name in (READERS if wanted == "auto" else [wanted])}


def scan(task: Task, folder: Path) -> tuple[list[Sight], list[str]]:
    """List the logs under `folder` that the task wants, and the names of files no reader claims.

    Hidden files and folders, and names that programs give to half-written files, are in neither;
    links that lead out of the folder are among the second.
    A path of one file is a log whatever its ending.

    Raises:
        BadInput: there is no such folder or file.
    """
    if folder.is_file():
        only = see(folder, folder.name)
        return ([only] if only else []), []
    if not folder.is_dir():
        raise BadInput(folder, "is no folder and no file", fix="name a folder of logs")
    logs, ignored, admitted = list[Sight](), list[str](), readers(task)
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if _leads_out(path, folder) or not _claimed(path, admitted):
            ignored.append(name)
        elif task.ingest.wants(name) and (sight := see(path, name)):
            logs.append(sight)
    return logs, ignored


def _leads_out(path: Path, folder: Path) -> bool:
    """Tell whether a link leads to what is not in the folder; nothing else is read from there."""
    return path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())


def _claimed(path: Path, admitted: dict[str, Reader]) -> bool:
    """Tell whether a file's ending is that of a log; a shared one is looked into."""
    name = path.name.lower()
    ending = [reader for reader in admitted.values() if name.endswith(reader.suffixes)]
    if not ending or len(admitted) == 1 or not all(reader.shared for reader in ending):
        return bool(ending)
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return True  # to be told that it cannot be read
    return any(reader.recognises(head) for reader in ending)


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(root) / name
            for name in names
            if not name.startswith((".", "~")) and not name.lower().endswith(TEMPORARY)
        ]
    return sorted(found)


def recognise(task: Task, path: Path) -> str:
    """Return the format of a file: by its content, else by its ending, else the first there is."""
    admitted = readers(task)
    with path.open("rb") as file:
        head = file.read(HEAD)
    by_content = (name for name, reader in admitted.items() if reader.recognises(head))
    by_suffix = (
        name for name, reader in admitted.items() if path.name.lower().endswith(reader.suffixes)
    )
    return next(by_content, None) or next(by_suffix, None) or next(iter(admitted))


def settled(task: Task, folder: Path, now: float) -> list[Path]:
    """Return the logs under `folder` that have not changed for `ingest.settle` seconds at `now`.

    Args:
        task: says which files are logs.
        folder: a drop folder; one that does not exist holds nothing.
        now: s since the epoch.
    """
    return [sight.path for sight in _settled(task, folder, now)]


def _settled(task: Task, folder: Path, now: float) -> list[Sight]:
    if not folder.exists():
        return []
    return [sight for sight in scan(task, folder)[0] if sight.age(now) >= task.ingest.settle]


def fingerprint(task: Task, folder: Path, now: float | None = None) -> str:
    """Return a digest of the set of contents that lie settled under `folder`.

    A rename, a copy or a touched file leaves it as it is. Each file is read once as long as this
    process lives and the file's size, time and inode stay the same.
    """
    contents: set[str] = set()
    for sight in _settled(task, folder, time.time() if now is None else now):
        # A file that is gone since it was seen, or not ours to read, is as good as not there.
        with suppress(OSError):
            contents.add(_content(sight))
    return digest(sorted(contents))


@lru_cache(maxsize=100_000)
def _content(sight: Sight) -> str:
    return file_digest(sight.path)


def wait_for_settled(sights: list[Sight], settle: float) -> tuple[list[Sight], list[Sight]]:
    """Wait, at most `settle` s, for files that changed lately; return the still and the moving.

    A file that looks the same after the wait is still; one that is gone is in neither list.
    """
    youngest = min((sight.age(time.time()) for sight in sights), default=settle)
    if youngest >= settle:
        return sights, []
    time.sleep(settle - youngest)
    still, moving = list[Sight](), list[Sight]()
    for sight in sights:
        now = see(sight.path, sight.name)
        if now is not None:
            (still if now == sight else moving).append(now)
    return still, moving
