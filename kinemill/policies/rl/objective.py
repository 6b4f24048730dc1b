"""Learn type `reinforcement`: train a policy in an environment, evaluated by its return."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, SerializeAsAny, field_validator

from kinemill.policies.environments.card import Card
from kinemill.store import ArtifactRef, Home, Json
from kinemill.task import Problems, Task, TorchModule
from kinemill.task.bounds import (
    BatchSize,
    Count,
    PositiveQuantity,
    Processes,
    Quantity,
    Steps,
    StepsOrZero,
)
from kinemill.task.imitation import IMAGES, ImageEncoder
from kinemill.task.learn import DATASETS, Learn
from kinemill.task.plugins import (
    MODELS,
    OBJECTIVES,
    OPTIMIZERS,
    SCHEDULES,
    Model,
    Optimizer,
    Schedule,
    pick,
    pick_or_none,
)
from kinemill.task.reinforcement import (
    ALGORITHMS,
    RUNNERS,
    Algorithm,
    NetworkInputs,
    Pretrain,
    Runner,
)
from kinemill.train.context import Trained, TrainingContext

_UNUSED = ("accumulate", "ema", "amp", "compile", "cuda_graph", "matmul", "freeze", "eval_callback")


@OBJECTIVES.register("reinforcement")
class Reinforcement(Learn):
    """Learn a policy; numbers of steps are environment steps over all copies."""

    gives: ClassVar[Literal["dynamics", "policy"]] = "policy"
    from_logs: ClassVar[bool] = False
    reads_texts: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ("dt", "channels", "environment", "control")
    version: ClassVar[int] = 11

    type: Literal["reinforcement"] = "reinforcement"
    algorithm: Annotated[
        SerializeAsAny[Algorithm], BeforeValidator(pick(ALGORITHMS, Algorithm))
    ] = Field(default_factory=lambda: ALGORITHMS["ppo"].model_validate({"type": "ppo"}))
    """learning algorithm, by name or with its settings"""
    model: Annotated[SerializeAsAny[Model], BeforeValidator(pick(MODELS, Model))] = Field(
        default_factory=lambda: MODELS["mlp"].model_validate({"hidden_sizes": [64, 64]})
    )
    """network of the actor"""
    critic: Annotated[
        SerializeAsAny[Model] | None, BeforeValidator(pick_or_none(MODELS, Model))
    ] = None
    """network of each separate critic; default: as the actor"""
    image: Annotated[
        SerializeAsAny[ImageEncoder] | None, BeforeValidator(pick_or_none(IMAGES, ImageEncoder))
    ] = None
    """encoder of each observed image; default: nature from 36 pixels, else conv"""
    optimizer: Annotated[
        SerializeAsAny[Optimizer], BeforeValidator(pick(OPTIMIZERS, Optimizer))
    ] = Field(default_factory=lambda: OPTIMIZERS["adam"].model_validate({"lr": 3e-4, "eps": 1e-5}))
    """optimizer of the networks"""
    schedule: Annotated[SerializeAsAny[Schedule], BeforeValidator(pick(SCHEDULES, Schedule))] = (
        Field(default_factory=lambda: SCHEDULES["constant"].model_validate({"warmup_steps": 0}))
    )
    """learning rate over the training"""
    pretrain: Pretrain | None = None
    """clone the actions of `start_from` before reinforcement: a policy of any learn type and
    algorithm, or demonstrations, datasets:/TASK"""
    num_envs: Processes | None = None
    """number of parallel environments; default: from the algorithm"""
    runner: Annotated[SerializeAsAny[Runner], BeforeValidator(pick(RUNNERS, Runner))] = Field(
        default_factory=lambda: RUNNERS["auto"].model_validate({"type": "auto"})
    )
    """where the environments run"""
    target: Quantity | None = None
    """mean return at which the training ends, checked on new seeds"""
    min_steps: StepsOrZero = 0
    """steps before `patience` begins to count evaluations"""
    device: Literal["auto", "cpu", "cuda", "mps"] = "cpu"
    """device of the networks; small ones are slower on a GPU"""
    batch_size: BatchSize = 64
    """environment steps per optimizer step"""
    steps: Steps | None = 100_000
    """total number of environment steps, over all environments"""
    grad_clip: PositiveQuantity | None = 0.5
    """largest norm of the gradient; null: no clipping"""
    eval_every: Steps = 10_000
    """environment steps between evaluations"""
    evals_per_round: Count = 5
    """evaluations per round; a round starts new episodes and ends with a checkpoint"""
    save_every: Steps = 10_000
    """environment steps between checkpoints"""

    _callbacks: tuple[object, ...] = PrivateAttr(default=())
    _inputs: NetworkInputs = PrivateAttr(default=NetworkInputs())

    @property
    def callbacks(self) -> tuple[object, ...]:
        """Callbacks of stable-baselines3, set from Python; evolution ignores them."""
        return self._callbacks

    @property
    def inputs(self) -> NetworkInputs:
        """What a network reads; set by `with_inputs`."""
        return self._inputs

    def with_inputs(self, inputs: NetworkInputs) -> "Reinforcement":
        """Return a copy for networks with these inputs."""
        copy = self.model_copy()
        copy._inputs = inputs
        return copy

    def of_critic(self) -> "Reinforcement":
        """Return a copy with the model of the critics as `model`."""
        return self if self.critic is None else self.model_copy(update={"model": self.critic})

    def call(self, callbacks: Sequence[object]) -> None:
        """Set stable-baselines3 callbacks of the training."""
        self._callbacks = tuple(callbacks)

    @field_validator("steps")
    @classmethod
    def _has_steps(cls, value: int | None) -> int | None:
        if value is None:
            message = "is null; expected the number of environment steps"
            raise ValueError(message)
        return value

    @field_validator("epochs")
    @classmethod
    def _has_no_epochs(cls, value: int | None) -> int | None:
        if value is not None:
            what = "does not apply to reinforcement learning"
            message = f"{what}; set `steps`, the number of environment steps"
            raise ValueError(message)
        return value

    @classmethod
    def with_one_length(cls, settings: Json) -> Json:
        """Return the settings unchanged: reinforcement learning has no epochs."""
        return settings

    def problems(self, channels: Mapping[str, object]) -> Problems:
        """Return problems, such as settings that reinforcement learning does not use."""
        del channels
        fields = type(self).model_fields
        problems: Problems = [
            ((name,), "has no effect in reinforcement learning; leave it out")
            for name in _UNUSED
            if name in self.model_fields_set
            and getattr(self, name) != fields[name].get_default(call_default_factory=True)
        ]
        if self.critic is not None and (what := self.algorithm.critic_problem()):
            problems.append((("critic",), what))
        problems += self._pretrain_problems()
        if self.image is not None and self.image.checkpoint is not None:
            what = "has no effect in reinforcement learning; leave it out"
            problems.append((("image", "checkpoint"), what))
        return problems

    def _pretrain_problems(self) -> Problems:
        is_data = (self.start_from or "").startswith(DATASETS)
        if self.pretrain is None:
            what = "is a dataset: set `pretrain: {}` to clone its demonstrations"
            return [(("start_from",), what)] if is_data else []
        if self.start_from is None:
            what = "has nothing to clone: set `start_from` to a policy, or to datasets:/TASK"
            return [(("pretrain",), what)]
        if what := self.algorithm.pretrain_problem():
            return [(("pretrain",), what)]
        if not self.pretrain.replay:
            return []
        if not hasattr(self.algorithm, "buffer_size"):
            return [(("pretrain", "replay"), f"{self.algorithm.type} has no replay buffer")]
        what = "needs the rewards of a policy's episodes; a dataset has none for each action"
        return [(("pretrain", "replay"), what)] if is_data else []

    def open(self, home: Home, dataset: ArtifactRef, training_set: object) -> Card:
        """Return the card of the environment."""
        from kinemill.policies.environments.card import open_card

        del training_set
        return open_card(home, dataset)

    def describe(self, task: Task, data: Card) -> Json:
        """Return the layout of the policy, and its wrappers."""
        from kinemill.policies.environments.factory import environment_of

        wrappers = [
            wrapper.model_dump(mode="json")
            for wrapper in environment_of(task).wrappers
            if wrapper.scope == "policy"
        ]
        servos = environment_of(task).servos()
        return {
            "layout": data.document.layout.to_json(),
            "wrappers": wrappers,
            **({"servos": servos} if servos else {}),
        }

    def rebuild(self, description: Json, weights: dict[str, Any]) -> TorchModule:
        """Return an `Actor`."""
        from kinemill.policies.rl.actor import RestartWeights, actor_of
        from kinemill.runtime.json_values import from_json
        from kinemill.runtime.policy_layout import PolicyLayout
        from kinemill.task.environment import WRAPPERS

        restart = {
            name: value for name, value in weights.items() if name.startswith(RestartWeights.PREFIX)
        }
        wrappers = [
            WRAPPERS[wrapper["type"]].model_validate(wrapper) for wrapper in description["wrappers"]
        ]
        return actor_of(self, from_json(PolicyLayout, description["layout"]), wrappers, restart)

    def train(self, task: Task, data: Card, bench: TrainingContext) -> Trained:
        """Train in the environment of the card."""
        from kinemill.policies.rl.training_loop import fit

        return fit(data.task(task), data.document.layout, bench)
