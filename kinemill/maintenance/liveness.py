"""Liveness: processes that use a home, and their start; artifacts in use are kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from kinemill.store.home import Home
from kinemill.store.locks import Holder, holders

_IDLE = {"up", "maintenance", "alerts"}  # locks of processes that use no artifacts


@dataclass(frozen=True)
class OldRun:
    """An old run of the orchestrator that is not the latest of its kind.

    Attributes:
        task: name of its task, or "".
        ended: end of the run, s since the epoch.
        files: its logs and storage.
    """

    id: str
    task: str
    ended: float
    files: Sequence[Path]


class Orchestrator(Protocol):
    """Protocol of the program that runs pipelines."""

    def live_since(self) -> float | None:
        """Return the start of the oldest active run, s since the epoch, or None."""
        ...

    def old_runs(self, cutoff: float) -> Iterable[OldRun]:
        """Yield runs that ended before a time, without the latest ones."""
        ...

    def forget_run(self, run: str) -> None:
        """Delete a run with its events, logs and files."""
        ...


class NoOrchestrator:
    """The orchestrator of a home without runs."""

    def live_since(self) -> float | None:
        """Return None."""
        return None

    def old_runs(self, cutoff: float) -> Iterable[OldRun]:
        """Return no runs."""
        del cutoff
        return ()

    def forget_run(self, run: str) -> None:
        """Do nothing: there are no runs."""


def at_work(home: Home) -> list[Holder]:
    """Return the holders of locks that use artifacts of the home."""
    return [holder for holder in holders(home) if holder.lock not in _IDLE]


def oldest(home: Home, orchestrator: Orchestrator) -> float | None:
    """Return the start of the oldest active process, s since the epoch, or None."""
    times = [datetime.fromisoformat(holder.since).timestamp() for holder in at_work(home)]
    since = orchestrator.live_since()
    return min([*times, *([] if since is None else [since])], default=None)
