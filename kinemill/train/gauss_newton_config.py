"""How a model of few parameters may be fitted before it learns by gradients."""

from pydantic import Field, NonNegativeFloat, PositiveInt

from kinemill.task.plugins import Settings


class GaussNewton(Settings):
    """Gauss and Newton's method over rollouts, see `kinemill.train.gauss_newton`."""

    windows: PositiveInt = Field(default=512, description="evenly spread over those of training")
    iterations: PositiveInt = Field(default=20, description="at most, for each horizon")
    ridge: NonNegativeFloat = Field(
        default=0.0, description="penalty on how far parameters go, relative to the squared errors"
    )
    starts: PositiveInt = Field(
        default=1, description="random weights to begin from; the best in validation is taken"
    )
