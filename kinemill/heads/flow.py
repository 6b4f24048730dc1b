"""Flow matching over chunks of actions (Lipman et al. 2023; Liu et al. 2023), few Euler steps.

On straight lines x_t = (1 - t) ε + t x_1 from noise to a chunk the velocity is x_1 - ε; the network
learns its mean, and acting follows it from t = 0 to 1.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from kinemill.heads._head import HEADS, Chances, Head


@HEADS.register("flow")
class Flow(Head):
    """Actions carried out of noise by a learned velocity, in a few steps."""

    type: Literal["flow"] = "flow"
    seeded: ClassVar[bool] = True
    steps: PositiveInt = Field(default=8, description="of Euler's method, each asks the network")
    condition: PositiveInt = Field(default=64, description="numbers that the network is asked for")
    width: PositiveInt = 128
    layers: PositiveInt = 2

    def build(self, length: int, actions: int) -> Any:
        """Make the head."""
        import torch
        from torch import Tensor, nn

        from kinemill.heads._denoiser import Denoiser, spread_over

        size, steps, asked = length * actions, self.steps, self.condition
        width, layers = self.width, self.layers

        class Velocity(nn.Module):
            asks = asked

            def __init__(self) -> None:
                super().__init__()
                self.velocity = Denoiser(size, asked, width, layers)

            def forward(self, condition: Tensor, draws: Any) -> Tensor:
                """Go from noise to a chunk in equal steps of time."""
                x = draws.normal(size)
                for step in range(steps):
                    time = torch.full_like(x[:, :1], step / steps)
                    x = x + self.velocity(x, time, condition) / steps
                return x.reshape(-1, length, actions)

            def loss(
                self, condition: Tensor, wanted: Tensor, counts: Tensor, chances: Chances
            ) -> Tensor:
                """Return the squared error of the velocity somewhere on the way."""
                end = wanted.flatten(1)
                start, time = chances.normal(len(end), size), chances.uniform(len(end), 1)
                found = self.velocity((1.0 - time) * start + time * end, time, condition)
                return spread_over((found - (end - start)).square(), counts, actions)

        return Velocity()
