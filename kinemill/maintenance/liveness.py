"""Who is at work in a home now, and since when: what they use is left alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from kinemill.store.home import Home
from kinemill.store.locks import Holder, holders

_IDLE = {"up", "maintenance", "alerts"}  # held by who uses no outcome


@dataclass(frozen=True)
class OldRun:
    """A run of the orchestrator that ended long ago, and that nothing shown goes back to.

    Attributes:
        id: of the run.
        task: whose chain it was, or "".
        ended: s since the epoch.
        files: its logs and its own storage.
    """

    id: str
    task: str
    ended: float
    files: Sequence[Path]


class Orchestrator(Protocol):
    """What the keeper asks of whoever runs chains."""

    def live_since(self) -> float | None:
        """Return when the oldest run that has not ended was made, s since the epoch, or None."""
        ...

    def old_runs(self, cutoff: float) -> Iterable[OldRun]:
        """Yield runs that ended before a time, without those that show what is latest."""
        ...

    def forget_run(self, run: str) -> None:
        """Delete a run with its events, logs and files."""
        ...


class NoOrchestrator:
    """The orchestrator of a home in which none has ever run."""

    def live_since(self) -> float | None:
        """Return None."""
        return None

    def old_runs(self, cutoff: float) -> Iterable[OldRun]:
        """Return none."""
        del cutoff
        return ()

    def forget_run(self, run: str) -> None:
        """Have none to delete."""


def at_work(home: Home) -> list[Holder]:
    """Return who holds a lock of the home and uses its outcomes."""
    return [one for one in holders(home) if one.lock not in _IDLE]


def oldest(home: Home, orchestrator: Orchestrator) -> float | None:
    """Return since when somebody has been at work, s since the epoch, or None."""
    times = [datetime.fromisoformat(one.since).timestamp() for one in at_work(home)]
    since = orchestrator.live_since()
    return min([*times, *([] if since is None else [since])], default=None)
