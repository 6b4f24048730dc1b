"""Protocols through which stages use objects of higher layers."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Receives parameters and metrics during training, such as MLflow."""

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record the settings once."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at a step; implementations may buffer."""
        ...

    def log_text(self, name: str, text: str) -> None:
        """Record a text under a name such as `config`; a later text replaces it."""
        ...

    def flush(self) -> None:
        """Write buffered records."""
        ...


class Progress(Protocol):
    """Receives the progress of a stage: a terminal, Dagster's log, or a null object."""

    def log_message(self, message: str) -> None:
        """Report a message."""
        ...

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` parts of a stage are done."""
        ...


class NullReporter:
    """A Tracker and Progress that discards everything."""

    def log_params(self, params: Mapping[str, object]) -> None:
        """Drop the settings."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Drop the metrics."""

    def log_text(self, name: str, text: str) -> None:
        """Drop the text."""

    def flush(self) -> None:
        """Do nothing."""

    def log_message(self, message: str) -> None:
        """Drop the message."""

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Drop the progress."""


class ForwardingTracker:
    """A Tracker that forwards everything to another one, a base of those that add something."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def log_params(self, params: Mapping[str, object]) -> None:
        """Forward the settings."""
        self._tracker.log_params(params)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Forward the metrics."""
        self._tracker.log_metrics(metrics, step)

    def log_text(self, name: str, text: str) -> None:
        """Forward the text."""
        self._tracker.log_text(name, text)

    def flush(self) -> None:
        """Flush the tracker."""
        self._tracker.flush()


class TorchModule(Protocol):
    """Protocol of `torch.nn.Module`, for code that does not import torch."""

    training: bool

    def parameters(self, recurse: bool = True) -> Iterator[object]:
        """Yield the parameters."""
        ...


class Champion(Protocol):
    """The deployed model, as visible to stages before the registry.

    Symbols: N rows, C channels of its dataset, states, then actions.
    """

    @property
    def version(self) -> int:
        """Its version in the registry."""
        ...

    @property
    def folder(self) -> Path:
        """The folder of its verified rollout.onnx."""
        ...

    @property
    def model(self) -> str:
        """The sha256 of its rollout.onnx."""
        ...

    @property
    def dataset(self) -> str:
        """The digest of the dataset it was trained and evaluated on."""
        ...

    def used(self) -> frozenset[str]:
        """Return the content hashes of the recordings in all splits of its dataset."""
        ...

    def held_out(self, most: int) -> Iterator[tuple[str, str, Any]]:
        """Yield id, name and rows (N, C) of up to `most` validation and test episodes."""
        ...

    def training_rows(self, most: int) -> Any:
        """Return up to `most` evenly spaced rows (N, C) of its training split."""
        ...


@dataclass(frozen=True)
class WarmStart:
    """The model that a training starts from.

    Attributes:
        address: `models:/TASK/3`, the version that an alias resolved to, or the folder.
        digest: digest of the model's published files.
        folder: folder of its `weights.safetensors` and `model.json`.
        note: message for the user, or "".
    """

    address: str
    digest: str
    folder: str
    note: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the warm start as a JSON object."""
        return asdict(self)
