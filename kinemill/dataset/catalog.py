"""Catalog of the dataset versions of a task, numbered in order of creation.

The content of a version is in its own folder and never changes. The catalog adds a number, the
creation time and the owner, none of which is part of the digest. It is a cache: versions missing
from it are entered in the order in which they were published.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kinemill.dataset.listing import scan_listing
from kinemill.dataset.summary import DatasetSummary
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store import (
    MANIFEST,
    SUMMARY,
    Artifact,
    ArtifactRef,
    Json,
    file_digest,
    from_json_value,
    get_or_build,
    publish_shared,
    read_document,
    read_json,
    to_json_value,
)
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.locks import current_user, lock, spell_time
from kinemill.store.remote_sync import bring, bring_new
from kinemill.task import Task
from kinemill.task.learn import DATASETS

STAGE = "dataset"
LATEST = "latest"
FORMAT = Format("catalog entry", 1)


@dataclass(frozen=True)
class CatalogEntry:
    """A stored catalog entry; `created` is ISO 8601 in UTC."""

    version: int
    path: str
    digest: str
    created: str
    owner: str


@dataclass(frozen=True)
class Version:
    """A dataset version in the catalog."""

    task: str
    number: int
    ref: ArtifactRef
    created: str  # ISO 8601, UTC
    owner: str

    def folder(self, home: Home) -> Path:
        """Return the folder of its files."""
        return home.root / self.ref.path

    def status(self, home: Home) -> str:
        """Return `ready`, `damaged` or `gone`, from its manifest alone."""
        manifest = self.folder(home) / MANIFEST
        if not manifest.is_file():
            return "gone"
        return "ready" if file_digest(manifest) == self.ref.digest else "damaged"

    def updated(self, home: Home) -> str:
        """Return when its files were last written, which happens again after a loss."""
        manifest = self.folder(home) / MANIFEST
        return _written_at(manifest) if manifest.is_file() else self.created

    def rules(self, home: Home) -> Json:
        """Return the settings it was made with: dt, channels, split, order of columns."""
        inputs = read_json(self._file(home, MANIFEST))["inputs"]
        return {**inputs["task"], "columns": inputs["columns"], "shortest": inputs["shortest"]}

    def summary(self, home: Home) -> DatasetSummary:
        """Return its episode and row counts, statistics and warnings."""
        return read_document(self._file(home, SUMMARY), DatasetSummary)

    def _file(self, home: Home, name: str) -> Path:
        bring(home, self.folder(home))
        path = self.folder(home) / name
        if not path.is_file():
            raise CorruptArtifact(path, "is gone", fix=f"rebuild it: kinemill run {self.task}")
        return path


def _written_at(manifest: Path) -> str:
    return spell_time(manifest.stat().st_mtime)


def _folder(home: Home, task: str) -> Path:
    return home.store / "versions" / task


def _numbers(home: Home, task: str) -> list[str]:
    """Return the file names of the numbered entries, oldest first, without opening any."""
    return sorted(path.name for path in (_folder(home, task) / "numbers").glob("*.json"))


def _read_entry(path: Path) -> CatalogEntry:
    return from_json_value(FORMAT.open(path, read_json(path)), CatalogEntry, path)


def _open(task: str, path: Path) -> Version:
    entry = _read_entry(path)
    ref = ArtifactRef(entry.path, entry.digest)
    return Version(task, entry.version, ref, entry.created, entry.owner)


def enter(home: Home, task: str, ref: ArtifactRef) -> Version:
    """Return the catalog entry of a published version; add it with the next number if missing."""
    path = _folder(home, task) / "digests" / f"{ref.digest}.json"
    if path.is_file():
        return _open(task, path)
    with lock(home, f"datasets-{task}"):
        _fetch_entries(home, task)
        if not path.is_file():
            _enter(home, task, ref, path)
    return _open(task, path)


def _fetch_entries(home: Home, task: str) -> None:
    for name in ("numbers", "digests"):
        bring_new(home, _folder(home, task) / name)


def _enter(home: Home, task: str, ref: ArtifactRef, path: Path) -> None:
    numbers = _numbers(home, task)
    folder = _folder(home, task) / "numbers"
    entry = _read_entry(folder / numbers[-1]) if numbers else None
    # Equal if an earlier call crashed between writing the two files.
    if entry is None or entry.digest != ref.digest:
        number = (entry.version if entry else 0) + 1
        created = _written_at(home.root / ref.path / MANIFEST)
        entry = CatalogEntry(number, ref.path, ref.digest, created, current_user())
        content = FORMAT.stamp(to_json_value(entry))
        publish_shared(home, folder / f"{number:06d}.json", content)
    publish_shared(home, path, FORMAT.stamp(to_json_value(entry)))


def _complete(home: Home, task: str) -> None:
    """Enter published versions without a number, after those of other machines."""
    _fetch_entries(home, task)
    published = list((home.store / STAGE / task).glob(f"*/{MANIFEST}"))
    if len(published) <= len(_numbers(home, task)):
        return
    for manifest in sorted(published, key=lambda path: (path.stat().st_mtime_ns, path)):
        path = manifest.parent.relative_to(home.root).as_posix()
        enter(home, task, ArtifactRef(path, file_digest(manifest)))


def count(home: Home, task: str) -> int:
    """Return the number of versions of a task."""
    _complete(home, task)
    return len(_numbers(home, task))


def dataset_versions(
    home: Home, task: str, offset: int = 0, limit: int | None = None
) -> Iterator[Version]:
    """Yield up to `limit` versions of a task after the first `offset`, newest first."""
    _complete(home, task)
    names = _numbers(home, task)[::-1]
    for name in names[offset : None if limit is None else offset + limit]:
        yield _open(task, _folder(home, task) / "numbers" / name)


def find_dataset(home: Home, address: str) -> Version:
    """Return the version at `datasets:/TASK`, the latest, or at `datasets:/TASK/3`.

    Raises:
        BadInput: No version matches, or more than one.
    """
    name, _, which = address.removeprefix(DATASETS).partition("/")
    return find_version(home, name, which or LATEST)


def find_version(home: Home, task: str, which: str = LATEST) -> Version:
    """Return the version with a number (`3`, `v3`), a digest prefix, or `latest`.

    Raises:
        BadInput: No version matches, or more than one.
    """
    _complete(home, task)
    numbers = _numbers(home, task)
    folder = _folder(home, task)
    if not numbers:
        raise BadInput(task, "has no dataset version yet", fix=f"kinemill run {task}")
    name = numbers[-1] if which == LATEST else ""
    if (number := which.removeprefix("v")).isdecimal():
        name = f"{int(number):06d}.json"
    if name in numbers:
        return _open(task, folder / "numbers" / name)
    is_prefix = len(which) >= 4 and set(which) <= set("0123456789abcdef")
    matches = sorted((folder / "digests").glob(f"{which}*.json")) if is_prefix else []
    if len(matches) == 1:
        return _open(task, matches[0])
    raise BadInput(
        f"{task}, dataset version {which!r}",
        f"is the start of {len(matches)} digests" if matches else "unknown",
        expected=f"1 to {len(numbers)}, `latest`, or the start of a digest",
        fix=f"kinemill data datasets list {task} lists them",
    )


def publish_unpacked(
    task: Task, home: Home, inputs: Json, build: Callable[[Path], Json]
) -> Artifact:
    """Publish a version without episodes, for a policy that learns without logs.

    Args:
        task: task of the dataset.
        home: home that holds the artifacts.
        inputs: what it depends on besides the task's `dt`, `channels` and `dataset` part.
        build: writes the files into a folder and returns further summary fields.
    """
    rules = task.part("dt", "channels", "dataset")

    def build_empty(folder: Path) -> Json:
        return {**to_json_value(DatasetSummary({}, {}, {})), **build(folder)}

    key = {"task": rules, "columns": [], "shortest": 0, **inputs}
    artifact = get_or_build(home, STAGE, task.name, key, build_empty)
    enter(home, task.name, artifact.ref)
    return artifact


def recording_splits(home: Home, task: str, which: str) -> pl.DataFrame:
    """Return `recording` and the list `split` of its pieces in a dataset version.

    `which` is the number of the version, or `latest`.

    Raises:
        BadInput: There is no such version.
    """
    rows = scan_listing(find_version(home, task, which).folder(home))
    return rows.group_by("recording").agg(pl.col("split").unique()).collect()
