"""GC roots: artifacts that garbage collection must keep, with reasons.

- inputs and files of registered versions, champion or not;
- each task's newest dataset, the latest artifact of each stage, and those that its caches refer
  to, which include quarantined recordings;
- recordings in the catalog;
- artifacts given to a run that is active or ended a short while ago;
- artifacts that were published or found cached since then.

Raw bytes, drop folders, memberships, decisions, catalogs and audit logs are never candidates.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from kinemill import catalog
from kinemill.catalog.tables import evaluated, recordings
from kinemill.dataset import dataset_versions
from kinemill.dataset import find_version as find_dataset
from kinemill.errors import BadInput, KinemillError
from kinemill.maintenance.artifact_graph import Graph, Node
from kinemill.register import tags
from kinemill.register.versions import Version, all_aliases, versions_of
from kinemill.store.home import Home

# The first two refer to quarantined recordings; a selection is what the next unchanged run reads.
_SNAPSHOTS = {"recordings", "episodes", "selection"}
_PATH = re.compile(rb'"path":\s*"(store/[^"]+)"')


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
    for path in _PATH.findall(document.read_bytes()):
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
