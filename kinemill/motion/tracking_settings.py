"""Settings of the reward and of the episode starts of motion tracking."""

from pydantic import Field, NonNegativeFloat

from kinemill.task.plugins import Settings


class TrackingReward(Settings):
    """Reward: `task` times the environment's plus `imitation` times the sum of four terms.

    Each term is weight · exp(-decay · squared error) (Peng et al. 2018, DeepMimic, section 5.2).
    """

    task: NonNegativeFloat = Field(default=0.4, description="weight of the environment's reward")
    imitation: NonNegativeFloat = Field(default=0.6, description="weight of the imitation reward")
    pose_weight: NonNegativeFloat = Field(default=0.4, description="weight of joint angles")
    pose_decay: NonNegativeFloat = Field(default=4.0, description="1/rad²")
    velocity_weight: NonNegativeFloat = Field(default=0.1, description="weight of joint rates")
    velocity_decay: NonNegativeFloat = Field(default=0.02, description="s²/rad²")
    feet_weight: NonNegativeFloat = Field(
        default=0.25, description="weight of the positions of the soles relative to the trunk"
    )
    feet_decay: NonNegativeFloat = Field(default=150.0, description="1/m²")
    root_weight: NonNegativeFloat = Field(default=0.25, description="weight of the trunk's errors")
    attitude_decay: NonNegativeFloat = Field(default=40.0, description="pitch and roll, 1/rad²")
    height_decay: NonNegativeFloat = Field(
        default=1000.0, description="height of the trunk below the gait's, 1/m²"
    )
    trunk_velocity_decay: NonNegativeFloat = Field(
        default=4.0, description="horizontal velocity of the trunk, s²/m²"
    )


class TrackingSettings(Settings):
    """Reward, and starts of training episodes (reference-state initialization)."""

    reward: TrackingReward = TrackingReward()
    gait_starts: float = Field(
        default=0.8,
        ge=0.0,
        le=1.0,
        description="share of episodes that start at a random phase of a gait; the others start "
        "in stance",
    )
    task_commands: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="share of episodes with a command of the environment; the others have the "
        "command of a clip",
    )
