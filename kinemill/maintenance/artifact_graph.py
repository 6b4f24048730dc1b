"""Artifact graph: dependencies between the artifacts of all stages, and those that must stay.

An artifact depends on another if the `inputs` of its manifest contain the digest of the other's
manifest, if one of its JSON documents contains the other's folder, or, for a dataset, if its
`inputs` contain the digest of the other's set of episodes. A snapshot of recordings or episodes
depends on those of its set that are no longer in the catalog; the others are kept anyway.

GC roots are artifacts that garbage collection must keep, with reasons:

- inputs and files of registered versions, champion or not;
- each task's newest dataset, the latest artifact of each stage, and those that its caches refer
  to, which include quarantined recordings;
- recordings in the catalog;
- artifacts given to a run that is active or ended a short while ago;
- artifacts that were published or found cached since then.

Raw bytes, drop folders, memberships, decisions, catalogs and audit logs are never candidates.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from kinemill import catalog
from kinemill.catalog.tables import evaluated, recordings
from kinemill.dataset import dataset_versions
from kinemill.dataset import find_version as find_dataset
from kinemill.errors import BadInput, KinemillError
from kinemill.ingest import snapshot
from kinemill.register import tags
from kinemill.register.versions import Version, all_aliases, versions_of
from kinemill.store import MANIFEST, SUMMARY, Home, Json, canonical
from kinemill.validate import published

_DIGEST = re.compile(r'"([0-9a-f]{64})"')
_PATH = re.compile(rb'"(store/[a-z_]+/[a-z0-9_]+/[0-9a-f]{32})"')
_EPISODES = "episodes"
_SETS = (  # stage, file with the digest of a set, and table of the set
    (snapshot.STAGE, snapshot.SNAPSHOT, recordings),
    (_EPISODES, published.EPISODES, evaluated),
)

# The first two refer to quarantined recordings; a selection is what the next unchanged run reads.
_SNAPSHOTS = {"recordings", "episodes", "selection"}
_STORE_PATH = re.compile(rb'"path":\s*"(store/[^"]+)"')


@dataclass(frozen=True)
class Node:
    """A published artifact.

    Attributes:
        path: path of its folder, relative to the home.
        bytes: size on disk; a file with several links counts by its share.
        used: time of its publication or last cache hit, s since the epoch.
        needs: paths of its dependencies.
    """

    path: str
    stage: str
    task: str
    bytes: int
    used: float
    needs: frozenset[str]


@dataclass(frozen=True)
class _Read:
    """An artifact before its digests are resolved; its node needs only the paths that it names."""

    node: Node
    digest: str  # of its manifest
    inputs: frozenset[str]
    of_set: str | None  # digest of the set of episodes


@dataclass(frozen=True)
class Graph:
    """All artifacts of a home, by path."""

    nodes: Mapping[str, Node]
    _by_digest: Mapping[str, str]

    def at(self, digest: str | None) -> Iterable[str]:
        """Return the path of the artifact with this manifest digest, or None."""
        path = self._by_digest.get(digest or "")
        return [path] if path else []

    def needed_by(self) -> dict[str, set[str]]:
        """Return the paths of the dependents of each artifact that has any."""
        users: dict[str, set[str]] = {}
        for node in self.nodes.values():
            for path in node.needs:
                users.setdefault(path, set()).add(node.path)
        return users


def survey(home: Home) -> Graph:
    """Read the manifests and JSON documents of all artifacts; skip folders without manifest."""
    read = list(_read_all(home))
    by_digest = {artifact.digest: artifact.node.path for artifact in read}
    sets: dict[str, str] = {}
    for artifact in sorted(read, key=lambda artifact: artifact.node.used):
        if artifact.of_set:
            # Of equal sets of episodes, the last one used.
            sets[artifact.of_set] = artifact.node.path
    nodes = {artifact.node.path: _node(artifact, by_digest, sets) for artifact in read}
    return Graph(nodes, by_digest)


def _node(artifact: _Read, by_digest: Mapping[str, str], sets: Mapping[str, str]) -> Node:
    needs = {path for digest in artifact.inputs if (path := by_digest.get(digest))}
    needs |= {path for digest in artifact.inputs if (path := sets.get(digest))}
    return replace(artifact.node, needs=(artifact.node.needs | needs) - {artifact.node.path})


def _read_all(home: Home) -> Iterator[_Read]:
    for manifest in home.store.glob(f"*/*/*/{MANIFEST}"):
        # Another process can quarantine a damaged one in the meantime.
        with suppress(FileNotFoundError):
            yield _read_artifact(home, manifest)


def _read_artifact(home: Home, manifest: Path) -> _Read:
    folder = manifest.parent
    text = manifest.read_bytes()
    stage, task = folder.parts[-3:-1]
    documents = [path for path in folder.glob("*.json") if path.name not in (MANIFEST, SUMMARY)]
    paths = {match.decode() for path in documents for match in _PATH.findall(path.read_bytes())}
    for of, name, table in _SETS:
        if stage == of and (folder / name).is_file():
            set_ = _parse((folder / name).read_bytes()).get("set", "")
            paths |= catalog.ended_paths(home, task, set_, table)
    return _Read(
        Node(
            path=folder.relative_to(home.root).as_posix(),
            stage=stage,
            task=task,
            bytes=size_of(folder),
            used=folder.stat().st_mtime,
            needs=frozenset(paths),
        ),
        digest=hashlib.sha256(text).hexdigest(),
        inputs=frozenset(_DIGEST.findall(canonical(_parse(text).get("inputs", {})))),
        of_set=_of_set(folder) if stage == _EPISODES else None,
    )


def _of_set(folder: Path) -> str | None:
    summary = folder / SUMMARY
    return _parse(summary.read_bytes()).get("digest") if summary.is_file() else None


def _parse(text: bytes) -> Json:
    """Parse a document; return None for a damaged one, which the next run quarantines."""
    with suppress(ValueError):
        value = json.loads(text)
        return value if isinstance(value, dict) else {}
    return {}


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links count by their share."""
    if not path.is_dir() or path.is_symlink():
        return _share(path.lstat()) if path.is_symlink() or path.exists() else 0
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                total += _share(os.lstat(os.path.join(folder, name)))  # noqa: PTH118
    return total


