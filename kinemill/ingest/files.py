"""Scan a drop folder for logs, and wait for incomplete files."""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kinemill.errors import BadInput
from kinemill.ingest.file_stat import (
    NOTHING,
    Entry,
    Familiar,
    FileStat,
    Kept,
    Look,
    is_file,
    is_folder,
    look_of,
    real_path,
    see,
)
from kinemill.ingest.raw import Reader
from kinemill.store.home import Home
from kinemill.store.json_io import valid_text
from kinemill.task import READERS, Task

HEAD = 4096  # bytes a reader sees to recognize its format
TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".swp", "~")


class Found(NamedTuple):
    """What lies in a folder.

    Attributes:
        logs: files that are new, or look different than when they were read.
        familiar: those that look the same, and their content hashes.
        sidecars: what describes logs beside them, new or different.
        known_sidecars: side-cars that look the same.
        ignored: why each of the rest is left alone, by name.
    """

    logs: list[FileStat]
    familiar: Familiar
    sidecars: list[FileStat]
    known_sidecars: list[FileStat]
    ignored: dict[str, str]


def nothing_found() -> Found:
    """Return what lies in an empty folder."""
    return Found([], Familiar("", {}), [], [], {})


def readers(task: Task) -> dict[str, Reader]:
    """Return the readers that the task admits, by format."""
    wanted = task.ingest.format
    return {name: READERS[name] for name in (READERS if wanted == "auto" else [wanted])}


def drop_folder(task: Task, home: Home) -> Path:
    """Return the folder in which the task's logs are dropped; `ingest.watch` may name another."""
    watch = task.ingest.watch
    return Path(watch).expanduser() if watch else home.logs(task.name)


def require_channels(task: Task) -> None:
    """Check that a task can read logs at all; one that learns in its environment needs no channels.

    Raises:
        BadInput: the task declares no channels.
    """
    if not task.channels:
        raise BadInput(
            f"{task.path or task.name}: channels",
            "is missing, so no log can be read",
            expected="the columns of a log, each with its role and unit",
            fix="add channels; kinemill new NAME --from LOG drafts them",
        )


def scan(task: Task, folder: Path, known: Kept | None = None) -> Found:
    """List the logs under `folder` that the task wants, and why every other file is left alone.

    Hidden files and folders are in none. Pipes, links that lead out of the folder or nowhere, names
    that programs give to half-written files and what cannot be read are ignored: no file keeps the
    others from being listed. A path of one file is a log by any name.

    Args:
        task: says which files are logs.
        folder: searched recursively, each file looked at once.
        known: how wanted logs and side-cars looked when they were read, and their content hashes,
            by name; those that look the same are not asked about again.

    Raises:
        BadInput: there is no such folder or file.
    """
    if is_file(folder):
        only = see(str(folder.parent), folder.name)
        return nothing_found()._replace(logs=[only] if only else [])
    if not is_folder(folder):
        raise BadInput(folder, "is no folder and no file", fix="name a folder of logs")
    found, same, admitted, top = nothing_found(), dict[str, Entry](), readers(task), str(folder)
    for name, entry in _strangers(top, known or {}, same, found.ignored):
        _sort(task, folder, name, entry, admitted, found)
    known_sidecars = [name for name, (_, hash_) in same.items() if hash_ == NOTHING]
    return found._replace(
        logs=sorted(found.logs),
        known_sidecars=[FileStat(top, name, *same.pop(name)[0]) for name in known_sidecars],
        familiar=Familiar(top, same),
        ignored=dict(sorted(found.ignored.items())),
    )


def _look(entry: os.DirEntry[str]) -> Look | None:
    """Return how a file looks: whatever looks as a regular file did is that file."""
    try:
        return look_of(entry.stat())
    except OSError:
        return None


def _sort(
    task: Task,
    folder: Path,
    name: str,
    entry: os.DirEntry[str],
    admitted: dict[str, Reader],
    found: Found,
) -> None:
    """Say what a file is that is new, or looks different."""
    if entry.name.startswith("."):
        return
    try:
        sight = _seen(folder, name, entry)
    except OSError as error:
        found.ignored[valid_text(name)] = why_unread(error)
        return
    if isinstance(sight, str):
        found.ignored[valid_text(name)] = sight
    elif task.ingest.meta.is_sidecar(name):
        found.sidecars.append(sight)
    elif _claimed(entry, admitted):
        found.logs.extend([sight] if task.ingest.wants(sight.label) else [])
    else:
        found.ignored[sight.label] = "no log: no reader claims it"


