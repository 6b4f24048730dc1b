"""Shared state of the conditions of one evaluation: home, time, task files, and their decisions."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from kinemill.store.home import Home
from kinemill.task import Task, load_task

_LISTED = 20  # tasks named in the reason of a tick


@dataclass(frozen=True)
class Decision:
    """Decision of a condition: a run or none, the reason, and the new cursor."""

    request: dg.RunRequest | None
    why: str
    cursor: str | None

    @property
    def is_due(self) -> bool:
        """Whether a run is requested."""
        return self.request is not None


@dataclass
class Tick:
    """One evaluation of the conditions.

    Attributes:
        instance: Dagster's instance, with the runs.
        home: the home of kinemill.
        moment: time of the evaluation, s since the epoch.
        events: new states of external assets.
        warnings: faults of single tasks.
    """

    instance: dg.DagsterInstance
    home: Home = field(default_factory=Home.resolve)
    moment: float = field(default_factory=time.time)
    events: list[dg.AssetMaterialization] = field(default_factory=list[dg.AssetMaterialization])
    warnings: list[str] = field(default_factory=list[str])
    _decisions: dict[str, list[Decision]] = field(default_factory=dict[str, list[Decision]])

    def load(self, task: Task) -> Task:
        """Return the task as it is in its file now; parsed again only when the file changed."""
        if task.path is None:
            return task
        status = task.path.stat()
        signature = (status.st_mtime_ns, status.st_size, status.st_ino)
        if (cached := _loaded.get(task.path)) is None or cached[0] != signature:
            _loaded[task.path] = (signature, load_task(task.path))
        return _loaded[task.path][1]

    def note(self, task: str, decision: Decision) -> None:
        """Record the decision of a condition."""
        self._decisions.setdefault(task, []).append(decision)

    def report(self, event: dg.AssetMaterialization) -> None:
        """Record the new state of an external asset."""
        self.events.append(event)

    def warn(self, message: str) -> None:
        """Record the fault of a task."""
        self.warnings.append(message)

    def decisions(self, task: str) -> list[Decision]:
        """Return the decisions about a task, in the order of evaluation."""
        return self._decisions.get(task, [])

    def summary(self) -> str:
        """Return the reasons why no run was requested, shortened for many tasks."""
        reasons = [
            f"{task}: {', '.join(one.why for one in listed)}"
            for task, listed in sorted(self._decisions.items())
        ]
        more = f"; and {len(reasons) - _LISTED} more tasks" if len(reasons) > _LISTED else ""
        return f"{'; '.join(reasons[:_LISTED])}{more}" or "no condition reads the home"


_loaded: dict[Path, tuple[tuple[int, int, int], Task]] = {}  # by this process
_CURRENT: ContextVar[Tick] = ContextVar("tick")


@contextmanager
def open_tick(instance: dg.DagsterInstance) -> Generator[Tick]:
    """Make a tick the current one."""
    token = _CURRENT.set(Tick(instance))
    try:
        yield _CURRENT.get()
    finally:
        _CURRENT.reset(token)


def current_tick() -> Tick:
    """Return the current tick.

    Raises:
        LookupError: No sensor of kinemill evaluates the conditions.
    """
    return _CURRENT.get()
