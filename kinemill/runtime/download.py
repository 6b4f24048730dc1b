"""Pulling: a version's files to a folder that a robot loads, swapped when another is champion.

FOLDER is a link to `.FOLDER.versions/<version>-<digest>/`, moved by one rename: who opens FOLDER
sees the files of one version, whole, at any time. New files are copied aside, checked against their
sha256, loaded and asked in a process of their own; only then is the link moved. What goes wrong
before, a registry that cannot be reached among it, leaves the last good version in place.

From a server it is plain HTTP, so a robot needs neither MLflow nor anything else for it.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from kinemill.errors import BadInput, CorruptArtifact, KinemillError
from kinemill.process import run_python
from kinemill.runtime.integrity import SUMS, read_sums
from kinemill.runtime.registry_client import Source, VersionRef
from kinemill.runtime.self_test import CASES
from kinemill.store.atomic_write import Move, settle
from kinemill.store.digests import file_digest

KEPT_VERSIONS = 2  # versions beside the present one that a program may still be reading
_ANSWERING = 60.0  # s that a model may take to load and answer
_SHORT = 12
_ASIDE = ".aside-"
_STALE = 3600.0  # s after which nobody is writing what lies aside
_LOAD = "import sys; from kinemill.runtime import load; load(sys.argv[1])"

Json = dict[str, Any]
Check = Callable[[Path], tuple[bool, str]]  # loads and runs a bundle: whether it works, and why not


def run_stored_cases(folder: Path) -> tuple[bool, str]:
    """Have a process of its own load a bundle and answer its stored cases; tell how that went."""
    arguments = ["-m", "kinemill.runtime", "verify", str(folder), "--calls=1"]
    if not (folder / CASES).is_file():  # of before bundles had some
        arguments = ["-c", _LOAD, str(folder)]
    process = run_python(arguments, _ANSWERING)
    if process is None:
        return False, f"gave no answer within {_ANSWERING:g} s"
    if process.returncode == 0:
        return True, "answered"
    said = [line.strip() for line in (process.stdout + process.stderr).splitlines() if line.strip()]
    failed = [line for line in said if line.startswith("FAILED")] or said[-1:]
    return False, f"ended with code {process.returncode}: {'; '.join(failed) or 'it said nothing'}"


def check_bundle(folder: Path, sums: str) -> None:
    """Check a bundle against the digest of its `sha256sums`, and its files against those.

    Raises:
        CorruptArtifact: a file is missing or its bytes have changed.
    """
    path = folder / SUMS
    if not path.is_file() or file_digest(path) != sums:
        raise CorruptArtifact(path, "is missing or differs from what was registered")
    for name, sha in read_sums(folder).items():
        if not (folder / name).is_file() or file_digest(folder / name) != sha:
            raise CorruptArtifact(folder / name, "is missing or its bytes have changed")


def pull(
    source: Source, to: Path, try_it: Callable[[Path], tuple[bool, str]] = run_stored_cases
) -> Json:
    """Bring the wanted version to the folder `to`, or keep what is there.

    Args:
        source: where from.
        to: the folder; not there yet, or pulled before.
        try_it: loads a bundle as robots do and asks it something.

    Returns:
        folder, version, `status`: `pulled`, `unchanged`, or `kept` when the registry could not be
        reached, or the files are no good; then with `why`. Of the first two also `provisional`:
        what the gate had too little test data of, or "".

    Raises:
        BadInput: there is no such version, or `to` is something else.
        KinemillError: nothing can be had, and nothing was pulled before.
    """
    to = to.expanduser().absolute()
    if to.exists() and not to.is_symlink():
        raise BadInput(to, "is there and was not pulled", expected="a folder that is not there yet")
    installed = _installed(to)
    try:
        ref = source.resolve()
        if installed and _name(ref) == installed.name:
            return _status(to, "unchanged") | {"provisional": ref.provisional}
        _install(source, ref, to, try_it)
    except (KinemillError, OSError) as error:
        if installed is None or isinstance(error, BadInput):
            raise
        return _status(to, "kept") | {"why": str(error)}
    return _status(to, "pulled") | {"provisional": ref.provisional}


def watch(
    source: Source,
    to: Path,
    report: Callable[[Json], None],
    stop: threading.Event,
    every: float = 5.0,
    try_it: Check = run_stored_cases,
) -> None:
    """Pull again and again; tell what changes, and what keeps it from changing.

    A registry that cannot be reached, or has no such version for a while, ends nothing.
    """
    previous: tuple[Any, ...] | None = None
    while True:
        try:
            result = pull(source, to, try_it)
        except (KinemillError, OSError) as error:
            version = _version(_installed(to.expanduser().absolute()))
            result = {"folder": str(to), "version": version, "status": "kept", "why": str(error)}
        current = (result["version"], result.get("why"))
        if current != previous:
            report(result)
        previous = current
        if stop.wait(every):
            return


def _name(ref: VersionRef) -> str:
    return f"{ref.version}-{ref.sums[:_SHORT]}"


def _versions(to: Path) -> Path:
    return to.parent / f".{to.name}.versions"


def _installed(to: Path) -> Path | None:
    """Return the folder that `to` leads to, if its files are whole."""
    if not to.is_symlink() or not to.is_dir():
        return None
    folder = to.resolve()
    try:
        check_bundle(folder, _digest(folder))
    except CorruptArtifact:
        return None
    return folder


def _digest(folder: Path) -> str:
    digest = file_digest(folder / SUMS) if (folder / SUMS).is_file() else ""
    return digest if digest[:_SHORT] == folder.name.rpartition("-")[2] else ""


def _install(source: Source, ref: VersionRef, to: Path, try_it: Check) -> None:
    """Copy aside, check, try, and only then let `to` lead there."""
    target = _versions(to) / _name(ref)
    aside = target.parent / f"{_ASIDE}{uuid4().hex}"
    aside.mkdir(parents=True)
    try:
        source.copy(ref, aside)
        check_bundle(aside, ref.sums)
        good, message = try_it(aside)
        if not good:
            raise CorruptArtifact(f"version {ref.version}", f"is not taken: it {message}")
        if target.exists():  # whole it was, or `to` would lead there
            target.rename(target.parent / f"{_ASIDE}{uuid4().hex}")
        settle([Move(aside, target)])
        link = to.parent / f".{to.name}-{uuid4().hex}"
        link.symlink_to(target.relative_to(to.parent), target_is_directory=True)
        os.replace(link, to)  # noqa: PTH105 - one rename: the old or the new, never none
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        _clear(target.parent, to.resolve())


def _clear(versions: Path, present: Path) -> None:
    """Remove all but the last versions, which a program may still be reading, and what was left."""
    others = [path for path in versions.iterdir() if path != present]
    aside = [path for path in others if path.name.startswith(_ASIDE)]
    whole = sorted(set(others) - set(aside), key=_when, reverse=True)
    for path in [
        *whole[KEPT_VERSIONS:],
        *(path for path in aside if _when(path) < time.time() - _STALE),
    ]:
        shutil.rmtree(path, ignore_errors=True)


def _when(path: Path) -> float:
    return path.stat().st_mtime


def _status(to: Path, status: str) -> Json:
    return {"folder": str(to), "version": _version(_installed(to)), "status": status}


def _version(present: Path | None) -> int | None:
    return int(present.name.partition("-")[0]) if present else None
