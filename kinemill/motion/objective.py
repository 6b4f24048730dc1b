"""Reference motion: a policy that reproduces recorded clips under a command.

Stage one learns from the clips alone: each target is the joint angle of the next row. A family of
gaits is fitted first (`kinemill.motion.gaits`), so that few clips are enough. The network learns
the residual in rollouts of `horizon` rows. If the task has an environment, stage two learns a
correction of these gaits in physics (`kinemill.motion.motion_tracking`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    field_validator,
)

from kinemill.motion.tracking_settings import TrackingSettings
from kinemill.registry import nearest
from kinemill.rl.objective import Reinforcement
from kinemill.store import Json
from kinemill.task.channels import Channel
from kinemill.task.document import Task
from kinemill.task.plugins import OBJECTIVES, OPTIMIZERS, Optimizer, pick, usual
from kinemill.task.stages import Patterns, as_list
from kinemill.train.context import Trained, TrainingContext
from kinemill.train.supervised import Demonstrated

DEFAULTS: dict[str, Any] = {
    "algorithm": {"type": "ppo", "n_steps": 32, "n_epochs": 5, "gamma": 0.98},
    "model": {"type": "mlp", "hidden_sizes": [128, 128], "activation": "elu"},
    "optimizer": {"type": "adam", "lr": 5e-4},
    "schedule": {"type": "cosine_warmup", "warmup_steps": 0, "min_lr": 2e-5},
    "num_envs": 256,
    "batch_size": 2048,
    "steps": 6_000_000,
    "eval_every": 500_000,
    "save_every": 500_000,
    "evals_per_round": 1,
    "patience": None,
}
MIN_LR, MAX_LR = 1e-4, 0.1  # bounds of the learning rate, as in the form that starts a run


def _as_physics(value: Any) -> Any:
    """Return the settings of `physics` with `DEFAULTS` for the omitted ones."""
    if not isinstance(value, dict):
        return value
    return {**DEFAULTS, **cast(dict[str, Any], value)}


@OBJECTIVES.register("motion")
class Motion(Demonstrated):
    """Imitate recorded gaits: the targets are the next joint angles of the clips."""

    reads_clips: ClassVar[bool] = True
    version: ClassVar[int] = 5

    type: Literal["motion"] = "motion"
    observations: list[str] = Field(
        default=[],
        description="channels that the policy observes, in this order; default: all states and "
        "observations. Those of role observation are commands",
    )
    action_joints: dict[str, str] = Field(
        default={},
        description="by action, the joint whose next value it is; default: the channel with the "
        "same source",
    )
    motions: Annotated[Patterns, BeforeValidator(as_list)] = Field(
        default=["*"],
        description="name patterns of the clips to train on, within the training split",
    )
    cycle: PositiveFloat | None = Field(
        default=None, description="length of a cycle, s; default: estimated from the clips"
    )
    history: int = Field(
        default=20, ge=4, le=200, description="rows from which phase and gait are estimated"
    )
    harmonics: PositiveInt = Field(
        default=10, description="largest number of harmonics of a joint's curve over a cycle"
    )
    directions: PositiveInt = Field(
        default=8, description="largest number of principal components of the family of gaits"
    )
    horizon: PositiveInt = Field(default=5, description="rows of a training rollout")
    noise: NonNegativeFloat = Field(
        default=0.1,
        description="std of the noise on rows and commands in training, in units of the gaits' "
        "residual of each joint and of the std of each command",
    )
    epochs: int = Field(default=100, ge=1, le=1000, description="passes over all windows")
    batch_size: int = Field(default=32, ge=1, le=512, description="windows per batch")
    hidden_size: int = Field(
        default=256, ge=32, le=512, multiple_of=32, description="units of each of two layers"
    )
    optimizer: Annotated[
        SerializeAsAny[Optimizer], BeforeValidator(pick(OPTIMIZERS, Optimizer))
    ] = Field(
        default_factory=lambda: usual(OPTIMIZERS),
        description=f"its `lr` must be >= {MIN_LR:g} and <= {MAX_LR:g}",
    )
    stride: PositiveInt = Field(
        default=5, description="rows between two windows; adjacent windows are almost equal"
    )
    steps: PositiveInt = Field(
        default=1_000_000, description="upper bound of the training steps of `epochs`"
    )

    physics: Annotated[Reinforcement | None, BeforeValidator(_as_physics)] = Field(
        default=None,
        description="training in the task's environment, with the keys of `type: reinforcement`",
    )

    prior: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="share of an adversarial motion prior in the imitation reward",
    )
    tracking: TrackingSettings = Field(
        default=TrackingSettings(), description="reward and episode starts in the environment"
    )

    @property
    def in_physics(self) -> Reinforcement:
        """The settings of the training in an environment, defaults included."""
        return self.physics or Reinforcement.model_validate(DEFAULTS)

    @field_validator("optimizer")
    @classmethod
    def _check_rate(cls, value: Optimizer) -> Optimizer:
        if not MIN_LR <= value.lr <= MAX_LR:
            message = f"lr {value.lr:g} is not between {MIN_LR:g} and {MAX_LR:g}"
            raise ValueError(message)
        return value

    def problems(self, channels: Mapping[str, Channel]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return problems of the observed channels, and actions without a joint."""
        problems: list[tuple[tuple[str | int, ...], str]] = []
        numbers = [n for n, one in channels.items() if one.role in ("state", "observation")]
        for name in self.observations:
            if name not in numbers:
                problems.append(
                    (("observations",), f"{name!r} is not observed; {nearest(name, numbers)}")
                )
        if self.physics is not None:
            nested = self.physics.problems(channels)
            problems += [(("physics", *where), what) for where, what in nested]
        if problems or not channels:
            return problems
        observed, joints = self.observed_channels(channels), self.joints(channels)
        for name, channel in channels.items():
            if channel.role == "action" and joints.get(name) not in observed:
                what = f"action {name!r} is the next value of no observed joint"
                problems.append(
                    (("action_joints",), f"{what}; set learn.action_joints: {{{name}: JOINT}}")
                )
        if not joints:
            problems.append((("action_joints",), "there is no action to learn"))
        return problems

    def needed_rows(self, task: Task) -> dict[str, dict[str, int]]:
        """Return the rows of one window of training and of one of validation, without physics."""
        from kinemill.motion.gait_rollout import EVALUATION_ROWS

        if task.environment is not None:
            return {}
        history = {"learn.history": self.history}
        return {
            "train": history | {"learn.horizon": self.horizon},
            "validation": history | {"rows after it": EVALUATION_ROWS},
        }

    def check_clips(self, task: Task, clips: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise BadInput if the training clips have no common cycle, or are shorter than two."""
        from kinemill.motion.clip_cycles import check_cycles

        check_cycles(self, task, clips)

    def observed_channels(self, channels: Mapping[str, Channel]) -> list[str]:
        """Return the observed channels, in order."""
        roles = ("state", "observation")
        default = [n for role in roles for n, one in channels.items() if one.role == role]
        return self.observations or default

    def joints(self, channels: Mapping[str, Channel]) -> dict[str, str]:
        """Return by action the joint whose next value it is."""
        by_source = {
            tuple(source.name for source in channels[name].source): name
            for name in self.observed_channels(channels)
            if name in channels and channels[name].source
        }
        joints: dict[str, str] = {}
        for name, channel in channels.items():
            if channel.role == "action":
                own = by_source.get(tuple(source.name for source in channel.source))
                joint = self.action_joints.get(name, own)
                joints |= {name: joint} if joint else {}
        return joints

    def setup_function(self) -> Any:
        """Return the function that prepares a training."""
        from kinemill.motion.gait_setup import prepare

        return prepare

    def train(self, task: Task, data: Any, bench: TrainingContext) -> Trained:
        """Train for `epochs` on the clips, or in the task's environment if it has one."""
        from kinemill.motion.gait_setup import count_steps

        if task.environment is not None:
            from kinemill.motion.tracking_fit import fit_tracking

            return fit_tracking(task, data, self.describe(task, data), bench)
        steps = count_steps(self, task, data[1])
        bench.listeners[1].log_message(f"{self.epochs} epochs are {steps} steps")
        own = self.model_copy(update={"steps": steps})
        return Demonstrated.train(own, task, data, bench)

    def describe(self, task: Task, data: Any) -> Json:
        """Return the policy's layout, units, limits, standard deviations and sizes."""
        from kinemill.motion.gait_setup import describe

        description = describe(self, task, data)
        description["physics"] = task.environment is not None
        if task.environment is not None:
            from kinemill.motion.tracking_fit import check_environment
            from kinemill.runtime.policy_layout import PolicyLayout

            check_environment(task, PolicyLayout.from_json(description["layout"]))
        return description

    def rebuild(self, description: Json, weights: dict[str, Any]) -> Any:
        """Return a `GaitPolicy`, or a `TrackingPolicy` if it was trained in an environment."""
        del weights
        if description["physics"]:
            from kinemill.motion.tracking_fit import rebuild_policy

            return rebuild_policy(self, description)
        from kinemill.motion.gait_setup import make_policy

        return make_policy(description)
