"""Synchronization of the store and checkpoints of a home with the remote store.

An artifact is uploaded before it gets its local path, so every local artifact is also available
remotely. The manifest is uploaded last: a partial upload stays invisible, and the next upload
overwrites it. An artifact of another machine is downloaded on demand and checked against its
digests. Caches, pending and damaged files stay local.

Without `KINEMILL_REMOTE` these functions do nothing.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from kinemill.errors import CorruptArtifact, Unreachable
from kinemill.store.atomic_write import Move, settle
from kinemill.store.digests import file_digest
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home, is_inner_path
from kinemill.store.object_store import Remote, remote
from kinemill.store.staging import staging_path

LAST = "MANIFEST.json"  # uploaded last: it marks a folder as complete
_OWN = {"index", "pending"}  # local folders of `store/`: caches and pending work
_THREADS = 16  # concurrent requests; each waits for the network

T = TypeVar("T")
R = TypeVar("R")
_log = logging.getLogger(__name__)


def send(home: Home, moves: Sequence[Move]) -> None:
    """Upload staged files and folders before they are published locally.

    If another machine published a folder first, its folder is downloaded instead.

    Raises:
        Unreachable: The upload failed; no partial artifact is visible.
    """
    store = remote()
    if store is None:
        return
    uploads = [(move.aside, key) for move in moves if (key := _key(home, move.target))]
    folders = [(aside, key) for aside, key in uploads if aside.is_dir()]
    theirs = _all(lambda item: bring(home, home.root / item[1]), folders)
    ours = [item for item, is_remote in zip(folders, theirs, strict=True) if not is_remote]
    files = [item for item in uploads if not item[0].is_dir()]
    inner = [(file, f"{key}/{name}") for aside, key in ours for file, name in _files_within(aside)]
    _put_all(store, [*files, *inner])
    fault_point("remote.data")
    _put_all(store, [(aside / LAST, f"{key}/{LAST}") for aside, key in ours])
    fault_point("remote.sent")


def bring(home: Home, folder: Path) -> bool:
    """Download a missing published folder atomically; return whether it exists.

    Raises:
        Unreachable: The object store did not respond.
    """
    store = remote()
    key = _key(home, folder)
    if folder.exists() or store is None or not key:
        return folder.exists()
    aside = staging_path(home, "fetched")
    aside.mkdir()
    try:
        if not store.get(f"{key}/{LAST}", aside / LAST):
            return False
        listed = _manifest_files(aside / LAST)
        if listed is None or not all(
            _all(lambda item: _fetch(store, f"{key}/{item[0]}", aside / item[0], item[1]), listed)
        ):
            return False  # damaged remotely: treat it as missing
        settle([Move(aside, folder)])
        return True
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def bring_file(home: Home, path: Path, sha256: str | None = None) -> bool:
    """Download a missing file; return whether it exists."""
    store = remote()
    key = _key(home, path)
    if path.is_file() or store is None or not key:
        return path.is_file()
    aside = staging_path(home, "fetched")
    try:
        if not _fetch(store, key, aside, sha256):
            return False
        settle([Move(aside, path)])
        return True
    finally:
        aside.unlink(missing_ok=True)


def bring_new(
    home: Home, folder: Path, on_new_files: Callable[[list[str]], None] | None = None
) -> list[str]:
    """Download the missing files directly in a folder; return their names.

    This lists the folder in the object store: one request for a thousand files. `on_new_files`
    receives the names, if any, before the first download.

    Raises:
        CorruptArtifact: A name is not that of a file in the folder.
        Unreachable: The object store did not respond.
    """
    store = remote()
    key = _key(home, folder)
    if store is None or not key:
        return []
    local = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    new = sorted(name for name in _names(store, key) if name not in local)
    if new and on_new_files:
        on_new_files(new)
    _all(lambda name: bring_file(home, folder / name), new)
    return new


def withdraw(home: Home, path: Path) -> None:
    """Remove a file or a published folder from the object store, its manifest first."""
    store = remote()
    key = _key(home, path)
    if store is None or not key:
        return
    store.delete(f"{key}/{LAST}")
    for name in store.names(key):
        store.delete(f"{key}/{name}")
    store.delete(key)


def send_checkpoints(folder: Path, index: str) -> bool:
    """Make the object store hold the checkpoints in `folder`, a training's under `runs/`.

    Each is a folder whose file `index` is uploaded last. An unreachable store does not end a
    training: the next upload includes this checkpoint. It returns whether they were uploaded.
    """
    key = _run_key(folder)
    try:
        store = remote()
        if store is None:
            return True
        there = store.names(key, below=True)
        checkpoints = [path.parent for path in folder.glob(f"*/{index}")]
        here = {
            f"{checkpoint.name}/{path.name}": path
            for checkpoint in checkpoints
            for path in checkpoint.iterdir()
        }
        new = [(path, f"{key}/{name}") for name, path in sorted(here.items()) if name not in there]
        _put_all(store, [item for item in new if item[0].name != index])
        fault_point("remote.checkpoint")
        _put_all(store, [item for item in new if item[0].name == index])
        # Delete the index first, so that no reader takes the remaining files for a checkpoint.
        for name in sorted(there.keys() - here.keys(), key=lambda name: not name.endswith(index)):
            store.delete(f"{key}/{name}")
    except Unreachable as error:
        _log.warning("the checkpoint is kept locally until the next upload: %s", error)
        return False
    return True


def bring_checkpoint(folder: Path, index: str) -> str | None:
    """Download the newest checkpoint of a training if it is newer than the local one.

    It returns its name, or None if nothing was downloaded. The reader checks its digests.

    Raises:
        CorruptArtifact: A name is not that of a file in the folder.
        Unreachable: The object store did not respond.
    """
    store = remote()
    if store is None:
        return None
    key = _run_key(folder)
    there = _names(store, key, below=True)
    whole = [name.rpartition("/")[0] for name in there if name.endswith(f"/{index}")]
    newest = max(whole, default="")
    kind = newest.rpartition("-")[0]  # names end in the step, of nine digits
    if not newest or any(path.name >= newest for path in folder.glob(f"{kind}-*")):
        return None
    aside = folder / f".aside-{uuid4().hex}"
    aside.mkdir(parents=True)
    try:
        files = [name for name in there if name.rpartition("/")[0] == newest]
        _all(lambda name: store.get(f"{key}/{name}", aside / name.rpartition("/")[2]), files)
        settle([Move(aside, folder / newest)])
        return newest
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _run_key(folder: Path) -> str:
    return f"runs/{folder.parent.name}/{folder.name}"


def _key(home: Home, path: Path) -> str | None:
    """Return the remote key of a path in the store, or None for a local path."""
    if not path.is_relative_to(home.store):
        return None
    first = path.relative_to(home.store).parts[0]
    if first in _OWN or first.startswith("."):
        return None
    return path.relative_to(home.root).as_posix()


def _files_within(folder: Path) -> Iterable[tuple[Path, str]]:
    """Yield the files of a folder with their relative names, without the manifest."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name != LAST:
            yield file, name


