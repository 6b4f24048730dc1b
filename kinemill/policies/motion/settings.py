"""Settings of the objective `motion`: gaits from clips, and motion tracking in physics."""

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator

from kinemill.policies.rl.objective import Reinforcement
from kinemill.registry import nearest
from kinemill.task import Channel, Problems
from kinemill.task.bounds import RatioOrZero, RowCount, Seconds, Steps, Weight
from kinemill.task.channels import with_roles
from kinemill.task.plugins import OPTIMIZERS, Optimizer, Settings, pick, usual
from kinemill.task.stages import Patterns, as_list
from kinemill.train.supervised import Demonstrated

DEFAULTS: dict[str, object] = {
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
MIN_LR = 1e-4
MAX_LR = 0.1  # bounds of the learning rate, as in the form that starts a run


def _as_physics(value: object) -> object:
    """Return the settings of `physics` with `DEFAULTS` for the omitted ones."""
    if not isinstance(value, dict):
        return value
    return {**DEFAULTS, **cast(dict[str, object], value)}


class TrackingReward(Settings):
    """Reward: `task` times the environment's plus `imitation` times the sum of four terms.

    Each term is weight · exp(-decay · squared error) (Peng et al. 2018, DeepMimic, section 5.2).
    `command_weight` adds one of the velocity, on the scale of all commands.
    """

    task: Weight = 0.4
    """weight of the environment's reward"""
    imitation: Weight = 0.6
    """weight of the imitation reward"""
    command_weight: Weight = 0.0
    """weight of a second reward of the commanded velocity, which is 1/e at an error as large as the
    root mean square of all commands; gaits only. With `task` alone, policies may walk slower
    than commanded, and a robot that stands gets nothing for its first slow steps under a command
    of several times `environment.tolerance`"""


class TrackingSettings(Settings):
    """Reward, length and commands of training episodes."""

    reward: TrackingReward = TrackingReward()
    episode: Seconds | None = None
    """s after which a training episode is cut, unless `environment.steps` cuts it earlier. Without
    it, robots that already walk use almost all steps of a training: those whose command makes
    them fall after 2 s get a tenth of the others' 20 s"""
    task_commands: float = Field(default=0.5, ge=0.0, le=1.0)
    """share of episodes with a command of the environment; the others have the command of a clip"""


class MotionSettings(Demonstrated):
    """Fields of `learn` with `type: motion`, and the channels that they select."""

    type: Literal["motion"] = "motion"
    observations: list[str] = []
    """channels that the policy observes, in this order; default: all states and observations. Those
    of role observation are commands"""
    action_joints: dict[str, str] = {}
    """by action, the joint whose next value it is; default: the channel with the same source"""
    motions: Annotated[Patterns, BeforeValidator(as_list)] = ["*"]
    """name patterns of the clips to train on, within the training split"""
    cycle: Seconds | None = None
    """length of a cycle, s; default: estimated from the clips"""
    history: int = Field(default=20, ge=4, le=200)
    """rows from which phase and gait are estimated"""
    horizon: RowCount = 5
    """rows of a training rollout"""
    noise: RatioOrZero = 0.1
    """std of the noise on rows and commands in training, in units of the gaits' residual of each
    joint and of the std of each command"""
    epochs: int | None = Field(default=100, ge=1, le=1000)
    """passes over all windows, in place of `steps`"""
    batch_size: int = Field(default=32, ge=1, le=512)
    """windows per batch"""
    hidden_size: int = Field(default=256, ge=32, le=512, multiple_of=32)
    """units of each of two layers"""
    optimizer: Annotated[
        SerializeAsAny[Optimizer], BeforeValidator(pick(OPTIMIZERS, Optimizer))
    ] = Field(
        default_factory=lambda: usual(OPTIMIZERS),
        description=f"its `lr` must be >= {MIN_LR:g} and <= {MAX_LR:g}",
    )
    stride: RowCount = 5
    """rows between two windows; adjacent windows are almost equal"""
    steps: Steps | None = None
    """number of optimizer steps, in place of `epochs`"""

    physics: Annotated[Reinforcement | None, BeforeValidator(_as_physics)] = None
    """training in the task's environment, with the keys of `type: reinforcement`"""

    prior: float = Field(default=0.0, ge=0.0, le=1.0)
    """share of an adversarial motion prior in the imitation reward"""
    tracking: TrackingSettings = TrackingSettings()
    """reward and episode starts in the environment"""

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

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems of the observed channels, and actions without a joint."""
        problems: Problems = []
        numbers = with_roles(channels, "state", "observation")
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
        observed = self.observed_channels(channels)
        joints = self.joints(channels)
        for name, channel in channels.items():
            if channel.role == "action" and joints.get(name) not in observed:
                what = f"action {name!r} is the next value of no observed joint"
                problems.append(
                    (("action_joints",), f"{what}; set learn.action_joints: {{{name}: JOINT}}")
                )
        if not joints:
            problems.append((("action_joints",), "there is no action to learn"))
        return problems

    def observed_channels(self, channels: Mapping[str, Channel]) -> list[str]:
        """Return the observed channels, in order."""
        return self.observations or with_roles(channels, "state", "observation")

    def joints(self, channels: Mapping[str, Channel]) -> dict[str, str]:
        """Return by action the joint whose next value it is."""
        by_source = {
            _columns(name, channels[name]): name
            for name in self.observed_channels(channels)
            if name in channels
        }
        joints: dict[str, str] = {}
        for name, channel in channels.items():
            if channel.role == "action":
                joint = self.action_joints.get(name, by_source.get(_columns(name, channel)))
                joints |= {name: joint} if joint else {}
        return joints


def _columns(name: str, channel: Channel) -> tuple[str, ...]:
    """Return the columns of a log that hold a channel; without `source`, its name."""
    return tuple(source.name for source in channel.source) or (name,)
