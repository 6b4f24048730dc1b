"""Scan a drop folder for logs, and wait for incomplete files."""

import os
import stat
import time
from collections.abc import Generator, Iterable, Iterator, Sequence, Set
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from kinemill.errors import BadInput, join_first
from kinemill.ingest.file_stat import (
    FileStat,
    is_file,
    is_folder,
    pack_stat,
    read_file_stat,
    real_path,
    stat_key,
    stat_of,
)
from kinemill.ingest.raw import MAX_LISTED, Reader
from kinemill.ingest.readers import compressed
from kinemill.ingest.readers._lerobot_videos import SUFFIX, is_read_video
from kinemill.ingest.scan_cache import ScanCache, UnchangedFiles
from kinemill.ingest.unsupported_formats import format_by_suffix, unsupported_error
from kinemill.store.home import Home
from kinemill.store.json_io import valid_text
from kinemill.task import READERS, Task

HEAD = 4096  # bytes from which a reader recognizes its format
TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".swp", "~")


Stats = dict[bytes, bytes]  # packed, by name in one directory


class ScanResult(NamedTuple):
    """The content of a folder.

    Attributes:
        logs: files that are new or changed since they were read.
        unchanged: logs with an equal stat.
        sidecars: new or changed files that describe logs, or are videos of logs.
        stale: names of files that were read, and are changed or deleted.
        ignored: reason by name for each of the rest.
    """

    logs: list[FileStat]
    unchanged: UnchangedFiles
    sidecars: list[FileStat]
    stale: set[str]
    ignored: dict[str, str]

    @property
    def videos(self) -> list[FileStat]:
        """New or changed videos of logs."""
        return [sidecar for sidecar in self.sidecars if sidecar.name.lower().endswith(SUFFIX)]

    @property
    def new(self) -> list[FileStat]:
        """New or changed logs, and videos of logs."""
        return [*self.logs, *self.videos]

    def with_videos(self) -> list[FileStat]:
        """Return the new or changed logs, and those whose videos are new or changed, sorted."""
        return sorted({*self.logs, *self.logs_of(self.videos)})

    def logs_of(self, videos: Iterable[FileStat]) -> set[FileStat]:
        """Return the logs of the LeRobot data sets to which videos belong."""
        datasets = {f"/{video.name}".rpartition("/videos/")[0] for video in videos}
        below = tuple(f"{dataset}/data/".lstrip("/") for dataset in datasets)
        logs = (*self.logs, *(log for log, _ in self.unchanged.items())) if below else ()
        return {log for log in logs if log.name.startswith(below)}


def empty_scan() -> ScanResult:
    """Return the content of an empty folder."""
    return ScanResult([], UnchangedFiles(), [], set(), {})


def readers(task: Task) -> dict[str, Reader]:
    """Return the readers that the task admits, by format, that of `ingest.format` first."""
    form = task.ingest.format
    if form == "auto":
        return dict(READERS.items())
    return {form: READERS[form], compressed.FORMAT: compressed.of_format(form)}


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


def advice_on_path(path: Path) -> str:
    """Return what to do about a path of logs that does not exist."""
    if set(str(path)) & set("*?["):
        return "write the pattern without quotes, so that the shell expands it, or name the folder"
    return "name a log or a folder of logs; a path with spaces needs quotes"


def scan(task: Task, folder: Path, cache: ScanCache | None = None) -> ScanResult:
    """List the logs of the task under `folder`, and why every other file is ignored.

    Hidden files and folders are skipped. Ignored are pipes, links that are broken or lead out of
    the folder, temporary names of half-written files, and files that cannot be read: no file
    prevents the others from being listed. A path of one file is a log by any name. Files with an
    equal stat in `cache` are not examined again.

    Raises:
        BadInput: there is no such folder or file.
    """
    if is_file(folder):
        only = read_file_stat(str(folder.parent), folder.name)
        return empty_scan()._replace(logs=[only] if only else [])
    if not is_folder(folder):
        raise BadInput(folder, "does not exist", fix=advice_on_path(folder))
    result = empty_scan()
    admitted = readers(task)
    top = str(folder)
    with closing(_directories(cache)) as directories:
        read = _ReadBefore(directories, result.stale)
        for name in _changed_below(top, read, result):
            _classify(task, folder, name, folder / name, admitted, result)
    # Bytes, as in the scan: to decode a million names would take as long as to read the cache.
    suffixes = tuple(map(os.fsencode, (*task.ingest.meta.sidecar, SUFFIX)))
    count = sum(not name.lower().endswith(suffixes) for name in read.unchanged)
    fresh = {log.name for log in (*result.logs, *result.sidecars)}
    return result._replace(
        logs=sorted(result.logs),
        unchanged=UnchangedFiles(top, cache, result.stale | fresh, count),
        ignored=dict(sorted(result.ignored.items())),
    )


