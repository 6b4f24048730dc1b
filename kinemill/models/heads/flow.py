"""Flow matching over chunks of actions (Lipman et al. 2023; Liu et al. 2023), few Euler steps.

On straight lines x_t = (1 - t) ε + t x_1 from noise to a chunk the velocity is x_1 - ε; the network
learns its mean, and acting follows it from t = 0 to 1.
"""

from typing import Any, Literal

from kinemill.models.heads._head import HEADS, Chances
from kinemill.models.heads._sampling_head import Drawn


@HEADS.register("flow")
class Flow(Drawn):
    """Actions carried out of noise by a learned velocity, in a few steps."""

    type: Literal["flow"] = "flow"

    def build(self, length: int, actions: int) -> Any:
        """Make the head."""
        import torch
        from torch import Tensor

        from kinemill.models.heads._denoiser import Refining, denoiser_of, spread_over

        head = self

        class Velocity(Refining):
            def __init__(self) -> None:
                super().__init__(head, length, actions)
                self.velocity = denoiser_of(head, self.size)

            def refined(self, x: Tensor, step: int, condition: Tensor) -> Tensor:
                """Go one step of Euler's method on."""
                time = torch.full_like(x[:, :1], step / self.steps)
                return x + self.velocity(x, time, condition) / self.steps

            def loss(
                self, condition: Tensor, wanted: Tensor, counts: Tensor, chances: Chances
            ) -> Tensor:
                """Return the squared error of the velocity somewhere on the way."""
                end = wanted.flatten(1)
                start, time = chances.normal(len(end), self.size), chances.uniform(len(end), 1)
                found = self.velocity((1.0 - time) * start + time * end, time, condition)
                return spread_over((found - (end - start)).square(), counts, actions)

        return Velocity()
