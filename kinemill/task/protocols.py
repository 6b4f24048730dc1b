"""The small Protocols through which stages reach what lies above or outside them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Where a training's parameters and metrics go while it runs (MLflow, or nowhere)."""

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


class Progress(Protocol):
    """Who wants to hear how far a stage is: a terminal, Dagster's log, or nobody."""

    def say(self, message: str) -> None:
        """Tell something worth reading."""
        ...

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Tell that `done` of `total` pieces of a stage are done."""
        ...


class NullReporter:
    """A Tracker and Progress that nobody listens to."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Drop the settings."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Drop the metrics."""

    def log_text(self, name: str, text: str) -> None:
        """Drop the text."""

    def flush(self) -> None:
        """Have nothing to write."""

    def say(self, message: str) -> None:
        """Drop the message."""

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Drop the news."""


class Champion(Protocol):
    """The model that robots load, as stages before the registry may ask about it.

    Symbols: N rows, C channels of its dataset, states, then actions.
    """

    @property
    def version(self) -> int:
        """Its version in the registry."""
        ...

    @property
    def folder(self) -> Path:
        """Where its checked rollout.onnx lies."""
        ...

    @property
    def model(self) -> str:
        """The sha256 of its rollout.onnx."""
        ...

    @property
    def dataset(self) -> str:
        """The digest of the dataset it learned from and was judged on."""
        ...

    def used(self) -> frozenset[str]:
        """Return the content hashes of the recordings on any side of its dataset."""
        ...

    def held_out(self, most: int) -> Iterator[tuple[str, str, Any]]:
        """Yield id, name and rows (N, C) of `most` episodes of its validation and test splits."""
        ...

    def training_rows(self, most: int) -> Any:
        """Return `most` rows (N, C), evenly chosen, of its training split."""
        ...


@dataclass(frozen=True)
class WarmStart:
    """The model that a training starts from.

    Attributes:
        address: `models:/TASK/3`, the version that an alias stood for, or the folder.
        digest: of the model's published files.
        folder: where its `weights.safetensors` and `model.json` are.
        note: what a user has to know about it, or "".
    """

    address: str
    digest: str
    folder: str
    note: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return asdict(self)
