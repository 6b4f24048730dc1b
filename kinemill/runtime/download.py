"""Download of a version to the folder that a robot loads, with atomic replacement.

FOLDER is a link to `.FOLDER.versions/<version>-<digest>/`, replaced by one rename, so that a reader
always sees the complete files of one version. New files are downloaded to staging, checked against
their sha256, loaded and run in a separate process before the link is replaced. After a failure,
such as an unreachable registry, the last good version stays.

Nothing but the link and `.FOLDER.versions` is written. Each folder that is made there holds the
file `.kinemill-pulled`, and no folder without it is ever removed.

A server is read over plain HTTP, so that a robot does not need MLflow.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from kinemill.errors import BadInput, CorruptArtifact, KinemillError
from kinemill.process import run_python
from kinemill.runtime.integrity import PULLED, SUMS, read_sums
from kinemill.runtime.registry_client import Source, VersionRef
from kinemill.runtime.timing import Json
from kinemill.store.atomic_write import Move, settle
from kinemill.store.digests import file_digest

KEPT_VERSIONS = 2  # older versions, which a program may still read
_ANSWERING = 60.0  # s, time limit to load and run a model
_SHORT = 12
_ASIDE = ".aside-"
_STALE = 2 * 3600.0  # s after which a folder in staging is abandoned; a download takes at most 1 h
_SLOWEST = 60.0  # s, longest time between two attempts of `watch` after failures
_INSTALLED = re.compile(rf"[1-9][0-9]{{0,8}}-[0-9a-f]{{{_SHORT}}}")
_STAGED = re.compile(rf"{re.escape(_ASIDE)}[0-9a-f]{{32}}")

Check = Callable[[Path], tuple[bool, str]]  # loads and runs a bundle: success, and a message


def run_stored_cases(folder: Path) -> tuple[bool, str]:
    """Run the stored cases of a bundle in a separate process; return success and a message."""
    arguments = ["-m", "kinemill.runtime", "verify", str(folder), "--calls=1"]
    process = run_python(arguments, _ANSWERING)
    if process is None:
        return False, f"did not respond within {_ANSWERING:g} s"
    if process.returncode == 0:
        return True, "answered"
    output = (process.stdout + process.stderr).splitlines()
    lines = [line.strip() for line in output if line.strip()]
    failed = [line for line in lines if line.startswith("FAILED")] or lines[-1:]
    return False, f"ended with code {process.returncode}: {'; '.join(failed) or 'no message'}"


def check_bundle(folder: Path, sums: str) -> None:
    """Check `sha256sums` of a bundle against its digest `sums`, and all files against the list.

    Raises:
        BadInput: `sha256sums` is a symbolic link.
        CorruptArtifact: A file is missing or its bytes have changed.
    """
    path = folder / SUMS
    if not path.is_file() or file_digest(path) != sums:
        raise CorruptArtifact(path, "is missing or differs from what was registered")
    for name, sha in read_sums(folder).items():
        if not (folder / name).is_file() or file_digest(folder / name) != sha:
            raise CorruptArtifact(folder / name, "is missing or its bytes have changed")


def pull(source: Source, to: Path, try_it: Check = run_stored_cases) -> Json:
    """Download the current version to the folder `to`, or keep the installed one.

    Args:
        source: the registry.
        to: a missing folder, or one pulled before.
        try_it: loads and runs a bundle; a version that fails is not installed.

    Returns:
        `folder`, `version` and `status`: `pulled`, `unchanged`, or `kept` if the registry is
        unreachable or the files are invalid, then with `why`. With the first two also
        `provisional`: the checks for which the gate had too little test data, or "".

    Raises:
        BadInput: The version does not exist, or `to` was not pulled.
        KinemillError: The download failed, and no version is installed.
        OSError: A file cannot be written, and no version is installed.
    """
    to = to.expanduser().absolute()
    _check_target(to)
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
    interval: float = 5.0,
    try_it: Check = run_stored_cases,
) -> None:
    """Pull every `interval` seconds until `stop` is set; report changes and failures.

    No response of a registry ends the loop. After failures the time between two attempts doubles,
    up to a minute.

    Args:
        source: the registry.
        to: as in `pull`.
        report: called with the result of `pull` when the version or the error has changed.
        stop: ends the loop.
        interval: time between two calls of `pull`, s.
        try_it: as in `pull`.
    """
    previous: tuple[object, ...] | None = None
    delay = interval
    while True:
        try:
            result = pull(source, to, try_it)
        except (KinemillError, OSError) as error:
            version = _version(_installed(to.expanduser().absolute()))
            result = {"folder": str(to), "version": version, "status": "kept", "why": str(error)}
        # The name of a folder in staging differs each time.
        why = _STAGED.sub(_ASIDE, str(result.get("why", "")))
        if (result["version"], why) != previous:
            report(result)
        previous = (result["version"], why)
        delay = min(delay * 2.0, max(interval, _SLOWEST)) if why else interval
        if stop.wait(delay):
            return


def _versions(to: Path) -> Path:
    return to.parent / f".{to.name}.versions"


def _check_target(to: Path) -> None:
    """Check that `to` is missing or a link that `pull` made.

    Raises:
        BadInput: It, or the folder for its versions, is not of `pull`.
    """
    versions = _versions(to)
    if to.is_symlink():
        link = Path(os.readlink(to))  # noqa: PTH115 - as it is stored, not resolved
        is_known = str(link.parent) == versions.name and _INSTALLED.fullmatch(link.name)
    else:
        is_known = not to.exists()
    if not is_known:
        raise BadInput(to, "exists and was not pulled", expected="a folder that does not exist yet")
    if versions.is_symlink() or (versions.exists() and not versions.is_dir()):
        raise BadInput(versions, "is not a folder", fix="move it away: pull stores versions there")


def _name(ref: VersionRef) -> str:
    return f"{ref.version}-{ref.sums[:_SHORT]}"


def _installed(to: Path) -> Path | None:
    """Return the folder that `to` links to, if its files are intact."""
    if not to.is_symlink() or not to.is_dir():
        return None
    folder = to.resolve()
    try:
        check_bundle(folder, _digest(folder))
    except (BadInput, CorruptArtifact):
        return None
    return folder


def _digest(folder: Path) -> str:
    digest = file_digest(folder / SUMS) if (folder / SUMS).is_file() else ""
    return digest if digest[:_SHORT] == folder.name.rpartition("-")[2] else ""


def _install(source: Source, ref: VersionRef, to: Path, try_it: Check) -> None:
    """Download to staging, check, run, then replace the link.

    An intact folder of an earlier pull stays where it is: a reader may still be in it.
    """
    target = _versions(to) / _name(ref)
    aside = target.parent / f"{_ASIDE}{uuid4().hex}"
    aside.mkdir(parents=True)
    (aside / PULLED).touch()
    try:
        is_present = _is_intact(target, ref.sums)
        if not is_present:
            source.copy(ref, aside)
            check_bundle(aside, ref.sums)
        good, message = try_it(target if is_present else aside)
        if not good:
            raise CorruptArtifact(f"version {ref.version}", f"was not installed: it {message}")
        if is_present:
            os.utime(target)  # the newest one, for `_clear`
        else:
            if os.path.lexists(target):
                if not _is_own(target):
                    raise BadInput(target, "exists and was not pulled", fix="move it away")
                target.rename(target.parent / f"{_ASIDE}{uuid4().hex}")
            settle([Move(aside, target)])
        # A symbolic link cannot be changed; a second one is renamed over it.
        link = to.parent / f".{to.name}-{uuid4().hex}"
        link.symlink_to(target.relative_to(to.parent), target_is_directory=True)
        os.replace(link, to)  # noqa: PTH105 - one rename: the old or the new, never none
    finally:
        _remove(aside)
    _clear(target.parent, target)


def _is_intact(folder: Path, sums: str) -> bool:
    try:
        check_bundle(folder, sums)
    except (BadInput, CorruptArtifact, OSError):
        return False
    return _is_own(folder)


def _clear(versions: Path, present: Path) -> None:
    """Remove all but the last versions, and abandoned folders in staging."""
    old = [path for path in versions.iterdir() if path != present and _is_own(path)]
    staged = [path for path in old if _STAGED.fullmatch(path.name)]
    whole = [path for path in old if _INSTALLED.fullmatch(path.name)]
    for path in sorted(whole, key=_when, reverse=True)[KEPT_VERSIONS:]:
        _remove(path)
    for path in staged:
        if _when(path) < time.time() - _STALE:
            _remove(path)


def _is_own(path: Path) -> bool:
    """Return whether `pull` made a folder: it holds the marker."""
    return not path.is_symlink() and (path / PULLED).is_file()


def _remove(path: Path) -> None:
    """Remove a folder that `pull` made; leave anything else alone."""
    if _is_own(path):
        shutil.rmtree(path, ignore_errors=True)


def _when(path: Path) -> float:
    return path.stat().st_mtime


def _status(to: Path, status: str) -> Json:
    return {"folder": str(to), "version": _version(_installed(to)), "status": status}


def _version(present: Path | None) -> int | None:
    return int(present.name.partition("-")[0]) if present else None