def _seen(folder: Path, name: str, entry: os.DirEntry[str]) -> FileStat | str:
    """Return the stat of a file, or why it is left alone.

    Raises:
        OSError: it cannot be reached.
    """
    if _is_temporary(entry.name):
        return "half-written, by its name"
    if entry.is_symlink() and _leads_out(entry, folder):
        return "a link out of the folder"
    found = entry.stat()
    if not stat.S_ISREG(found.st_mode):
        return "no regular file"
    return FileStat(str(folder), name, *look_of(found))


def why_unread(error: OSError) -> str:
    """Return why a file or folder cannot be read, in a few words."""
    return f"cannot be read: {error.strerror or error}"


def _leads_out(entry: os.DirEntry[str], folder: Path) -> bool:
    """Tell whether a link leads to what is not in the folder; nothing else is read from there."""
    return not real_path(Path(entry.path)).is_relative_to(real_path(folder))


def _claimed(entry: os.DirEntry[str], admitted: dict[str, Reader]) -> bool:
    """Tell whether a file's ending is that of a log; a shared one is looked into."""
    name, path = entry.name.lower(), Path(entry.path)
    ending = [
        reader
        for reader in admitted.values()
        if name.endswith(reader.suffixes) and not reader.describes(path)
    ]
    if not ending or len(admitted) == 1 or not all(reader.shared for reader in ending):
        return bool(ending)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return True  # to be told that it cannot be read
    return any(reader.recognizes(head) for reader in ending)


def _strangers(
    top: str, known: Kept, same: dict[str, Entry], ignored: dict[str, str]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files below a folder that are new or look different, with their names.

    Folders are kept in a list instead of recursion: a tree may be deeper than Python's stack.

    Args:
        top: the folder, searched with all folders in it.
        known: how files looked, by name.
        same: gets those that look the same, of which there may be a hundred thousand.
        ignored: gets the folders that cannot be listed, and why.
    """
    waiting = [(top, "")]
    while waiting:
        folder, below = waiting.pop()
        for entry in _entries(folder, below, ignored):
            name = below + entry.name
            before = known.get(name)
            if before is not None and _look(entry) == before[0]:
                same[name] = before
            elif not _is_folder(entry):
                yield name, entry
            elif not entry.name.startswith("."):
                waiting.append((entry.path, f"{name}/"))


def _entries(folder: str, below: str, ignored: dict[str, str]) -> Iterator[os.DirEntry[str]]:
    """Yield what a folder holds; one that cannot be listed is noted, and the others go on."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return  # it is gone since it was listed
    except OSError as error:
        ignored[valid_text(below) or "."] = why_unread(error)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # `_seen` meets the same error, and says so


def _is_temporary(name: str) -> bool:
    return name.startswith("~") or name.lower().endswith(TEMPORARY)


def recognize(task: Task, path: Path) -> str:
    """Return the format of a file: by its content, else by its ending, else the first there is."""
    admitted = readers(task)
    with path.open("rb") as file:
        head = file.read(HEAD)
    by_content = (name for name, reader in admitted.items() if reader.recognizes(head))
    by_suffix = (
        name for name, reader in admitted.items() if path.name.lower().endswith(reader.suffixes)
    )
    return next(by_content, None) or next(by_suffix, None) or next(iter(admitted))


def wait_for_settled(
    sights: list[FileStat], settle: float
) -> tuple[list[FileStat], list[FileStat]]:
    """Wait, at most `settle` s, for files that changed lately; return the still and the moving.

    A file that looks the same after the wait is still; one that is gone is in neither list.
    """
    youngest = min((sight.age(time.time()) for sight in sights), default=settle)
    if youngest >= settle:
        return sights, []
    time.sleep(settle - youngest)
    still, moving = list[FileStat](), list[FileStat]()
    for sight in sights:
        now = see(sight.folder, sight.name)
        if now is not None:
            (still if now == sight else moving).append(now)
    return still, moving
