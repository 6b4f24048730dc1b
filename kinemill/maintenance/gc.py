"""Garbage collection: delete artifacts that no registered version depends on, oldest first.

The order is: temporary files of dead processes, logs, then unused artifacts, the least recently
used first. An artifact is deleted after its dependents, so that a crash leaves no artifact without
its inputs. With a budget, collection ends when the home is small enough. Training sets of versions
that are neither newest nor under an alias are deleted last: a run can rebuild them identically.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from kinemill.maintenance.artifact_graph import Graph, Root, roots, size_of, survey
from kinemill.maintenance.liveness import OldRun, Orchestrator, at_work, oldest
from kinemill.register.versions import versions_of
from kinemill.store import MANIFEST, Home, Json, fault_point
from kinemill.store.locks import lock
from kinemill.task.protocols import Progress
from kinemill.tracking.maintenance import deleted_runs

DAY = 86400.0  # s
_MARGIN = 60.0  # s before the start of a process, in which it can have looked up artifacts
_AGAIN = ("training_set",)  # stages whose artifacts a run can rebuild identically

# Folders with temporary files; drop folders, and `artifacts/` where users upload files, are not.
_FOLDERS = ("store", "dagster", "runs", "alerts", "tune", "backups")
_PIECES = (".aside-*", ".mlflow-*", ".locks/use/*", *(f"{name}/**/.aside-*" for name in _FOLDERS))


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
        deleted: list[_Item] = []
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


@dataclass(frozen=True)
class _Item:
    """A deletable item.

    Attributes:
        kind: displayed kind: `model`, `training log`.
        name: path relative to the home, or id of a run.
        task: name of its task, or "".
        bytes: bytes to free.
        used: last use, s since the epoch.
        why: short reason for the deletion.
        remove: deletes the item; returns whether it was deleted.
    """

    kind: str
    name: str
    task: str
    bytes: int
    used: float
    why: str
    remove: Callable[[], bool]


def _candidates(
    home: Home, limits: Limits, look: _Look, orchestrator: Orchestrator, *, short: bool
) -> Iterator[_Item]:
    """Yield deletable items in the order of deletion."""
    old = time.time() - limits.logs * DAY
    lists = (
        _pieces(home, min(look.began, time.time() - DAY)),
        _old(home, "draft", home.drafts, time.time() - DAY, "no task was created from it"),
        _old(home, "damaged artifact", home.store / ".corrupt", old, "damaged; rebuilt if needed"),
        deleted_in_mlflow(home),
        _training_logs(home, old, look.required.keys() - look.weak),
        _run_logs(home, orchestrator, old),
    )
    for items in lists:
        for item in sorted(items, key=lambda item: item.used):
            if limits.task in (None, item.task):
                yield item
    yield from _unused_artifacts(home, limits, look)
    if short:
        yield from _made_again(home, limits, look)


def _unused_artifacts(home: Home, limits: Limits, look: _Look) -> Iterator[_Item]:
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


def _made_again(home: Home, limits: Limits, look: _Look) -> Iterator[_Item]:
    weak = [look.graph.nodes[path] for path in look.weak if path in look.graph.nodes]
    for node in sorted(weak, key=lambda node: (node.used, node.path)):
        if node.stage in _AGAIN and limits.task in (None, node.task):
            yield _artifact_item(
                home, look, node.path, f"can be rebuilt ({look.required[node.path]})"
            )


def _artifact_item(home: Home, look: _Look, path: str, why: str) -> _Item:
    node = look.graph.nodes[path]
    remove = partial(_drop, home, home.root / path, look.used_since)
    return _Item(node.stage, path, node.task, node.bytes, node.used, why, remove)


def _document(home: Home, limits: Limits, look: _Look, deleted: list[_Item], old_size: int) -> Json:
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


def _pieces(home: Home, cutoff: float) -> Iterator[_Item]:
    """Yield abandoned temporary files, last changed before a time.

    Args:
        home: the home.
        cutoff: s since the epoch, before the start of any process at work.
    """
    staged = (home.store / ".staging").glob("*")
    for path in [*staged, *(path for pattern in _PIECES for path in home.root.glob(pattern))]:
        is_deleted = path.name.startswith(("gone-", "forgotten-"))
        if is_deleted or _last_change(path) < cutoff:
            why = "was being deleted" if is_deleted else "temporary file of a dead process"
            yield _item(home, "piece", path, why)


def _old(home: Home, kind: str, folder: Path, cutoff: float, why: str) -> Iterator[_Item]:
    """Yield what is in a folder and was last changed before a time, s since the epoch."""
    for path in folder.glob("*"):
        if _last_change(path) < cutoff:
            yield _item(home, kind, path, why)


def _training_logs(home: Home, cutoff: float, required: Collection[str]) -> Iterator[_Item]:
    """Yield logs and checkpoints of finished trainings that were last changed before a time.

    `cutoff` is in s since the epoch; logs of the models in `required` stay.
    """
    locked = {holder.lock for holder in at_work(home)}
    for folder in sorted(home.runs.glob("*/*")):
        task = folder.parent.name
        model = f"store/model/{task}/{folder.name}"
        ended = model not in required and (home.root / model / MANIFEST).is_file()
        if folder.is_dir() and ended and f"train/{task}/{folder.name}" not in locked:
            used = _last_change(folder)
            if used < cutoff:
                why = "log of a finished training"
                yield _item(home, "training log", folder, why, task)


def _run_logs(home: Home, orchestrator: Orchestrator, cutoff: float) -> Iterator[_Item]:
    """Yield old runs of the orchestrator with their events, output and references."""
    for run in orchestrator.old_runs(cutoff):
        size = sum(size_of(path) for path in run.files)
        forget = partial(_forget, home, orchestrator, run)
        yield _Item("run", run.id, run.task, size, run.ended, "ended long ago", forget)


def _forget(home: Home, orchestrator: Orchestrator, run: OldRun) -> bool:
    orchestrator.forget_run(run.id)
    for path in run.files:
        if path.exists():
            _drop(home, path)
    return True


def deleted_in_mlflow(home: Home) -> Iterator[_Item]:
    """Yield the files of MLflow runs that a user deleted and no version depends on."""
    if not home.has_registry:
        return
    required: dict[str, set[str | None]] = {}
    for run in deleted_runs(home):
        if run.experiment not in required:
            versions = versions_of(home, run.experiment)
            required[run.experiment] = {version.run_id for version in versions}
        folder = run.folder
        if folder is None or run.id in required[run.experiment] or not folder.is_dir():
            continue
        # The location comes from MLflow's database: delete nothing but the folder of this run.
        if folder.parent.name == run.id and _is_below(folder, home.artifacts):
            name = folder.relative_to(home.root).as_posix()
            why = f"MLflow's run {run.id} was deleted"
            remove = partial(_drop, home, folder)
            size = size_of(folder)
            yield _Item("MLflow files", name, run.experiment, size, run.ended, why, remove)


def _is_below(path: Path, folder: Path) -> bool:
    return ".." not in path.parts and path.is_relative_to(folder)


def _item(home: Home, kind: str, path: Path, why: str, task: str = "") -> _Item:
    name = path.relative_to(home.root).as_posix()
    used = _last_change(path)
    return _Item(kind, name, task, size_of(path), used, why, partial(_drop, home, path))


def _last_change(path: Path) -> float:
    """Return the last change in a file or folder, s since the epoch."""
    inner = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return max((each.lstat().st_mtime for each in [path, *inner]), default=0.0)


def _drop(home: Home, path: Path, used_since: float | None = None) -> bool:
    """Move a file or folder to `.staging/`, then delete it; a crash leaves no partial folder.

    Args:
        home: the home.
        path: the file or folder.
        used_since: s since the epoch; artifacts used later are kept. This is checked again after
            the move, to restore an artifact with a concurrent cache hit.

    Returns:
        Whether it was deleted.
    """
    aside = home.store / ".staging" / f"gone-{uuid4().hex}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    if _is_in_use(path, used_since):
        return False
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False  # another process deleted it
    fault_point("gc.aside")
    if _is_in_use(aside, used_since):
        with suppress(OSError):  # rebuilt identically in the meantime
            aside.rename(path)
            return False
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    else:
        aside.unlink()
    fault_point("gc.gone")
    return True


def _is_in_use(path: Path, used_since: float | None) -> bool:
    if used_since is None:
        return False
    with suppress(FileNotFoundError):
        return path.stat().st_mtime > used_since
    return False
