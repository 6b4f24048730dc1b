"""Settings of the objective `dynamics`: curriculum, teacher forcing, Gauss-Newton fit."""

from pydantic import Field

from kinemill.task import Count, RatioOrZero, RowCount, Seconds, Settings, Steps


class HorizonSchedule(Settings):
    """Growing horizon: long rollouts of an untrained model carry little information."""

    first: RowCount = Field(default=1, description="horizon at the first training step")
    steps: Steps = Field(
        default=1000, description="training steps until it reaches `learn.horizon`, linearly"
    )

    def at(self, step: int, horizon: int) -> int:
        """Return the length of rollouts at a training step, at most `horizon`."""
        if step >= self.steps:
            return horizon
        first = min(self.first, horizon)
        return first + (horizon - first) * step // self.steps


class TeacherForcing(Settings):
    """Scheduled sampling: rollouts continue from the truth with a decreasing probability.

    Bengio et al. 2015, section 2.4, linear decay; drawn for each step of each rollout.
    """

    first: float = Field(default=1.0, ge=0.0, le=1.0, description="probability of truth at first")
    last: float = Field(default=0.0, ge=0.0, le=1.0, description="probability of truth at last")
    steps: Steps = Field(
        default=2000, description="training steps from `first` to `last`, linearly"
    )

    def at(self, step: int) -> float:
        """Return the probability that a step continues from the truth."""
        return self.first + (self.last - self.first) * min(1.0, step / self.steps)


class GaussNewton(Settings):
    """Gauss-Newton fit over rollouts before the training by gradients, for few parameters."""

    windows: Count = Field(default=512, description="training windows, evenly spaced")
    iterations: Count = Field(default=20, description="upper bound for each horizon")
    ridge: RatioOrZero = Field(
        default=0.0,
        description="penalty on parameter changes, relative to the squared errors",
    )
    n_init: Count = Field(
        default=1,
        description="random initializations; the best in validation is kept",
    )
    seconds: Seconds | None = Field(
        default=None,
        description="time limit of all initializations and members together, s; after it, the best "
        "parameters so far are used; default: none",
    )
