"""Staging: temporary files and folders of a store, which name the process that writes them."""

import os
import platform
import re
import shutil
import zlib
from pathlib import Path
from uuid import uuid4

from kinemill.process import process_of
from kinemill.store.home import Home

_MARK = re.compile(r"[.-]([0-9a-f]{8})\.(\d+)\.[0-9a-f]{32}")  # host, process, uuid
_LOCAL = ("pending", "index")  # folders of local files, which are replaced in place
_NOTES = ("refs/latest/*", "refs/runs/*/*")  # folders of the results of stages, by task


def staging_path(home: Home, kind: str, suffix: str = "") -> Path:
    """Return a path in staging that does not exist yet; `kind` names its purpose."""
    folder = home.store / ".staging"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{kind}.{process_mark()}{suffix}"


def process_mark() -> str:
    """Return the part of a temporary name by which the file of a dead process is recognized."""
    return f"{_host()}.{os.getpid()}.{uuid4().hex}"


def sweep_staging(home: Home) -> None:
    """Delete what processes of this machine left in store and notes when they were killed.

    A process whose pid was reused is dead if its successor started after the last change.
    """
    replaced = [path for name in _LOCAL for path in (home.store / name).rglob(".aside-*")]
    for notes in _NOTES:
        replaced += home.dagster.glob(f"{notes}/.aside-*")
    for path in [*(home.store / ".staging").glob("*"), *replaced]:
        mark = _MARK.search(path.name)
        if mark is None or mark[1] != _host():
            continue
        try:
            changed = path.lstat().st_mtime
        except FileNotFoundError:
            continue  # moved to its place
        if process_of(int(mark[2]), changed) is None:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"
