"""Metric trackers in addition to MLflow and the training folder: the `track` part of a task.

They do not affect the result, so no cache key contains them. Third parties add trackers through
entry points of the group `kinemill.tracking.trackers`.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kinemill.registry import Registry
from kinemill.task.plugins import Plugin
from kinemill.task.protocols import Tracker

TRACKERS: "Registry[type[Track]]" = Registry("kinemill.tracking.trackers", "tracker")


@dataclass(frozen=True)
class Training:
    """A training, input of a tracker.

    Attributes:
        task: name of the task.
        key: digest of the training, equal after a resume.
        folder: existing folder of the training, for files.
        log_message: reports a message to the user.
    """

    task: str
    key: str
    folder: Path
    log_message: Callable[[str], None]


class Opened(Tracker, Protocol):
    """An open `Tracker`; a repeated step replaces its earlier values."""

    def close(self, ended_well: bool) -> None:
        """Write buffered records and close; the last call."""
        ...


class Track(Plugin):
    """Settings of an additional metric tracker."""

    @abstractmethod
    def open(self, training: Training) -> Opened:
        """Open the tracker for a new or resumed training; it can raise any error."""
