"""Settings common to all learn types, with the reason for each default."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kinemill.errors import BadInput
from kinemill.store import ArtifactRef, Home, Json
from kinemill.task.bounds import BatchSize, Count, Epochs, PositiveQuantity, Processes, Seed, Steps
from kinemill.task.hooks import located
from kinemill.task.plugins import (
    OPTIMIZERS,
    SCHEDULES,
    Optimizer,
    Plugin,
    Schedule,
    Settings,
    pick,
    usual,
)
from kinemill.task.stages import Patterns, as_list
from kinemill.task.web_overrides import CODE, MODEL

DATASETS = "datasets:/"  # addresses of demonstrations


class Keep(Settings):
    """Which checkpoints to keep; each also holds the best weights so far."""

    last: Count = 2
    """number of newest checkpoints to keep; if one is damaged, training resumes from the one
    before"""
    every: Steps | None = None
    """also write a permanent checkpoint every this many steps"""


class Learn(Plugin):
    """Settings common to all learn types: optimizer, budget, early stopping, seed.

    Attributes:
        gives: kind of the result: a dynamics model or a policy.
        from_logs: whether it learns from episodes; if not, only from the task's environment.
        parts: parts of the task file, in addition to `learn`, on which the weights depend.
        reads_texts: whether policies observe texts; if not, those of an environment are ignored.
        reads_clips: whether `check_clips` needs the values of the training episodes.
        version: increased when the same inputs lead to different weights, so that models are
            retrained.
    """

    gives: ClassVar[Literal["dynamics", "policy"]] = "dynamics"
    from_logs: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("dt", "channels")
    reads_texts: ClassVar[bool] = True
    reads_clips: ClassVar[bool] = False
    version: ClassVar[int] = 3

    optimizer: Annotated[
        SerializeAsAny[Optimizer], BeforeValidator(pick(OPTIMIZERS, Optimizer))
    ] = Field(default_factory=lambda: usual(OPTIMIZERS))
    """optimizer of the weights"""
    schedule: Annotated[SerializeAsAny[Schedule], BeforeValidator(pick(SCHEDULES, Schedule))] = (
        Field(default_factory=lambda: usual(SCHEDULES))
    )
    """learning rate over the training"""
    start_from: Annotated[str | None, MODEL] = None
    """start weights and scaling: a trained model, models:/TASK@champion, models:/TASK/3, or a
    folder; with `pretrain` of reinforcement also datasets:/TASK, datasets:/TASK/3"""
    freeze: Annotated[Patterns, BeforeValidator(as_list)] = []
    """name patterns of weights that are not trained"""
    batch_size: BatchSize = 256
    """windows per batch"""
    accumulate: Count = 1
    """micro-batches of `batch_size` windows to accumulate per optimizer step"""
    steps: Steps | None = 4000
    """largest number of optimizer steps; null with `epochs`"""
    epochs: Epochs | None = None
    """passes over the training windows, instead of `steps`"""
    patience: Count | None = 10
    """evaluations without improvement before early stopping"""
    grad_clip: PositiveQuantity | None = 1.0
    """largest norm of the gradient; null: no clipping"""
    ema: float | None = Field(default=None, gt=0.0, lt=1.0)
    """decay of the exponential moving average of weights, such as 0.999; the averaged weights are
    evaluated and published"""
    amp: Literal["off", "bf16", "fp16"] = "off"
    """train networks in low precision by autocast; evaluation stays in float32"""
    deterministic: bool = False
    """use deterministic kernels: repeated trainings on a GPU are bit-identical, and slower"""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """device of the training; auto: a GPU if there is one"""
    compile: Literal["auto", "on", "off"] = "auto"
    """compile the training step; auto: from 20,000 equal steps, on a CPU"""
    cuda_graph: Literal["auto", "on", "off"] = "auto"
    """capture training steps as CUDA graphs; auto: on a GPU, if all steps are alike"""
    matmul: Literal["highest", "high", "medium"] = "highest"
    """precision of float32 matrix multiplication in training steps; high: TF32 on a GPU; medium:
    bfloat16 units, faster on some CPUs if matrices are large"""
    threads: Processes = 1
    """CPU threads; small models are slower with two on a busy machine"""
    seed: Seed = 0
    """seed of initial weights and of the order of batches"""
    eval_every: Steps = 200
    """steps between evaluations on validation data"""
    save_every: Steps = 500
    """steps between checkpoints"""
    keep: Keep = Keep()
    """checkpoints to keep"""
    log_every: Steps = 50
    """steps between logged training metrics"""
    eval_callback: Annotated[str | None, CODE] = None
    """`module:function` or `file.py:function` next to the task file: (simulator, task) -> numbers
    by name, called at each evaluation and logged as eval/*"""

    @model_validator(mode="wrap")
    @classmethod
    def _has_one_length(cls, value: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return handler(cls.with_one_length(cast(Json, value)) if isinstance(value, dict) else value)

    @classmethod
    def with_one_length(cls, settings: Json) -> Json:
        """Return settings in which exactly one of `steps` and `epochs` is set.

        Raises:
            ValueError: Both are set, or both are null.
        """
        lengths = {name: settings.get(name) for name in ("steps", "epochs")}
        names = [name for name, number in lengths.items() if number is not None]
        if len(names) == 1:
            return settings | lengths
        if not names and not lengths.keys() & settings.keys():
            return settings  # the defaults hold
        text = " and ".join(
            f"`{name}: {'null' if number is None else number}`" for name, number in lengths.items()
        )
        raise ValueError(f"found {text}; expected exactly one of them")

    @field_validator("eval_callback")
    @classmethod
    def _module_and_function(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else located(value, info)

    @property
    def total_steps(self) -> int:
        """Number of optimizer steps.

        Raises:
            BadInput: Only `epochs` is set; use `with_steps` first.
        """
        if self.steps is None:
            fix = "use the settings that `with_steps` returns"
            raise BadInput("learn.steps", "was not derived from learn.epochs", fix=fix)
        return self.steps

    def epoch_steps(self, windows: int) -> int:
        """Return the optimizer steps of one pass over the training windows, in whole batches."""
        return windows // min(self.batch_size * self.accumulate, windows)

    def with_steps(self, windows: int) -> Self:
        """Return the settings with `steps`, derived from `epochs` if these are set.

        Args:
            windows: number of training windows.
        """
        if self.epochs is None or self.steps is not None:
            return self
        return self.model_copy(update={"steps": self.epochs * self.epoch_steps(windows)})

    @abstractmethod
    def open(self, home: Home, dataset: ArtifactRef, training_set: ArtifactRef) -> Any:
        """Return the training data.

        Args:
            home: the home of the referenced artifacts.
            dataset: reference of the dataset, or of its replacement for this learn type.
            training_set: reference of the training set, or the same as `dataset`.
        """

    def needed_rows(self, task: Any) -> dict[str, dict[str, int]]:
        """Return by split the settings whose sum is the minimum number of rows of an episode.

        Args:
            task: the task with these settings as `learn`.
        """
        del task
        return {}

    def imitates_actions(self, task: Any) -> bool:
        """Return whether the actions in logs are what a policy should do, so that it has errors.

        Args:
            task: the task with these settings as `learn`.
        """
        del task
        return True

    @property
    def plan_rows(self) -> int:
        """Rows from one plan of a policy to the next."""
        return 1

    def check_clips(self, task: Any, clips: Mapping[str, Mapping[str, object]]) -> None:
        """Raise BadInput if the training episodes are unusable.

        Args:
            task: the task with these settings as `learn`.
            clips: values (n,) by episode name and channel; see `reads_clips`.
        """

    @abstractmethod
    def describe(self, task: Any, data: Any) -> Json:
        """Return what `rebuild` needs in addition to the weights, and the exported metadata.

        Args:
            task: the task with these settings as `learn`.
            data: result of `open`.
        """

    @abstractmethod
    def rebuild(self, description: Json, weights: dict[str, Any]) -> Any:
        """Return the trained module, from the output of `describe` and its weights by name."""

    @abstractmethod
    def train(self, task: Any, data: Any, bench: Any) -> Any:
        """Train, and return a `kinemill.train.context.Trained`.

        Learn types with their own training loop resume from their state in `bench.folder`.

        Args:
            task: the task with these settings as `learn`.
            data: result of `open`.
            bench: `kinemill.train.context.TrainingContext`: folder, listeners, device, warm start.
        """