def require_logs(task: Task, folder: Path) -> None:
    """Check that a log, or a folder that the user names, holds a log of the task.

    Recordings of earlier ingests do not count: an export that wrote nothing is an error.

    Raises:
        BadInput: it holds none.
    """
    if is_file(folder):
        return
    result = empty_scan()
    admitted = readers(task)
    for name in _changed_below(str(folder), _ReadBefore(iter(()), set()), result):
        _classify(task, folder, name, folder / name, admitted, result)
        if result.logs:
            return
    raise no_logs(task, folder, [f"{name}: {why}" for name, why in sorted(result.ignored.items())])


def no_logs(task: Task, folder: Path, reasons: Sequence[str]) -> BadInput:
    """Return the error of a folder without logs, with the reasons of the files in it."""
    endings = dict.fromkeys(name for reader in readers(task).values() for name in reader.suffixes)
    listing = f": {join_first(reasons, MAX_LISTED, '; ')}" if reasons else ""
    return BadInput(
        folder,
        f"holds no complete log of the task {task.name!r}{listing}",
        expected=f"files with the suffix {', '.join(endings)} that match ingest.include: "
        f"{' '.join(task.ingest.include)}",
        fix="put logs there, or name a folder with --logs",
    )


def scan_named(task: Task, folder: Path, cache: ScanCache, names: Set[str]) -> list[FileStat]:
    """Return those of some files under `folder` that `scan` would list as logs, sorted.

    `names` are relative to the folder; the files need not exist. The logs of new or changed videos
    are listed as well.
    """
    result = empty_scan()
    admitted = readers(task)
    cached = cache.find(names)
    for name in names:
        cached_entry = cached.get(name)
        entry = Path(folder, name)
        is_hidden = any(part.startswith(".") for part in name.split("/"))
        if is_hidden or (status := stat_of(entry)) is None or is_folder(entry):
            continue
        if cached_entry is None or stat_key(status) != cached_entry[0]:
            _classify(task, folder, name, entry, admitted, result)
    cached_logs = UnchangedFiles(str(folder), cache, {log.name for log in result.logs})
    return result._replace(unchanged=cached_logs).with_videos()


