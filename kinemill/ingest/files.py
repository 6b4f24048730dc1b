"""Scan a drop folder for logs, and wait for incomplete files."""

import os
import stat
import time
from collections.abc import Iterator, Set
from pathlib import Path
from typing import NamedTuple

from kinemill.errors import BadInput
from kinemill.ingest.file_stat import (
    NOTHING,
    CachedFiles,
    Entry,
    FileStat,
    StatKey,
    UnchangedFiles,
    is_file,
    is_folder,
    read_file_stat,
    real_path,
    stat_key,
    stat_of,
)
from kinemill.ingest.raw import Reader
from kinemill.store.home import Home
from kinemill.store.json_io import valid_text
from kinemill.task import READERS, Task

HEAD = 4096  # bytes from which a reader recognizes its format
TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".swp", "~")


class ScanResult(NamedTuple):
    """The content of a folder.

    Attributes:
        logs: files that are new or changed since they were read.
        unchanged: files with an equal stat, and their content hashes.
        sidecars: new or changed files that describe logs.
        known_sidecars: unchanged files that describe logs.
        ignored: reason by name for each of the rest.
    """

    logs: list[FileStat]
    unchanged: UnchangedFiles
    sidecars: list[FileStat]
    known_sidecars: list[FileStat]
    ignored: dict[str, str]


def empty_scan() -> ScanResult:
    """Return the content of an empty folder."""
    return ScanResult([], UnchangedFiles("", {}), [], [], {})


def readers(task: Task) -> dict[str, Reader]:
    """Return the readers that the task admits, by format."""
    name_or_auto = task.ingest.format
    return {name: READERS[name] for name in (READERS if name_or_auto == "auto" else [name_or_auto])}


def drop_folder(task: Task, home: Home) -> Path:
    """Return the drop folder of the task: `ingest.watch`, or `logs/<task>` in the home."""
    watch = task.ingest.watch
    return Path(watch).expanduser() if watch else home.logs(task.name)