def _names(store: Remote, key: str, *, below: bool = False) -> dict[str, int]:
    """Return names and bytes of the files in a remote folder, checked: files are written by them.

    Raises:
        CorruptArtifact: A name leaves the folder.
    """
    names = store.names(key, below=below)
    for name in names:
        if not is_inner_path(name) or name.count("/") > below:
            where = f"{store.address.partition('?')[0]}/{key}"
            fix = "delete this object: kinemill did not write it"
            raise CorruptArtifact(where, f"holds an object named {name!r:.80}", fix=fix)
    return names


def _manifest_files(manifest: Path) -> list[tuple[str, str]] | None:
    """Return names and digests of the files that a manifest lists; None if it is damaged."""
    try:
        files = json.loads(manifest.read_bytes())["files"]
        listed = [(name, entry["sha256"]) for name, entry in files.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return listed if all(is_inner_path(name) for name in files) else None


def _fetch(store: Remote, key: str, to: Path, sha256: str | None) -> bool:
    to.parent.mkdir(parents=True, exist_ok=True)
    return store.get(key, to) and (sha256 is None or file_digest(to) == sha256)


def _put_all(store: Remote, items: Sequence[tuple[Path, str]]) -> None:
    _all(lambda item: store.put(*item), items)


def _all(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Call `work` on all items concurrently; the first error stops it."""
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(max_workers=min(_THREADS, len(items))) as pool:
        return list(pool.map(work, items))
