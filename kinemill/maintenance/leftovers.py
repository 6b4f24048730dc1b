"""Leftovers of runs: temporary files of dead processes, logs, and files of deleted runs."""

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from kinemill.maintenance.artifact_graph import size_of
from kinemill.maintenance.items import Item, drop
from kinemill.maintenance.liveness import OldRun, Orchestrator, at_work
from kinemill.register.versions import versions_of
from kinemill.store import MANIFEST, Home
from kinemill.tracking.maintenance import deleted_runs

# Folders with temporary files; drop folders, and `artifacts/` where users upload files, are not.
_FOLDERS = ("store", "dagster", "runs", "alerts", "tune", "backups")
_PIECES = (".aside-*", ".mlflow-*", ".locks/use/*", *(f"{name}/**/.aside-*" for name in _FOLDERS))


def pieces(home: Home, cutoff: float) -> Iterator[Item]:
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


def drafts(home: Home, cutoff: float) -> Iterator[Item]:
    """Yield drafts of new tasks that were last changed before a time."""
    for path in home.drafts.glob("*"):
        if _last_change(path) < cutoff:
            yield _item(home, "draft", path, "no task was created from it")


def damaged(home: Home, cutoff: float) -> Iterator[Item]:
    """Yield damaged artifacts that were quarantined before a time."""
    for path in (home.store / ".corrupt").glob("*"):
        if _last_change(path) < cutoff:
            yield _item(home, "damaged artifact", path, "damaged; rebuilt if needed")


def training_logs(home: Home, cutoff: float, required: Collection[str]) -> Iterator[Item]:
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


def run_logs(home: Home, orchestrator: Orchestrator, cutoff: float) -> Iterator[Item]:
    """Yield old runs of the orchestrator with their events, output and references."""
    for run in orchestrator.old_runs(cutoff):
        size = sum(size_of(path) for path in run.files)
        forget = partial(_forget, home, orchestrator, run)
        yield Item("run", run.id, run.task, size, run.ended, "ended long ago", forget)


def _forget(home: Home, orchestrator: Orchestrator, run: OldRun) -> bool:
    orchestrator.forget_run(run.id)
    for path in run.files:
        if path.exists():
            drop(home, path)
    return True


def deleted_in_mlflow(home: Home) -> Iterator[Item]:
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
            remove = partial(drop, home, folder)
            size = size_of(folder)
            yield Item("MLflow files", name, run.experiment, size, run.ended, why, remove)


def _is_below(path: Path, folder: Path) -> bool:
    return ".." not in path.parts and path.is_relative_to(folder)


def _item(home: Home, kind: str, path: Path, why: str, task: str = "") -> Item:
    name = path.relative_to(home.root).as_posix()
    used = _last_change(path)
    return Item(kind, name, task, size_of(path), used, why, partial(drop, home, path))


def _last_change(path: Path) -> float:
    """Return the last change in a file or folder, s since the epoch."""
    inner = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return max((each.lstat().st_mtime for each in [path, *inner]), default=0.0)
