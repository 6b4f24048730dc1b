"""Atomic, content-addressed publishing: aside, fsync, rename; checked against digests when read.

A published outcome is a folder `store/<stage>/<task>/<key>/` holding the stage's files, a
`summary.json` with its numbers, and a `MANIFEST.json` naming the sha256 of each file. The key is
the digest of everything the outcome depends on, so asking twice finds it instead of making it
again. A crash leaves a folder under `.staging/`, which nothing ever reads.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinemill.errors import CorruptArtifact
from kinemill.home import Home

FORMAT = 1
MANIFEST = "MANIFEST.json"
SUMMARY = "summary.json"

Json = dict[str, Any]


def canonical(value: object) -> str:
    """Spell `value` as JSON in the one way that digests are taken of (no NaN, keys sorted)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """Return the sha256 of `value` as canonical JSON, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file, the new one, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".aside-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def publish_json(path: Path, value: object) -> None:
    """Publish `value` as readable JSON, atomically."""
    publish_file(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read one JSON document.

    Raises:
        CorruptArtifact: the file holds no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        message = f"holds no JSON ({error})"
        raise CorruptArtifact(path, message, fix="restore or delete it") from error


@dataclass(frozen=True)
class Ref:
    """What travels between stages: a folder below the home, and the digest of its manifest."""

    path: str
    digest: str

    def to_json(self) -> dict[str, str]:
        """Return the reference as a JSON object."""
        return {"path": self.path, "digest": self.digest}

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> "Ref":
        """Read a reference back from its JSON object."""
        return cls(path=value["path"], digest=value["digest"])


@dataclass(frozen=True)
class Outcome:
    """What one stage published: its reference, its numbers, and whether it was there before."""

    ref: Ref
    summary: Json
    known: bool


def open_ref(home: Home, ref: Ref) -> Path:
    """Return the folder behind `ref` after checking every file in it against its sha256.

    Raises:
        CorruptArtifact: the folder is gone, a file is missing, or its bytes have changed.
    """
    folder = home.root / ref.path
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise CorruptArtifact(folder, "is not there or not whole", fix="run the chain again")
    if file_digest(manifest) != ref.digest:
        raise CorruptArtifact(manifest, "was changed since", fix="run the chain again")
    _check_files(folder)
    return folder


def _check_files(folder: Path) -> None:
    for name, entry in read_json(folder / MANIFEST)["files"].items():
        path = folder / name
        if not path.is_file() or file_digest(path) != entry["sha256"]:
            raise CorruptArtifact(
                path,
                "is missing or its bytes have changed",
                expected=f"sha256 {entry['sha256'][:12]}…",
                fix="delete its folder and run the chain again",
            )


def summary_of(home: Home, ref: Ref) -> Json:
    """Return the numbers published with `ref`."""
    return read_json(open_ref(home, ref) / SUMMARY)


def find(home: Home, stage: str, task: str, key: str) -> Outcome | None:
    """Return the outcome already published under `key`, or None; a damaged one is moved aside."""
    folder = home.store / stage / task / key[:32]
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return None
    ref = Ref(folder.relative_to(home.root).as_posix(), file_digest(manifest))
    try:
        open_ref(home, ref)
    except CorruptArtifact:
        _set_aside(home, folder)
        return None
    return Outcome(ref, read_json(folder / SUMMARY), known=True)


def _set_aside(home: Home, folder: Path) -> None:
    aside = home.store / ".corrupt"
    aside.mkdir(parents=True, exist_ok=True)
    folder.rename(Path(tempfile.mkdtemp(dir=aside, prefix=f"{folder.name}-")) / folder.name)


def once(
    home: Home, stage: str, task: str, inputs: Mapping[str, object], build: Callable[[Path], Json]
) -> Outcome:
    """Return the outcome for `inputs`, building and publishing it only when it is not there yet.

    Args:
        home: where the store lives.
        stage: name of the stage, the first part of the path.
        task: name of the task, the second part.
        inputs: everything the outcome depends on, as JSON: digests of the inputs, the stage's own
            part of the task, and the stage's VERSION. Never time, commit, path or champion.
        build: writes the stage's files into an empty folder and returns its summary.
    """
    key = digest(inputs)
    if known := find(home, stage, task, key):
        return known
    staging = home.store / ".staging"
    staging.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=staging, prefix=f"{stage}-{task}-"))
    try:
        summary = build(aside)
        _seal(aside, {"stage": stage, "task": task, "inputs": dict(inputs)}, summary)
        return _rename(home, aside, home.store / stage / task / key[:32], summary)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _seal(folder: Path, made_from: Json, summary: Json) -> None:
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = {
        path.relative_to(folder).as_posix(): {
            "sha256": file_digest(path),
            "bytes": path.stat().st_size,
        }
        for path in files
    }
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"format": FORMAT, **made_from, "files": entries}, indent=1))
    for path in (*files, manifest):
        _sync(path)
    for path in sorted({*(file.parent for file in files), folder}):
        _sync(path)


def _rename(home: Home, aside: Path, folder: Path, summary: Json) -> Outcome:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        aside.rename(folder)
    except OSError:
        # Another process published the same key first: its outcome is as good as ours.
        if not (folder / MANIFEST).is_file():
            raise
        shutil.rmtree(aside)
    _sync(folder.parent)
    ref = Ref(folder.relative_to(home.root).as_posix(), file_digest(folder / MANIFEST))
    return Outcome(ref, summary, known=False)
