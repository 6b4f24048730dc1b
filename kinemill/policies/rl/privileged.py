"""A critic that observes more than the actor (asymmetric actor-critic, Pinto et al., 2018).

A simulator knows what a robot does not measure, such as its velocity and the friction of the
ground. With them, values are more accurate, and the policy needs fewer steps; only the actor is
exported. Symbols: B batch, E columns of an observation, of which the last ones are privileged.
"""

from typing import Any

from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn


class FirstColumns(nn.Module):
    """The columns that an actor observes.

    Args:
        count: number of them.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def forward(self, rows: Tensor) -> Tensor:
        """Return the first columns of `rows` (B, E), (B, count)."""
        return rows[:, : self._count]


def with_privileged_critic(
    policy: type[ActorCriticPolicy], privileged: int
) -> type[ActorCriticPolicy]:
    """Return a subclass of an actor-critic policy of stable-baselines3.

    Only the critic sees the last `privileged` columns. Actor and critic are separate plain
    perceptrons.
    """
    count = privileged

    class PrivilegedCriticPolicy(policy):
        """Actor-critic policy whose actor does not see the last columns."""

        privileged = count

        def _build_mlp_extractor(self) -> None:
            super()._build_mlp_extractor()
            networks: Any = self.mlp_extractor
            observed = self.features_dim - count
            layers = [*networks.policy_net]
            if layers:
                wide = layers[0]
                layers[0] = nn.Linear(observed, wide.out_features, device=wide.weight.device)
            else:
                networks.latent_dim_pi = observed
            networks.policy_net = nn.Sequential(FirstColumns(observed), *layers)

    return PrivilegedCriticPolicy
