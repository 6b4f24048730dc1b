"""A mixture of Gaussians over whole chunks of actions (Bishop 1994; Mandlekar et al. 2021).

One component is drawn for a chunk, so that its actions belong together.
Symbols: M components, N = T A numbers of a chunk.
"""

import math
from typing import Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from kinemill.models.heads._head import HEADS, Chances, Head


@HEADS.register("gaussian_mixture")
class GaussianMixture(Head):
    """Several answers, each with its probability and spread."""

    type: Literal["gaussian_mixture"] = "gaussian_mixture"
    seeded: ClassVar[bool] = True
    components: PositiveInt = 5
    least_spread: PositiveFloat = Field(
        default=0.03, description="of an action within a component, in its spread in training"
    )
    noise: NonNegativeFloat = Field(
        default=0.0,
        description="share of a component's spread that is drawn when it acts; 0: its middle, as "
        "Mandlekar et al. do",
    )

    def build(self, length: int, actions: int) -> Any:
        """Make the head."""
        import torch
        from torch import Tensor, nn

        many, size, least, noise = self.components, length * actions, self.least_spread, self.noise

        class Mixture(nn.Module):
            asks = many * (1 + 2 * size)

            def parts(self, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                """Return log-probabilities (B, M), middles and log-spreads (B, M, N)."""
                weights, rest = condition[:, :many], condition[:, many:].reshape(-1, many, 2 * size)
                spreads = least + nn.functional.softplus(rest[..., size:])
                return torch.log_softmax(weights, dim=-1), rest[..., :size], spreads.log()

            def forward(self, condition: Tensor, draws: Any) -> Tensor:
                """Draw a component, then its actions."""
                weights, middles, spreads = self.parts(condition)
                # A number is in the first component whose cumulated probability reaches it.
                ends = weights.exp() @ torch.triu(weights.new_ones(many, many))
                passed = (draws.uniform(1) > ends[:, :-1]).to(weights.dtype).sum(1, keepdim=True)
                places = torch.arange(many, device=weights.device, dtype=weights.dtype)
                chosen = (1.0 - (places - passed).abs().clamp(max=1.0)).unsqueeze(-1)
                found = (chosen * middles).sum(1)
                if noise:
                    found = found + noise * draws.normal(size) * (chosen * spreads.exp()).sum(1)
                return found.reshape(-1, length, actions)

            def loss(
                self, condition: Tensor, wanted: Tensor, counts: Tensor, chances: Chances
            ) -> Tensor:
                """Return the negative log-likelihood of each number that counts."""
                del chances
                weights, middles, spreads = self.parts(condition)
                error = (wanted.flatten(1).unsqueeze(1) - middles) / spreads.exp()
                terms = -0.5 * error.square() - spreads - 0.5 * math.log(2.0 * math.pi)
                known = counts.repeat_interleave(actions, dim=1)
                whole = torch.logsumexp(weights + (terms * known.unsqueeze(1)).sum(-1), dim=-1)
                return -whole / known.sum(-1)

        return Mixture()