def _packed_stat(entry: os.DirEntry[bytes]) -> bytes | None:
    """Return the packed stat of a directory entry, or None; equal to a cached one, it is a file."""
    try:
        status = entry.stat()
        return pack_stat(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    except OSError:
        return None


def _classify(
    task: Task,
    folder: Path,
    name: str,
    entry: Path,
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
    elif task.ingest.meta.is_sidecar(name) or is_read_video(task, entry):
        result.sidecars.append(file_stat)
    elif _has_log_suffix(entry, admitted, task.ingest.format):
        result.logs.extend([file_stat] if task.ingest.wants(file_stat.label) else [])
    else:
        what, fix = format_by_suffix(entry) or ("no reader recognizes it", "")
        result.ignored[file_stat.label] = f"no log: {what}{f', {fix}' if fix else ''}"


def why_ignored(task: Task, path: Path) -> str:
    """Return why ingestion would ignore a file of this name and content, or ""."""
    result = empty_scan()
    _classify(task, path.parent, path.name, path, readers(task), result)
    if result.logs or result.sidecars:
        return ""
    return next(iter(result.ignored.values()), "excluded by ingest.include or ingest.exclude")


def _stat_entry(folder: Path, name: str, entry: Path) -> FileStat | str:
    """Return the stat of a file, or why it is ignored.

    Raises:
        OSError: it cannot be reached.
    """
    if is_temporary(entry.name):
        return "half-written, by its name"
    # Files outside of the folder are not read.
    if entry.is_symlink() and not real_path(entry).is_relative_to(real_path(folder)):
        return "a link out of the folder"
    status = entry.stat()
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    return FileStat(str(folder), name, *stat_key(status))


def why_unread(error: OSError) -> str:
    """Return in a few words why a file or folder cannot be read."""
    return f"cannot be read: {error.strerror or error}"


def _has_log_suffix(path: Path, admitted: dict[str, Reader], form: str) -> bool:
    """Return whether a file has the suffix of a log; of a shared suffix, the content decides."""
    name = path.name.lower()
    # A DataFlash log in its text form has the suffix of text tables, whose reader may be excluded.
    ending = {
        log_form: reader
        for log_form, reader in {**READERS, **admitted}.items()
        if name.endswith(reader.suffixes) and not reader.describes(path)
    }
    if form in ending or any(
        log_form in admitted and not ending[log_form].shared for log_form in ending
    ):
        return True
    if not ending or not all(reader.shared for reader in ending.values()):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return True  # so that the error is reported
    return any(
        reader.recognizes(head)
        for reader in admitted.values()
        if reader.shared and not reader.describes(path)
    )


def _directories(cache: ScanCache | None) -> Generator[tuple[bytes, Stats]]:
    if cache:
        yield from cache.directories()


class _ReadBefore:
    """The stats of files that were read, directory by directory, in the order of a scan.

    Args:
        directories: from `ScanCache.directories`.
        stale: receives the names of the files that are changed or deleted.

    Attributes:
        unchanged: last parts of the names of files with an equal stat.
    """

    def __init__(self, directories: Iterator[tuple[bytes, Stats]], stale: set[str]) -> None:
        self._rest = directories
        self._stale = stale
        self._next = next(directories, None)
        self.unchanged = list[bytes]()

    def pop(self, directory: bytes | None) -> Stats:
        """Return the stats of a directory by name; those before it are deleted. None: the end."""
        while self._next and (directory is None or self._next[0] < directory):
            self.drop(*self._next)
            self._next = next(self._rest, None)
        if self._next is None or self._next[0] != directory:
            return {}
        stats = self._next[1]
        self._next = next(self._rest, None)
        return stats

    def drop(self, directory: bytes, names: Iterable[bytes]) -> None:
        """Note files that are changed or deleted."""
        self._stale.update(os.fsdecode(directory + name) for name in names)


def _changed_below(top: str, read: _ReadBefore, result: ScanResult) -> Iterator[str]:
    """Yield the names of the files below a folder, except those with an equal stat.

    Folders are visited in the order of their encoded names, as the scan cache yields them. They are
    kept in a list instead of recursion: a tree may be deeper than Python's stack. Names stay bytes
    as long as possible, because this loop passes a million unchanged files.
    """
    waiting = [(os.fsencode(top), b"")]
    unchanged = read.unchanged
    while waiting:
        folder, below = waiting.pop()
        folders = list[tuple[bytes, bytes]]()
        stats = read.pop(below)
        for entry in _entries(folder, below, result.ignored):
            key = entry.name
            if key in stats and _packed_stat(entry) == stats[key]:
                del stats[key]
                unchanged.append(key)
            elif not _is_folder(entry):
                yield os.fsdecode(below + key)
            elif not key.startswith(b"."):
                folders.append((entry.path, below + key + b"/"))
        read.drop(below, stats)
        waiting += sorted(folders, key=itemgetter(1), reverse=True)
    read.pop(None)


def _entries(folder: bytes, below: bytes, ignored: dict[str, str]) -> Iterator[os.DirEntry[bytes]]:
    """Yield the entries of a folder; note a folder that cannot be listed, and continue."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return  # deleted since it was listed
    except OSError as error:
        ignored[valid_text(os.fsdecode(below)) or "."] = why_unread(error)


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # `_stat_entry` raises and reports the same error


def is_temporary(name: str) -> bool:
    """Return whether a file is ignored because its name is one of half-written files."""
    return name.startswith("~") or name.lower().endswith(TEMPORARY)


def recognize(task: Task, path: Path) -> str:
    """Return the format of a file: by its content, else by its suffix, else the first format."""
    return _recognized(task, path) or next(iter(readers(task)))


def _recognized(task: Task, path: Path) -> str | None:
    admitted = readers(task)
    with path.open("rb") as file:
        head = file.read(HEAD)
    by_content = (name for name, reader in admitted.items() if reader.recognizes(head))
    by_suffix = (
        name for name, reader in admitted.items() if path.name.lower().endswith(reader.suffixes)
    )
    return next(by_content, None) or next(by_suffix, None)


def refuse_unsupported(task: Task, path: Path) -> None:
    """Refuse a file of a format that has no reader, such as an archive.

    Raises:
        BadLog: it is one.
    """
    if _recognized(task, path) is None and (error := unsupported_error(path)):
        raise error


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
    still = list[FileStat]()
    unstable = list[FileStat]()
    for file_stat in file_stats:
        now = read_file_stat(file_stat.folder, file_stat.name)
        if now is not None:
            (still if now == file_stat else unstable).append(now)
    return still, unstable
