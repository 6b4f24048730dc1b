"""Garbage collection: delete artifacts that no registered version depends on, oldest first.

The order is: temporary files of dead processes, logs, then unused artifacts, the least recently
used first. An artifact is deleted after its dependents, so that a crash leaves no artifact without
its inputs. With a budget, collection ends when the home is small enough. Training sets of versions
that are neither newest nor under an alias are deleted last: a run can rebuild them identically.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from kinemill.maintenance import leftovers
from kinemill.maintenance.artifact_graph import Graph, size_of, survey
from kinemill.maintenance.gc_roots import Root, roots
from kinemill.maintenance.items import Item, drop
from kinemill.maintenance.liveness import Orchestrator, oldest
from kinemill.store import Home, Json
from kinemill.store.locks import lock
from kinemill.task.protocols import Progress

DAY = 86400.0  # s
_MARGIN = 60.0  # s before the start of a process, in which it can have looked up artifacts
_AGAIN = ("training_set",)  # stages whose artifacts a run can rebuild identically


@dataclass(frozen=True)
class Limits:
    """Limits of a collection.

    Attributes:
        task: only artifacts and logs of this task; None: of all tasks.
        budget: largest size of the home, bytes; None: no limit, delete all unused artifacts.
        unused: days without use after which an artifact can be deleted.
        logs: days after which logs can be deleted.
        dry: whether to report only.
    """

    task: str | None = None
    budget: int | None = None
    unused: float = 7.0
    logs: float = 30.0
    dry: bool = False


@dataclass(frozen=True)
class _Look:
    """State of the store: artifacts, required ones, and ones in use."""

    graph: Graph
    required: dict[str, str]  # reason by path
    weak: set[str]  # required only by versions that are neither newest nor under an alias
    used_since: float  # s since the epoch
    began: float  # start of the oldest process at work, s since the epoch; now without any


def collect(home: Home, limits: Limits, orchestrator: Orchestrator, progress: Progress) -> Json:
    """Delete unused files of a home, or report which ones.

    Artifacts of active runs of the orchestrator are kept, old runs are deleted. It returns the
    document of `kinemill admin gc`.

    Raises:
        KinemillError: The registry cannot be read, so required artifacts are unknown.
    """
    with lock(home, "maintenance", progress.log_message):
        old_size = size_of(home.root)
        look = _look(home, limits, orchestrator)
        excess = None if limits.budget is None else old_size - limits.budget
        deleted: list[Item] = []
        for item in _candidates(home, limits, look, orchestrator, short=excess is not None):
            if excess is not None and sum(deletion.bytes for deletion in deleted) >= excess:
                break
            if limits.dry or item.remove():
                deleted.append(item)
                progress.advance("gc", len(deleted), len(deleted), item.name)
        return _document(home, limits, look, deleted, old_size)


def _look(home: Home, limits: Limits, orchestrator: Orchestrator) -> _Look:
    now = time.time()
    working = oldest(home, orchestrator)
    began = now if working is None else working - _MARGIN
    used_since = min(now - limits.unused * DAY, began)
    graph = survey(home)
    gc_roots = list(roots(home, graph, used_since))
    strong = _required_by(graph, [root for root in gc_roots if not root.weak])
    required = _required_by(graph, [root for root in gc_roots if root.weak]) | strong
    return _Look(graph, required, set(required) - set(strong), used_since, began)


def _required_by(graph: Graph, gc_roots: list[Root]) -> dict[str, str]:
    """Return the reason of each required artifact by path; dependencies inherit it."""
    required: dict[str, str] = {}
    for root in sorted(gc_roots, key=lambda root: "champion" not in root.why):  # best reason first
        waiting = [root.path]
        while waiting:
            path = waiting.pop()
            if path not in required:
                required[path] = root.why
                waiting += graph.nodes[path].needs if path in graph.nodes else ()
    return required


def _candidates(
    home: Home, limits: Limits, look: _Look, orchestrator: Orchestrator, *, short: bool
) -> Iterator[Item]:
    """Yield deletable items in the order of deletion."""
    old = time.time() - limits.logs * DAY
    lists = (
        leftovers.pieces(home, min(look.began, time.time() - DAY)),
        leftovers.drafts(home, time.time() - DAY),
        leftovers.damaged(home, old),
        leftovers.deleted_in_mlflow(home),
        leftovers.training_logs(home, old, look.required.keys() - look.weak),
        leftovers.run_logs(home, orchestrator, old),
    )
    for items in lists:
        for item in sorted(items, key=lambda item: item.used):
            if limits.task in (None, item.task):
                yield item
    yield from _unused_artifacts(home, limits, look)
    if short:
        yield from _made_again(home, limits, look)


def _unused_artifacts(home: Home, limits: Limits, look: _Look) -> Iterator[Item]:
    """Yield unused artifacts, oldest first, dependents before their inputs."""
    nodes = look.graph.nodes
    needed_by = look.graph.needed_by()
    text = set[str]()
    free = [node for path, node in nodes.items() if path not in look.required]
    for node in sorted(free, key=lambda node: (node.used, node.path)):
        if limits.task not in (None, node.task):
            continue
        waiting = [node.path]
        while waiting:
            path = waiting[-1]
            users = [u for u in needed_by.get(path, ()) if u not in text and u not in look.required]
            if users:
                waiting += users
                continue
            waiting.pop()
            if path not in text:
                text.add(path)
                yield _artifact_item(home, look, path, "no registered version depends on it")


def _made_again(home: Home, limits: Limits, look: _Look) -> Iterator[Item]:
    weak = [look.graph.nodes[path] for path in look.weak if path in look.graph.nodes]
    for node in sorted(weak, key=lambda node: (node.used, node.path)):
        if node.stage in _AGAIN and limits.task in (None, node.task):
            yield _artifact_item(
                home, look, node.path, f"can be rebuilt ({look.required[node.path]})"
            )


def _artifact_item(home: Home, look: _Look, path: str, why: str) -> Item:
    node = look.graph.nodes[path]
    remove = partial(drop, home, home.root / path, look.used_since)
    return Item(node.stage, path, node.task, node.bytes, node.used, why, remove)


def _document(home: Home, limits: Limits, look: _Look, deleted: list[Item], old_size: int) -> Json:
    counts = Counter[str]()
    sizes = Counter[str]()
    for item in deleted:
        counts[item.kind] += 1
        sizes[item.kind] += item.bytes
    new_size = old_size - sum(sizes.values())
    nodes = look.graph.nodes
    return {
        "home": str(home.root),
        "dry_run": limits.dry,
        "bytes": {"before": old_size, "after": new_size, "budget": limits.budget},
        "within_budget": limits.budget is None or new_size <= limits.budget,
        "freed": {kind: {"things": counts[kind], "bytes": sizes[kind]} for kind in sorted(counts)},
        "gone": [
            {"kind": item.kind, "name": item.name, "bytes": item.bytes, "why": item.why}
            for item in deleted
        ],
        "kept": [
            {"kind": nodes[path].stage, "name": path, "bytes": nodes[path].bytes, "why": why}
            for path, why in sorted(look.required.items())
            if path in nodes and path not in {item.name for item in deleted}
        ],
    }
