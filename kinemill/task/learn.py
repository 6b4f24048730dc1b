"""What every way of learning shares, with the reason for each default."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
)

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


class Keep(Settings):
    """Which checkpoints stay; the best weights so far are in each of them."""

    last: PositiveInt = Field(
        default=2, description="the newest; when one is damaged, the one before is gone on from"
    )
    every: PositiveInt | None = Field(
        default=None,
        description="steps; a checkpoint is written after each so many, and stays when the "
        "training is over",
    )


class Learn(Plugin):
    """What every way of learning shares: optimizer, budget, stopping, seed.

    Attributes:
        gives: what comes of it: a step that predicts states, or a policy that chooses actions.
        from_logs: whether it learns from episodes; if not, from the task's environment alone.
        parts: of the task file, beside `learn`, that the weights depend on.
        reads_clips: whether `check_clips` needs the values of the training episodes.
        version: goes up when the same inputs come to other weights; models are learned anew then.
    """

    gives: ClassVar[Literal["dynamics", "policy"]] = "dynamics"
    from_logs: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("dt", "channels")
    reads_clips: ClassVar[bool] = False
    version: ClassVar[int] = 3

    optimizer: Annotated[
        SerializeAsAny[Optimizer], BeforeValidator(pick(OPTIMIZERS, Optimizer))
    ] = Field(default_factory=lambda: usual(OPTIMIZERS))  # late: imports that file
    schedule: Annotated[SerializeAsAny[Schedule], BeforeValidator(pick(SCHEDULES, Schedule))] = (
        Field(default_factory=lambda: usual(SCHEDULES))
    )
    start_from: Annotated[str | None, MODEL] = Field(
        default=None,
        description="a trained model whose weights and scaling come first: models:/TASK@champion, "
        "models:/TASK/3, or a folder",
    )
    freeze: Annotated[Patterns, BeforeValidator(as_list)] = Field(
        default=[], description="patterns on the names of weights that stay as they are"
    )
    batch_size: PositiveInt = Field(default=256, description="windows that go through it at once")
    accumulate: PositiveInt = Field(
        default=1, description="micro-batches of `batch_size` windows whose gradients make one step"
    )
    halve_batch: bool = Field(
        default=False,
        description="where memory does not suffice, twice as many micro-batches of half the size",
    )
    steps: PositiveInt = 4000
    patience: PositiveInt | None = Field(
        default=10, description="evaluations without improvement before stopping"
    )
    grad_clip: PositiveFloat | None = 1.0
    ema: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="decay of averaged weights, 0.999 such as; they are judged and published then",
    )
    amp: Literal["off", "bf16", "fp16"] = Field(
        default="off", description="networks learn in low precision, by autocast; judged in float32"
    )
    deterministic: bool = Field(
        default=False, description="slower kernels where that makes equal runs equal, bit for bit"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    compile: Literal["auto", "on", "off"] = Field(
        default="auto", description="one program of each step; auto: where that wins time"
    )
    matmul: Literal["auto", "highest", "medium"] = Field(
        default="auto",
        description="how steps multiply float32 matrices: medium: by bfloat16 units; auto: so "
        "where matrices are large, it is faster, and the gradient is near",
    )
    threads: PositiveInt = 1  # two threads are slower than one for small models on a busy machine
    seed: int = Field(default=0, ge=0)
    eval_every: PositiveInt = 200
    save_every: PositiveInt = 500
    keep: Keep = Keep()
    log_every: PositiveInt = 50
    evaluate_with: Annotated[str | None, CODE] = Field(
        default=None,
        description="`module:function` or `file.py:function` beside the task: (simulator, task) -> "
        "numbers by name, asked at each evaluation and logged as eval/*",
    )

    @field_validator("evaluate_with")
    @classmethod
    def _module_and_function(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else located(value, info)

    @abstractmethod
    def open(self, home: Any, dataset: Any, training_set: Any) -> Any:
        """Return what is learned from.

        Args:
            home: where the refs lie.
            dataset: reference of the dataset, or of what stands for it.
            training_set: reference of the training set, or of the same as `dataset`.
        """

    def needed_rows(self, task: Any) -> dict[str, dict[str, int]]:
        """Return by split the settings whose sum is the number of rows that an episode needs.

        Args:
            task: the `Task` whose `learn` this is.
        """
        del task
        return {}

    def check_clips(self, task: Any, clips: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise BadInput if nothing can be learned from the training episodes.

        Args:
            task: the `Task` whose `learn` this is.
            clips: values (n,) by channel, by name of the episode; see `reads_clips`.
        """

    @abstractmethod
    def describe(self, task: Any, data: Any) -> dict[str, Any]:
        """Return what `rebuild` needs beside the weights, and what an exported model says.

        Args:
            task: the `Task` whose `learn` this is.
            data: what `open` returned.
        """

    @abstractmethod
    def rebuild(self, description: dict[str, Any], weights: dict[str, Any]) -> Any:
        """Return the trained module, from what `describe` returned and its weights by name."""

    @abstractmethod
    def train(self, task: Any, data: Any, bench: Any) -> Any:
        """Learn, and return a `kinemill.train.context.Trained`.

        What has a loop of its own goes on from what it left in `bench.folder`.

        Args:
            task: the `Task` whose `learn` this is.
            data: what `open` returned.
            bench: `kinemill.train.context.TrainingContext`: folder, listeners, device, warm start.
        """
