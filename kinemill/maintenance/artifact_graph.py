"""Artifact graph: dependencies between the artifacts of all stages.

An artifact depends on another if the `inputs` of its manifest contain the digest of the other's
manifest, if one of its JSON documents contains the other's folder, or, for a dataset, if its
`inputs` contain the digest of the other's set of episodes. A snapshot of recordings or episodes
depends on those of its set that are no longer in the catalog; the others are kept anyway.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kinemill import catalog
from kinemill.catalog.tables import evaluated, recordings
from kinemill.ingest import snapshot
from kinemill.store import MANIFEST, SUMMARY, Home, Json, canonical
from kinemill.validate import published

_DIGEST = re.compile(r'"([0-9a-f]{64})"')
_PATH = re.compile(rb'"(store/[a-z_]+/[a-z0-9_]+/[0-9a-f]{32})"')
_EPISODES = "episodes"
_SETS = (  # stage, file with the digest of a set, and table of the set
    (snapshot.STAGE, snapshot.SNAPSHOT, recordings),
    (_EPISODES, published.EPISODES, evaluated),
)


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
