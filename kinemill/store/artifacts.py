"""Atomic, content-addressed publishing: write to staging, fsync, rename; verify digests on read.

A published artifact is a folder `store/<stage>/<task>/<key>/` holding the stage's files, a
`summary.json` with its numbers, and a `MANIFEST.json` naming the sha256 of each file. The key is
the digest of everything the artifact depends on, so a second request is a cache hit. A crash
leaves a folder under `.staging/`, which is never read.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from kinemill.errors import CorruptArtifact
from kinemill.store.atomic_write import Move, settle
from kinemill.store.digests import cache_digest, file_digest, own_digest
from kinemill.store.disk_space import convert_disk_errors
from kinemill.store.documents import from_json_value, read_document
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.store.json_io import Json, digest, parse_json, read_json
from kinemill.store.manifest import MANIFEST, check_folder, manifest_of, read_checked
from kinemill.store.remote_sync import bring, send
from kinemill.store.staging import staging_path

SUMMARY = "summary.json"


@dataclass(frozen=True)
class ArtifactRef:
    """Reference passed between stages: a folder below the home, and the digest of its manifest."""

    path: str
    digest: str

    def to_json(self) -> dict[str, str]:
        """Return the reference as a JSON object."""
        return {"path": self.path, "digest": self.digest}

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> "ArtifactRef":
        """Read a reference back from its JSON object."""
        return cls(path=value["path"], digest=value["digest"])


@dataclass(frozen=True)
class Artifact:
    """A published stage result: its reference, its numbers, and whether it was cached."""

    ref: ArtifactRef
    summary: Json
    cached: bool


def open_ref(home: Home, ref: ArtifactRef) -> Path:
    """Return the folder behind `ref` after checking every file in it against its sha256.

    Damage invalidates the caches of its task: the next run then checks every artifact and rebuilds
    damaged ones.

    Raises:
        CorruptArtifact: The folder or a file is missing, or bytes have changed.
    """
    with _opened(home, ref) as folder:
        check_folder(folder, ref.digest)
    return folder


@contextmanager
def _opened(home: Home, ref: ArtifactRef) -> Generator[Path]:
    """Yield the folder behind `ref`; drop the task's caches if it is damaged."""
    folder = home.in_store(ref.path, "the reference to an artifact")
    bring(home, folder)
    try:
        yield folder
    except CorruptArtifact:
        drop_indexes(home, Path(ref.path).parent.name)
        raise


def index_path(home: Home, task: str, name: str) -> Path:
    """Return the path of a cache of a task's artifacts; it can be deleted at any time."""
    return home.store / "index" / task / name


def drop_indexes(home: Home, task: str) -> None:
    """Remove the caches of a task."""
    for path in index_path(home, task, "").glob("*.json"):
        path.unlink(missing_ok=True)


def summary_of(home: Home, ref: ArtifactRef) -> Json:
    """Return the numbers published with `ref`; only their file is verified.

    Raises:
        CorruptArtifact: The artifact is missing, or its manifest or numbers have changed.
    """
    with _opened(home, ref) as folder:
        return parse_json(folder / SUMMARY, read_checked(folder, ref.digest, SUMMARY))


@contextmanager
def recomputed(home: Home, stage: str, task: str) -> Generator[None]:
    """Let the first `find` of a stage in this block move its artifact aside and return None."""
    drop_indexes(home, task)  # which list the artifact
    _recomputed.add((stage, task))
    try:
        yield
    finally:
        _recomputed.discard((stage, task))


_recomputed: set[tuple[str, str]] = set()


def find(home: Home, stage: str, task: str, key: str) -> Artifact | None:
    """Return the artifact published under `key`, or None; a damaged one is moved aside."""
    folder = _artifact_folder(home, stage, task, key)
    if (stage, task) in _recomputed:
        _recomputed.remove((stage, task))
        _set_aside(home, folder)
        return None
    if not bring(home, folder):
        return None
    if not _is_whole(folder, stage, task, key):
        _set_aside(home, folder)
        if not bring(home, folder):  # another machine's copy may be intact
            return None
    with suppress(OSError):  # the home may be read-only
        os.utime(folder)  # marks it as in use for `kinemill admin gc`
    return Artifact(_ref(home, folder), read_json(folder / SUMMARY), cached=True)


def peek(home: Home, stage: str, task: str, key: str) -> Artifact | None:
    """Return the artifact published under `key` without verification."""
    folder = _artifact_folder(home, stage, task, key)
    if not (folder / MANIFEST).is_file():
        return None
    return Artifact(_ref(home, folder), read_json(folder / SUMMARY), cached=True)


def _artifact_folder(home: Home, stage: str, task: str, key: str) -> Path:
    return home.store / stage / task / key[:32]


def _ref(home: Home, folder: Path) -> ArtifactRef:
    return ArtifactRef(folder.relative_to(home.root).as_posix(), file_digest(folder / MANIFEST))


