"""Which files in a drop folder are logs, and which of them are complete."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kinemill.errors import BadInput
from kinemill.ingest.looks import NOTHING, Entry, Familiar, Kept, Look, Sight, look_of, see
from kinemill.ingest.raw import Reader
from kinemill.spec import READERS, Task

HEAD = 4096  # bytes a reader sees to recognise its format
TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".swp", "~")


class Found(NamedTuple):
    """What lies in a folder.

    Attributes:
        logs: files that are new, or look different than when they were read.
        familiar: those that look the same, and their content hashes.
        sidecars: what describes logs beside them, new or different.
        told: side-cars that look the same.
        ignored: names of the rest.
    """

    logs: list[Sight]
    familiar: Familiar
    sidecars: list[Sight]
    told: list[Sight]
    ignored: list[str]


def nothing_found() -> Found:
    """Return what lies in an empty folder."""
    return Found([], Familiar("", {}), [], [], [])


def readers(task: Task) -> dict[str, Reader]:
    """Return the readers that the task admits, by format."""
    wanted = task.ingest.format
    return {name: READERS[name] for name in (READERS if wanted == "auto" else [wanted])}


def scan(task: Task, folder: Path, known: Kept | None = None) -> Found:
    """List the logs under `folder` that the task wants, and the names of files no reader claims.

    Hidden files and folders are in none. Pipes, links that lead out of the folder and names that
    programs give to half-written files are ignored. A path of one file is a log by any name.

    Args:
        task: says which files are logs.
        folder: searched recursively, each file looked at once.
        known: how wanted logs and side-cars looked when they were read, and their content hashes,
            by name; those that look the same are not asked about again.

    Raises:
        BadInput: there is no such folder or file.
    """
    if folder.is_file():
        only = see(str(folder.parent), folder.name)
        return nothing_found()._replace(logs=[only] if only else [])
    if not folder.is_dir():
        raise BadInput(folder, "is no folder and no file", fix="name a folder of logs")
    found, same, admitted, top = nothing_found(), dict[str, Entry](), readers(task), str(folder)
    for name, entry in _strangers(top, "", known or {}, same):
        _sort(task, folder, name, entry, admitted, found)
    told = [name for name, (_, hash_) in same.items() if hash_ == NOTHING]
    return found._replace(
        logs=sorted(found.logs),
        told=[Sight(top, name, *same.pop(name)[0]) for name in told],
        familiar=Familiar(top, same),
        ignored=sorted(found.ignored),
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
    leads_out = entry.is_symlink() and _leads_out(entry, folder)
    sight = None if leads_out else _seen(str(folder), name, entry)
    if sight is None or _is_temporary(entry.name):
        found.ignored.append(name)
    elif task.ingest.meta.is_sidecar(name):
        found.sidecars.append(sight)
    elif _claimed(entry, admitted):
        found.logs.extend([sight] if task.ingest.wants(name) else [])
    else:
        found.ignored.append(name)


def _seen(folder: str, name: str, entry: os.DirEntry[str]) -> Sight | None:
    try:
        return Sight(folder, name, *look_of(entry.stat())) if entry.is_file() else None
    except OSError:
        return None


def _leads_out(entry: os.DirEntry[str], folder: Path) -> bool:
    """Tell whether a link leads to what is not in the folder; nothing else is read from there."""
    return not Path(entry.path).resolve().is_relative_to(folder.resolve())


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
    if not entry.is_file():
        return False
    try:
        with Path(entry.path).open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return True  # to be told that it cannot be read
    return any(reader.recognises(head) for reader in ending)


def _strangers(
    folder: str, below: str, known: Kept, same: dict[str, Entry]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files under `folder` that are new or look different, with their names.

    Args:
        folder: searched recursively.
        below: what names begin with.
        known: how files looked, by name.
        same: gets those that look the same, of which there may be a hundred thousand.
    """
    try:
        entries = os.scandir(folder)
    except OSError:
        return  # a folder that is gone since it was listed, or is not ours to read
    with entries:
        for entry in entries:
            name = below + entry.name
            before = known.get(name)
            if before is not None and _look(entry) == before[0]:
                same[name] = before
            elif not entry.is_dir(follow_symlinks=False):
                yield name, entry
            elif not entry.name.startswith("."):
                yield from _strangers(entry.path, f"{name}/", known, same)


def _is_temporary(name: str) -> bool:
    return name.startswith("~") or name.lower().endswith(TEMPORARY)


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
        now = see(sight.folder, sight.name)
        if now is not None:
            (still if now == sight else moving).append(now)
    return still, moving