def _share(stat: os.stat_result) -> int:
    return stat.st_size // max(stat.st_nlink, 1)


@dataclass(frozen=True)
class Root:
    """An artifact that must be kept.

    Attributes:
        path: path of its folder, relative to the home.
        why: short reason.
        weak: whether it can be rebuilt, so that a budget can delete it.
    """

    path: str
    why: str
    weak: bool = False


def roots(home: Home, graph: Graph, used_since: float) -> Iterator[Root]:
    """Yield the artifacts to keep, possibly several times with different reasons.

    Artifacts used after `used_since`, s since the epoch, count as in use.

    Raises:
        KinemillError: There is no registry, or it cannot be read, but there are models in it.
    """
    yield from _of_versions(home, graph)
    for folder in sorted(home.store.glob("dataset/*")):
        for newest in dataset_versions(home, folder.name, limit=1):
            yield Root(newest.ref.path, f"newest dataset of {folder.name}")
    for path in sorted((home.dagster / "refs" / "latest").glob("*/*.json")):
        yield from _named_in(path, f"latest {path.stem} of {path.parent.name}")
    for path in sorted(home.store.glob("index/*/*.json")):
        yield from _named_in(path, f"index of the next ingest of {path.parent.name}")
    for task, path in chain(
        *(catalog.live_paths(home, table) for table in (recordings, evaluated))
    ):
        yield Root(path, f"recording of {task}, in the catalog")
    yield from _newest(graph)
    yield from _handed_on(home, used_since)
    for node in graph.nodes.values():
        if node.used > used_since:
            yield Root(node.path, "used recently")


def _newest(graph: Graph) -> Iterator[Root]:
    """Yield the most recently used snapshots, even without the caches that refer to them."""
    last: dict[tuple[str, str], Node] = {}
    for node in sorted(graph.nodes.values(), key=lambda node: node.used):
        if node.stage in _SNAPSHOTS:
            last[node.stage, node.task] = node
    for node in last.values():
        yield Root(node.path, f"newest {node.stage} of {node.task}")


def _handed_on(home: Home, used_since: float) -> Iterator[Root]:
    for run in sorted((home.dagster / "refs" / "runs").glob("*")):
        if _last_used(run) > used_since:
            for path in sorted(run.rglob("*.json")):
                yield from _named_in(path, f"used in run {run.name}")


def _last_used(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.rglob("*")), default=0.0)


def _named_in(document: Path, why: str) -> Iterator[Root]:
    for path in _STORE_PATH.findall(document.read_bytes()):
        yield Root(path.decode(), why)


def _of_versions(home: Home, graph: Graph) -> Iterator[Root]:
    if not home.has_registry:
        if any(node.stage == "bundle" for node in graph.nodes.values()):
            raise KinemillError(
                home.mlflow_db,
                "is missing, but models were registered in it: the champions are unknown",
                fix="restore a backup: kinemill admin restore FOLDER",
            )
        return
    for task in all_aliases(home):
        versions = versions_of(home, task)
        for version in versions:
            weak = not version.aliases and version is not versions[0]
            yield from _of_version(home, graph, version, weak=weak)


def _of_version(home: Home, graph: Graph, version: Version, *, weak: bool) -> Iterator[Root]:
    stamped = version.tags
    name = " and ".join(version.aliases) or (version.decision or "undecided")
    why = f"{version.task} version {version.number}, {name}"
    # For a reference model, also keep the model of the same run for a warm start.
    named = (tags.BUNDLE, tags.MODEL_FOLDER, tags.TRAINED_FOLDER)
    paths = [stamped[tag] for tag in named if tag in stamped]
    if report := stamped.get(tags.REPORT):
        paths.append(Path(report).parent.as_posix())
    for tag in (tags.DATASET, tags.MODEL, tags.VERIFICATION):
        paths += graph.at(stamped.get(tag))
    paths += _catalog_paths(home, version)
    yield from (Root(path, why, weak) for path in dict.fromkeys(paths))


def _catalog_paths(home: Home, version: Version) -> list[str]:
    """Return the path of the version's dataset from the catalog, despite a damaged manifest."""
    try:
        return [find_dataset(home, version.task, version.tags.get(tags.DATASET, "")).ref.path]
    except BadInput:
        return []