def _is_whole(folder: Path, stage: str, task: str, key: str) -> bool:
    """Return whether all files of an artifact, including its manifest, match their digests."""
    try:
        text = (folder / MANIFEST).read_text()
        manifest = json.loads(text)
        identity = {"stage": stage, "task": task, "inputs": manifest["inputs"]}
        is_same = text == manifest_of(folder, identity, list(manifest["files"]))
        return digest(manifest["inputs"]) == key and is_same
    except (FileNotFoundError, IsADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return False  # no manifest, or a damaged one


def _set_aside(home: Home, folder: Path) -> None:
    aside = home.store / ".corrupt"
    aside.mkdir(parents=True, exist_ok=True)
    # Another process may already have moved the damaged folder.
    with suppress(FileNotFoundError):
        folder.rename(aside / f"{folder.name}-{uuid4().hex}")


def get_or_build(
    home: Home, stage: str, task: str, inputs: Mapping[str, object], build: Callable[[Path], Json]
) -> Artifact:
    """Return the artifact for `inputs`; build and publish it if it is not cached.

    Args:
        home: the home of the store.
        stage: name of the stage, the first part of the path.
        task: name of the task, the second part.
        inputs: everything the artifact depends on, as JSON: digests of the inputs, the stage's own
            part of the task, and the stage's VERSION. Never time, commit, path or champion.
        build: writes the stage's files into an empty folder and returns its summary.
    """
    staged = stage_artifact(home, stage, task, inputs, build)
    return publish_staged(home, [staged])[0] if isinstance(staged, Staged) else staged


@dataclass(frozen=True)
class Staged:
    """An artifact in staging, not yet published."""

    ref: ArtifactRef
    summary: Json
    aside: Path
    key: str

    def move(self, home: Home) -> Move:
        """Return the move that publishes it."""
        return Move(self.aside, home.root / self.ref.path)

    def discard(self) -> None:
        """Remove the staging folder."""
        shutil.rmtree(self.aside, ignore_errors=True)


def stage_artifact(
    home: Home, stage: str, task: str, inputs: Mapping[str, object], build: Callable[[Path], Json]
) -> Artifact | Staged:
    """Return the artifact for `inputs`, or build it in staging; arguments as in `get_or_build`."""
    key = digest(inputs)
    if cached := find(home, stage, task, key):
        return cached
    aside = staging_path(home, f"{stage}-{task}")
    aside.mkdir()
    try:
        with convert_disk_errors(aside):
            fault_point("outcome.staged")
            summary = build(aside)
            fault_point("outcome.built")
            text = _seal(aside, {"stage": stage, "task": task, "inputs": dict(inputs)}, summary)
            fault_point("outcome.sealed")
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    path = _artifact_folder(home, stage, task, key).relative_to(home.root).as_posix()
    ref = ArtifactRef(path, hashlib.sha256(text.encode()).hexdigest())
    return Staged(ref, read_json(aside / SUMMARY), aside, key)


def publish_staged(
    home: Home, staged: Sequence[Staged], first: Sequence[Move] = (), after: Sequence[Move] = ()
) -> list[Artifact]:
    """Publish staged artifacts in one operation.

    Args:
        home: the home of the store.
        staged: the artifacts; if another process published one first, that one is used.
        first: moves to apply before them.
        after: moves to apply after them.
    """
    artifacts = [artifact.move(home) for artifact in staged]
    try:
        with convert_disk_errors(home.store):
            for moves in (first, artifacts, after):
                send(home, moves)
            settle([*first, *artifacts, *after])
        return [_published(home, artifact) for artifact in staged]
    finally:
        for artifact in staged:
            artifact.discard()


def _published(home: Home, staged: Staged) -> Artifact:
    if not staged.aside.exists():  # it was moved to its place
        return Artifact(staged.ref, staged.summary, cached=False)
    stage, task, _ = Path(staged.ref.path).parts[-3:]
    if theirs := find(home, stage, task, staged.key):
        return theirs
    raise CorruptArtifact(
        home.root / staged.ref.path, "was damaged right after publication", fix="run again"
    )


def _seal(folder: Path, inputs: Json, summary: Json) -> str:
    """Write summary and manifest of a folder; return the manifest."""
    (folder / SUMMARY).write_text(json.dumps(summary, allow_nan=False) + "\n")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        cache_digest(path, own_digest(path))
    text = manifest_of(folder, inputs, [path.relative_to(folder).as_posix() for path in files])
    (folder / MANIFEST).write_text(text)
    return text


class StoredSummary:
    """Base class of the dataclasses whose fields a stage stores as the summary of its artifact."""

    @classmethod
    def of(cls, artifact: Artifact | Staged) -> Self:
        """Return the summary of an artifact.

        Raises:
            CorruptArtifact: A field is missing or has another type.
        """
        return from_json_value(artifact.summary, cls, Path(artifact.ref.path))

    @classmethod
    def read(cls, home: Home, ref: ArtifactRef) -> Self:
        """Read the summary of a published artifact; no other file of it is verified.

        Raises:
            CorruptArtifact: The artifact is missing or has changed, or a field is wrong.
        """
        return from_json_value(summary_of(home, ref), cls, home.root / ref.path)

    @classmethod
    def read_folder(cls, folder: Path) -> Self:
        """Read the summary in the folder of a verified artifact.

        Raises:
            CorruptArtifact: A field is missing or has another type.
        """
        return read_document(folder / SUMMARY, cls)
