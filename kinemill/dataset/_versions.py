"""Catalog of the dataset versions of a task, numbered in order of creation.

What a version is stands in its own folder and never changes. The catalog gives it a number that
people can say, when it was made and by whom; none of that is part of its digest. It is a cache:
versions that it lacks are entered in the order in which they were published.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store import (
    MANIFEST,
    SUMMARY,
    ArtifactRef,
    Json,
    file_digest,
    publish_shared,
    read_json,
)
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.locks import current_user, lock
from kinemill.store.remote_sync import bring, bring_new

STAGE = "dataset"
LATEST = "latest"
FORMAT = Format("catalog entry", 1)


@dataclass(frozen=True)
class Version:
    """A dataset version as the catalog knows it."""

    task: str
    number: int
    ref: ArtifactRef
    created: str  # ISO 8601, UTC
    owner: str

    def folder(self, home: Home) -> Path:
        """Return where it lies."""
        return home.root / self.ref.path

    def status(self, home: Home) -> str:
        """Tell whether it is `ready`, `damaged` or `gone`, by its manifest alone."""
        manifest = self.folder(home) / MANIFEST
        if not manifest.is_file():
            return "gone"
        return "ready" if file_digest(manifest) == self.ref.digest else "damaged"

    def updated(self, home: Home) -> str:
        """Return when its files were last made, as they are again after they were lost."""
        manifest = self.folder(home) / MANIFEST
        return _when(manifest) if manifest.is_file() else self.created

    def rules(self, home: Home) -> Json:
        """Return what its makers asked for: dt, channels, split, order of columns."""
        inputs = self._read(home, MANIFEST)["inputs"]
        return {**inputs["task"], "columns": inputs["columns"], "shortest": inputs["shortest"]}

    def summary(self, home: Home) -> Json:
        """Return its numbers."""
        return self._read(home, SUMMARY)

    def _read(self, home: Home, name: str) -> Json:
        bring(home, self.folder(home))
        path = self.folder(home) / name
        if not path.is_file():
            raise CorruptArtifact(path, "is gone", fix=f"kinemill run {self.task} makes it again")
        return read_json(path)


def _when(manifest: Path) -> str:
    return datetime.fromtimestamp(manifest.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _folder(home: Home, task: str) -> Path:
    return home.store / "versions" / task


def _numbers(home: Home, task: str) -> list[str]:
    """Return the names of the numbered entries, oldest first; none of them is opened."""
    return sorted(path.name for path in (_folder(home, task) / "numbers").glob("*.json"))


def _of_digest(home: Home, task: str, digest: str) -> Path:
    return _folder(home, task) / "digests" / f"{digest}.json"


def _open(task: str, path: Path) -> Version:
    entry = FORMAT.open(path, read_json(path))
    ref = ArtifactRef(entry["path"], entry["digest"])
    return Version(task, entry["version"], ref, entry["created"], entry["owner"])


def enter(home: Home, task: str, ref: ArtifactRef) -> Version:
    """Give a published version its number, or find the one it has."""
    known = _of_digest(home, task, ref.digest)
    if known.is_file():
        return _open(task, known)
    with lock(home, f"datasets-{task}"):
        _elsewhere(home, task)
        if not known.is_file():
            _enter(home, task, ref, known)
    return _open(task, known)


def _elsewhere(home: Home, task: str) -> None:
    for name in ("numbers", "digests"):
        bring_new(home, _folder(home, task) / name)


def _enter(home: Home, task: str, ref: ArtifactRef, known: Path) -> None:
    numbers, folder = _numbers(home, task), _folder(home, task) / "numbers"
    last: Json = {"version": 0, "digest": ""}
    if numbers:
        last = FORMAT.open(folder / numbers[-1], read_json(folder / numbers[-1]))
    if last["digest"] != ref.digest:  # else somebody died between the two files
        made = _when(home.root / ref.path / MANIFEST)
        number = last["version"] + 1
        last = {"version": number, **ref.to_json(), "created": made, "owner": current_user()}
        publish_shared(home, folder / f"{number:06d}.json", FORMAT.stamp(last))
    publish_shared(home, known, FORMAT.stamp(last))


def _complete(home: Home, task: str) -> None:
    """Enter the versions that are published and have no number, after those of other machines."""
    _elsewhere(home, task)
    published = list((home.store / STAGE / task).glob(f"*/{MANIFEST}"))
    if len(published) <= len(_numbers(home, task)):
        return
    for manifest in sorted(published, key=lambda path: (path.stat().st_mtime_ns, path)):
        path = manifest.parent.relative_to(home.root).as_posix()
        enter(home, task, ArtifactRef(path, file_digest(manifest)))


def count(home: Home, task: str) -> int:
    """Return how many versions a task has."""
    _complete(home, task)
    return len(_numbers(home, task))


def versions(home: Home, task: str, offset: int = 0, limit: int | None = None) -> Iterator[Version]:
    """Yield the versions of a task, newest first, `limit` of them after the first `offset`."""
    _complete(home, task)
    names = _numbers(home, task)[::-1]
    for name in names[offset : None if limit is None else offset + limit]:
        yield _open(task, _folder(home, task) / "numbers" / name)


def find_version(home: Home, task: str, which: str = LATEST) -> Version:
    """Return the version that a number (`3`, `v3`), the start of a digest or `latest` names.

    Raises:
        BadInput: none, or more than one, is called that.
    """
    _complete(home, task)
    numbers, folder = _numbers(home, task), _folder(home, task)
    if not numbers:
        raise BadInput(task, "has no dataset version yet", fix=f"kinemill run {task}")
    name = numbers[-1] if which == LATEST else ""
    if (number := which.removeprefix("v")).isdecimal():
        name = f"{int(number):06d}.json"
    if name in numbers:
        return _open(task, folder / "numbers" / name)
    sound = len(which) >= 4 and set(which) <= set("0123456789abcdef")
    found = sorted((folder / "digests").glob(f"{which}*.json")) if sound else []
    if len(found) == 1:
        return _open(task, found[0])
    raise BadInput(
        f"{task}, dataset version {which!r}",
        f"is the start of {len(found)} digests" if found else "unknown",
        expected=f"1 to {len(numbers)}, `latest`, or the start of a digest",
        fix=f"kinemill data datasets list {task} lists them",
    )
