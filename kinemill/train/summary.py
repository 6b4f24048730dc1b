"""Summary of a trained model, stored with the artifact `model`."""

from dataclasses import dataclass, field

from kinemill.store import Json, StoredSummary
from kinemill.store.numbers import Number
from kinemill.task.protocols import WarmStart


@dataclass(frozen=True)
class StartModel:
    """Address and digest of the model that a training started from."""

    address: str
    digest: str

    @classmethod
    def of(cls, start: WarmStart | None) -> "StartModel | None":
        """Return address and digest of a warm start; None without one."""
        return cls(start.address, start.digest) if start else None


@dataclass(frozen=True)
class TrainedModel:
    """Folder, relative to the home, and digest of the model trained in the run of a reference."""

    path: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class LearnFacts:
    """Numbers of a training that depend on its result.

    Attributes:
        parameters: number of weights.
        windows: number of training windows; None for reinforcement learning.
        epochs: passes over the training windows; None for reinforcement learning and a portfolio.
        train_loss: last training loss; None for reinforcement learning.
        family: model family that a portfolio selected; None without one.
        objective: negative of the best return of reinforcement learning.
        reached: whether reinforcement learning reached its target return.
        final: result of the best policy on new seeds, as `Trials.document` returns it.
        reference: name of the reference that was published as a model; None for a trained model.
        fitted: value of each named parameter of custom equations, in its unit.
    """

    parameters: int
    windows: int | None = None
    epochs: float | None = None
    train_loss: float | None = None
    family: str | None = None
    objective: float | None = None
    reached: bool | None = None
    final: Json | None = None
    reference: str | None = None
    fitted: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, kw_only=True)
class ModelSummary(LearnFacts, StoredSummary):
    """Summary of a trained model, or of a reference that was published as one.

    Attributes:
        monitor: name of the series that selected the weights.
        best: smallest value of that series.
        steps: number of training steps; 0 for a reference.
        best_step: step of the weights.
        started_from: the model that the training started from; None without one.
        trained: the model that was trained in the same run, of a reference; None otherwise.
    """

    monitor: str
    best: Number
    steps: int = 0
    best_step: int = 0
    started_from: StartModel | None = None
    trained: TrainedModel | None = None
