"""Reference motion: a policy that walks as clips do, from joint angles, a command and the phase.

Stage one learns from the clips alone: each target is the joint angle of the next row. Few clips are
enough, as what they have in common is found first (`kinemill.motion.gaits`) and the network learns
what that leaves over, on its own output for `horizon` rows. Stage two, where the task has an
environment, learns in physics what has to be added to these gaits
(`kinemill.motion.motion_tracking`).
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

from kinemill.registry import nearest
from kinemill.rl.objective import Reinforcement
from kinemill.task.plugins import OBJECTIVES, OPTIMIZERS, Optimizer, pick, usual
from kinemill.task.stages import Patterns, as_list
from kinemill.train.supervised import Demonstrated

USUAL: dict[str, Any] = {
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
SLOWEST, FASTEST = 1e-4, 0.1  # bounds of the rate, as in the form that starts a run


def _as_physics(value: Any) -> Any:
    """Read settings of reinforcement, those left out as they are usual here."""
    if not isinstance(value, dict):
        return value
    return {**USUAL, **cast(dict[str, Any], value)}


@OBJECTIVES.register("motion")
class Motion(Demonstrated):
    """Learn to walk as clips do: the next joint angles, closed on themselves."""

    reads_clips: ClassVar[bool] = True

    type: Literal["motion"] = "motion"
    observations: list[str] = Field(
        default=[],
        description="channels that are seen, in this order; default: all states and observations. "
        "Those of role observation are commands",
    )
    action_joints: dict[str, str] = Field(
        default={},
        description="by action, the joint whose next value it is; default: the channel with the "
        "same source",
    )
    motions: Annotated[Patterns, BeforeValidator(as_list)] = Field(
        default=["*"],
        description="patterns on the names of the clips that are learned from, among those of the "
        "training split",
    )
    cycle: PositiveFloat | None = Field(
        default=None, description="length of a cycle, s; default: as the clips repeat themselves"
    )
    history: int = Field(
        default=20, ge=4, le=200, description="rows by which phase and gait are told"
    )
    harmonics: PositiveInt = Field(
        default=10, description="of a joint's curve over a cycle, as many as its rows can hold"
    )
    directions: PositiveInt = Field(
        default=8, description="in which gaits differ at most; never more than clips"
    )
    horizon: PositiveInt = Field(
        default=5, description="rows of its own output that the network learns through"
    )
    noise: NonNegativeFloat = Field(
        default=0.1,
        description="std of what disturbs rows and commands while it learns, in what the gaits "
        "leave over of a joint, and in the spread of a command",
    )
    epochs: int = Field(
        default=100, ge=1, le=1000, description="times all windows are gone through"
    )
    batch_size: int = Field(default=32, ge=1, le=512, description="windows at once")
    hidden_size: int = Field(
        default=256, ge=32, le=512, multiple_of=32, description="units of each of two layers"
    )
    optimizer: Annotated[
        SerializeAsAny[Optimizer], BeforeValidator(pick(OPTIMIZERS, Optimizer))
    ] = Field(
        default_factory=lambda: usual(OPTIMIZERS),
        description=f"its `lr` must be >= {SLOWEST:g} and <= {FASTEST:g}",
    )
    stride: PositiveInt = Field(
        default=5, description="rows between two windows, for neighbors say nearly the same"
    )
    steps: PositiveInt = Field(default=1_000_000, description="at most, whatever `epochs` says")

    physics: Annotated[Reinforcement | None, BeforeValidator(_as_physics)] = Field(
        default=None,
        description="how it learns in the task's environment, keys as of `type: reinforcement`",
    )

    prior: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="share of imitation in physics that an adversarial motion prior judges",
    )

    @property
    def in_physics(self) -> Reinforcement:
        """How it learns in an environment, usual settings where the task says nothing."""
        return self.physics or Reinforcement.model_validate(USUAL)

    @field_validator("optimizer")
    @classmethod
    def _rate_within(cls, value: Optimizer) -> Optimizer:
        if not SLOWEST <= value.lr <= FASTEST:
            message = f"lr {value.lr:g} is not between {SLOWEST:g} and {FASTEST:g}"
            raise ValueError(message)
        return value

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return what is wrong with the channels seen, and actions that follow no joint."""
        found: list[tuple[tuple[str | int, ...], str]] = []
        numbers = [n for n, one in channels.items() if one.role in ("state", "observation")]
        for name in self.observations:
            if name not in numbers:
                found.append((("observations",), f"{name!r} is not seen; {nearest(name, numbers)}"))
        if self.physics is not None:
            known = self.physics.problems(channels)
            found += [(("physics", *where), what) for where, what in known]
        if found or not channels:
            return found
        seen, joints = self.seen(channels), self.joints(channels)
        for name, channel in channels.items():
            if channel.role == "action" and joints.get(name) not in seen:
                what = f"action {name!r} is the next value of no joint that is seen"
                found.append(
                    (("action_joints",), f"{what}; set learn.action_joints: {{{name}: JOINT}}")
                )
        if not joints:
            found.append((("action_joints",), "there is no action to learn"))
        return found

    def needed_rows(self, task: Any) -> dict[str, dict[str, int]]:
        """Return the rows of one window of training and of one of validation, without physics."""
        from kinemill.motion.walking_error import AHEAD

        if task.environment is not None:
            return {}
        known = {"learn.history": self.history}
        return {
            "train": known | {"learn.horizon": self.horizon},
            "validation": known | {"rows after it": AHEAD},
        }

    def check_clips(self, task: Any, clips: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise BadInput if the training clips have no common cycle, or are shorter than two."""
        from kinemill.motion.clip_cycles import check_cycles

        check_cycles(self, task, clips)

    def seen(self, channels: Mapping[str, Any]) -> list[str]:
        """Return the numbers observed, in order."""
        roles = ("state", "observation")
        usual_order = [n for role in roles for n, one in channels.items() if one.role == role]
        return self.observations or usual_order

    def joints(self, channels: Mapping[str, Any]) -> dict[str, str]:
        """Return by action the joint whose next value it is."""
        by_source = {
            tuple(source.name for source in channels[name].source): name
            for name in self.seen(channels)
            if name in channels and channels[name].source
        }
        found: dict[str, str] = {}
        for name, channel in channels.items():
            if channel.role == "action":
                own = by_source.get(tuple(source.name for source in channel.source))
                joint = self.action_joints.get(name, own)
                found |= {name: joint} if joint else {}
        return found

    def setup_function(self) -> Any:
        """Return what prepares a training."""
        from kinemill.motion.gait_setup import prepare

        return prepare

    def train(self, task: Any, data: Any, bench: Any) -> Any:
        """Train what `prepare` makes, for `epochs`; or in the task's environment, if it has one."""
        from kinemill.motion.gait_setup import steps_of

        if task.environment is not None:
            from kinemill.motion.tracking_fit import fit_tracking

            return fit_tracking(task, data, self.describe(task, data), bench)
        steps = steps_of(self, task, data[1])
        bench.listeners[1].log_message(f"{self.epochs} epochs are {steps} steps")
        own = self.model_copy(update={"steps": steps})
        return Demonstrated.train(own, task, data, bench)

    def describe(self, task: Any, data: Any) -> dict[str, Any]:
        """Return the policy's layout, units, limits, spreads and sizes."""
        from kinemill.motion.gait_setup import about

        found: dict[str, Any] = about(self, task, data)
        found["physics"] = task.environment is not None
        if task.environment is not None:
            from kinemill.motion.tracking_fit import check_environment
            from kinemill.runtime.policy_layout import PolicyLayout

            check_environment(task, PolicyLayout.from_json(found["layout"]))
        return found

    def rebuild(self, description: dict[str, Any], weights: dict[str, Any]) -> Any:
        """Return a `kinemill.motion.gait_policy.GaitPolicy`, of physics a `TrackedPolicy`."""
        from kinemill.motion.gait_policy import GaitPolicy, GaitSizes
        from kinemill.train.policy import PolicyLayout

        del weights
        if description["physics"]:
            from kinemill.motion.tracking_fit import rebuild_policy

            return rebuild_policy(self, description)
        layout = PolicyLayout.from_json(description["layout"])
        return GaitPolicy(layout, GaitSizes.from_json(description["sizes"]))