def require_channels(task: Task) -> None:
    """Check that a task can read logs; one that learns in its environment needs no channels.

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


def scan(task: Task, folder: Path, cached: CachedFiles | None = None) -> ScanResult:
    """List the logs of the task under `folder`, and why every other file is ignored.

    Hidden files and folders are skipped. Ignored are pipes, links that are broken or lead out of
    the folder, temporary names of half-written files, and files that cannot be read: no file
    prevents the others from being listed. A path of one file is a log by any name.

    Args:
        task: defines which files are logs.
        folder: searched recursively, each file once.
        cached: stats and content hashes of logs and side-car files that were read, by name; files
            with an equal stat are not examined again.

    Raises:
        BadInput: there is no such folder or file.
    """
    if is_file(folder):
        only = read_file_stat(str(folder.parent), folder.name)
        return empty_scan()._replace(logs=[only] if only else [])
    if not is_folder(folder):
        raise BadInput(folder, "does not exist", fix="name a folder of logs")
    result, unchanged, admitted, top = empty_scan(), dict[str, Entry](), readers(task), str(folder)
    for name, entry in _changed_entries(top, cached or {}, unchanged, result.ignored):
        _classify(task, folder, name, entry, admitted, result)
    known_sidecars = [name for name, (_, hash_) in unchanged.items() if hash_ == NOTHING]
    return result._replace(
        logs=sorted(result.logs),
        known_sidecars=[FileStat(top, name, *unchanged.pop(name)[0]) for name in known_sidecars],
        unchanged=UnchangedFiles(top, unchanged),
        ignored=dict(sorted(result.ignored.items())),
    )


def scan_named(task: Task, folder: Path, cached: CachedFiles, names: Set[str]) -> list[FileStat]:
    """Return those of some files under `folder` that `scan` would list as logs, sorted.

    Args:
        task: defines which files are logs.
        folder: the folder.
        cached: stats and content hashes of files that were read, by name.
        names: names of files, relative to the folder; they need not exist.
    """
    result, admitted = empty_scan(), readers(task)
    for name in names:
        cached_entry, entry = cached.get(name), Path(folder, name)
        is_hidden = any(part.startswith(".") for part in name.split("/"))
        if is_hidden or stat_of(entry) is None or is_folder(entry):
            continue
        if cached_entry is None or _entry_key(entry) != cached_entry[0]:
            _classify(task, folder, name, entry, admitted, result)
    return sorted(result.logs)


def _entry_key(entry: os.DirEntry[str] | Path) -> StatKey | None:
    """Return the stat key of a directory entry; a file with a cached key is that regular file."""
    try:
        return stat_key(entry.stat())
    except OSError:
        return None


def _classify(
    task: Task,
    folder: Path,
    name: str,
    entry: os.DirEntry[str] | Path,
    admitted: dict[str, Reader],
    result: ScanResult,
) -> None:
    """Return the kind of a file that is new or changed."""
    if entry.name.startswith("."):
        return
    try:
        file_stat = _stat_entry(folder, name, entry)
    except OSError as error:
        result.ignored[valid_text(name)] = why_unread(error)
        return
    if isinstance(file_stat, str):
        result.ignored[valid_text(name)] = file_stat
    elif task.ingest.meta.is_sidecar(name):
        result.sidecars.append(file_stat)
    elif _has_log_suffix(entry, admitted):
        result.logs.extend([file_stat] if task.ingest.wants(file_stat.label) else [])
    else:
        result.ignored[file_stat.label] = "no log: no reader recognizes it"


def _stat_entry(folder: Path, name: str, entry: os.DirEntry[str] | Path) -> FileStat | str:
    """Return the stat of a file, or why it is ignored.

    Raises:
        OSError: it cannot be reached.
    """
    if is_temporary(entry.name):
        return "half-written, by its name"
    if entry.is_symlink() and _leads_out(entry, folder):
        return "a link out of the folder"
    status = entry.stat()
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    return FileStat(str(folder), name, *stat_key(status))


def why_unread(error: OSError) -> str:
    """Return in a few words why a file or folder cannot be read."""
    return f"cannot be read: {error.strerror or error}"


def _leads_out(entry: os.DirEntry[str] | Path, folder: Path) -> bool:
    """Return whether a link leads out of the folder; such files are not read."""
    return not real_path(Path(entry)).is_relative_to(real_path(folder))


def _has_log_suffix(entry: os.DirEntry[str] | Path, admitted: dict[str, Reader]) -> bool:
    """Return whether a file has the suffix of a log; of a shared suffix, the content decides."""
    name, path = entry.name.lower(), Path(entry)
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
        return True  # so that the error is reported
    return any(reader.recognizes(head) for reader in ending)


def _changed_entries(
    top: str, cached: CachedFiles, unchanged: dict[str, Entry], ignored: dict[str, str]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files below a folder that are new or changed, with their names.

    Folders are kept in a list instead of recursion: a tree may be deeper than Python's stack.

    Args:
        top: the folder, searched with all folders in it.
        cached: stats and hashes of files, by name.
        unchanged: receives the files with an equal stat, of which there may be a hundred thousand.
        ignored: receives the folders that cannot be listed, with reasons.
    """
    waiting = [(top, "")]
    while waiting:
        folder, below = waiting.pop()
        for entry in _entries(folder, below, ignored):
            name = below + entry.name
            cached_entry = cached.get(name)
            if cached_entry is not None and _entry_key(entry) == cached_entry[0]:
                unchanged[name] = cached_entry
            elif not _is_folder(entry):
                yield name, entry
            elif not entry.name.startswith("."):
                waiting.append((entry.path, f"{name}/"))


def _entries(folder: str, below: str, ignored: dict[str, str]) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder; note a folder that cannot be listed, and continue."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return  # deleted since it was listed
    except OSError as error:
        ignored[valid_text(below) or "."] = why_unread(error)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # `_stat_entry` raises and reports the same error


def is_temporary(name: str) -> bool:
    """Return whether a file is ignored because its name is one of half-written files."""
    return name.startswith("~") or name.lower().endswith(TEMPORARY)


def recognize(task: Task, path: Path) -> str:
    """Return the format of a file: by its content, else by its suffix, else the first format."""
    admitted = readers(task)
    with path.open("rb") as file:
        head = file.read(HEAD)
    by_content = (name for name, reader in admitted.items() if reader.recognizes(head))
    by_suffix = (
        name for name, reader in admitted.items() if path.name.lower().endswith(reader.suffixes)
    )
    return next(by_content, None) or next(by_suffix, None) or next(iter(admitted))


def wait_for_settled(
    file_stats: list[FileStat], min_file_age: float
) -> tuple[list[FileStat], list[FileStat]]:
    """Wait up to `min_file_age` s for recent files; return the stable and the changing ones.

    A file with an equal stat after the wait is stable; a deleted one is in neither list.
    """
    youngest = min((file_stat.age(time.time()) for file_stat in file_stats), default=min_file_age)
    if youngest >= min_file_age:
        return file_stats, []
    time.sleep(min_file_age - youngest)
    still, unstable = list[FileStat](), list[FileStat]()
    for file_stat in file_stats:
        now = read_file_stat(file_stat.folder, file_stat.name)
        if now is not None:
            (still if now == file_stat else unstable).append(now)
    return still, unstable
