"""Where a training's numbers go beside MLflow and its own folder: what `track` of a task lists.

None of it changes what is learned, so it is no part of any key. Third parties add trackers through
entry points of the group `kinemill.tracking.trackers`.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kinemill.registry import Registry
from kinemill.task.plugins import Plugin

TRACKERS: "Registry[type[Track]]" = Registry("kinemill.tracking.trackers", "tracker")


@dataclass(frozen=True)
class Training:
    """What a tracker is opened for.

    Attributes:
        task: name of the task.
        key: digest of what is trained; a training that goes on after a kill has the same.
        folder: of the training, for files; it is there.
        say: tells a person.
    """

    task: str
    key: str
    folder: Path
    say: Callable[[str], None]


class Opened(Protocol):
    """A `Tracker` that is closed in the end; a step that comes again replaces what was there."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings, once."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at a step; may buffer."""
        ...

    def log_text(self, name: str, text: str) -> None:
        """Record a text under a name such as `config`; of the same name the last one counts."""
        ...

    def flush(self) -> None:
        """Write what is buffered."""
        ...

    def close(self, ended_well: bool) -> None:
        """Write all there is; nothing comes after."""
        ...


class Track(Plugin):
    """Settings of one more place for the numbers of a training, and how to open it."""

    @abstractmethod
    def open(self, training: Training) -> Opened:
        """Open it for a training that begins or goes on; whatever goes wrong may be raised."""


def as_tracks(value: Any) -> Any:
    """Take `tensorboard` and `[tensorboard, {type: wandb}]` for lists of settings."""
    listed = value if isinstance(value, list) else [value]
    return [{"type": one} if isinstance(one, str) else one for one in listed]
