"""The small Protocols through which stages reach what lies above or outside them."""

from collections.abc import Mapping
from typing import Any, Protocol


class Tracker(Protocol):
    """Where a training's parameters and metrics go while it runs (MLflow, or nowhere)."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings, once."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at a step; may buffer."""
        ...

    def flush(self) -> None:
        """Write what is buffered."""
        ...


class Progress(Protocol):
    """Who wants to hear how far a stage is: a terminal, Dagster's log, or nobody."""

    def say(self, message: str) -> None:
        """Tell something worth reading."""
        ...

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Tell that `done` of `total` pieces of a stage are done."""
        ...


class Silence:
    """A Tracker and Progress that nobody listens to."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Drop the settings."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Drop the metrics."""

    def flush(self) -> None:
        """Have nothing to write."""

    def say(self, message: str) -> None:
        """Drop the message."""

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Drop the news."""
