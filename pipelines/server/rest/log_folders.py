"""Drop folders that requests may read: those of the tasks, and other folders of `logs/`.

A request names a folder by its name in this list, never by a path.
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from kinemill.errors import BadInput, KinemillError
from kinemill.ingest.files import drop_folder, is_temporary
from kinemill.registry import nearest
from kinemill.store.home import Home
from kinemill.store.locks import spell_time
from kinemill.task import list_tasks, load_task
from kinemill.task.web_overrides import within
from kinemill_dagster.pipelines.server.rest.bodies import LogChoice
from kinemill_dagster.pipelines.server.rest.documents import LogFile, LogFolder
from kinemill_dagster.pipelines.server.rest.service import NotHere

LISTED = 200  # files of a folder that are listed
_COUNTED = 10_000  # files of a folder that are counted


def log_folders(home: Home) -> dict[str, Path]:
    """Return the drop folders by name; that of a task is called after it."""
    top = home.root / "logs"
    folders = {path.name: path for path in _entries(top) if path.is_dir() and not path.is_symlink()}
    for name, path in list_tasks().items():
        try:
            folders[name] = drop_folder(load_task(path), home)
        except KinemillError:  # the list of tasks shows why the file is invalid
            folders.pop(name, None)
    return dict(sorted(folders.items()))


def describe_folder(name: str, folder: Path) -> LogFolder:
    """Return the first files of a folder, and the number of all."""
    paths = sorted(islice(_files(folder), _COUNTED))
    files = [describe_file(path, folder) for path in paths[:LISTED]]
    return LogFolder(folder=name, total=len(paths), files=files)


def describe_file(path: Path, folder: Path) -> LogFile:
    """Return name, size and date of a file."""
    status = path.stat()
    return LogFile(
        name=path.relative_to(folder).as_posix(),
        bytes=status.st_size,
        modified_at=spell_time(status.st_mtime),
    )


def resolve_choice(home: Home, choice: LogChoice) -> dict[str, Path]:
    """Return the files that a request names, by their names in the folder.

    Raises:
        NotHere: There is no such folder or file.
        BadInput: A name leads out of the folder.
    """
    folders = log_folders(home)
    if choice.folder not in folders:
        fix = nearest(choice.folder, list(folders))
        raise NotHere(f"log folder {choice.folder!r}", "unknown", fix=fix)
    folder = folders[choice.folder].resolve()
    paths = [within(folder, _plain(name)) for name in choice.names] or [folder]
    files: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise NotHere(f"log {path.name!r}", f"is not in the folder {choice.folder}")
        logs = [path] if path.is_file() else _files(path)
        files |= {each.relative_to(folder).as_posix(): each for each in islice(logs, _COUNTED)}
    if not files:
        raise BadInput(f"log folder {choice.folder!r}", "has no files", fix="upload logs")
    return files


def _plain(name: str) -> Path:
    """Return the path of a log below its folder.

    Raises:
        BadInput: It has a part that no log has, such as `..`.
    """
    path = Path(name)
    if path.is_absolute() or any(part.startswith((".", "~")) for part in path.parts):
        expected = "a name as GET /logs lists it"
        raise BadInput(f"log {name!r}", "is not the name of a log", expected=expected)
    return path


def _files(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder that are no links, hidden or half-written."""
    for path, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            each = Path(path, name)
            ignored = name.startswith(".") or is_temporary(name)
            if not ignored and each.is_file() and not each.is_symlink():
                yield each


def _entries(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if not path.name.startswith(".")]
