"""Actions of numbers and choices at once: Gaussian and categorical distributions side by side.

Symbols: B batch, A actions, O outputs of the network: one per number, one per choice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn
from torch.distributions import Categorical, Normal


class MixedDistribution(DiagGaussianDistribution):
    """Independent numbers and choices; choices are whole numbers from 0 in the action.

    stable-baselines3 treats it as a Gaussian one, whose standard deviations are parameters.

    Args:
        choices: number of choices of each action; 0 for a number.
    """

    def __init__(self, choices: Sequence[int]) -> None:
        super().__init__(sum(not count for count in choices))
        self._choices = tuple(choices)

    def proba_distribution_net(
        self, latent_dim: int, log_std_init: float = 0.0
    ) -> tuple[nn.Module, nn.Parameter]:
        """Return the layer (B, latent_dim) -> (B, O), and the logarithms of the deviations."""
        outputs = sum(count or 1 for count in self._choices)
        log_std = nn.Parameter(torch.ones(self.action_dim) * log_std_init)
        return nn.Linear(latent_dim, outputs), log_std

    def proba_distribution(self, mean_actions: Tensor, log_std: Tensor) -> "MixedDistribution":
        """Set the parameters: outputs (B, O), and deviations of the numbers."""
        std, number = log_std.exp(), 0
        self._parts: list[Any] = []
        for count, part in zip(self._choices, split(mean_actions, self._choices), strict=True):
            if count:
                self._parts.append(Categorical(logits=part))
            else:
                self._parts.append(Normal(part[:, 0], std[number]))
                number += 1
        return self

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the logarithm of the density: (B, A) -> (B,)."""
        pairs = zip(self._parts, actions.unbind(dim=1), strict=True)
        return torch.stack([part.log_prob(value) for part, value in pairs]).sum(dim=0)

    def entropy(self) -> Tensor:
        """Return the entropy (B,)."""
        return torch.stack([part.entropy() for part in self._parts]).sum(dim=0)

    def sample(self) -> Tensor:
        """Draw actions (B, A)."""
        drawn = [
            part.sample() if isinstance(part, Categorical) else part.rsample()
            for part in self._parts
        ]
        return torch.stack([value.float() for value in drawn], dim=1)

    def mode(self) -> Tensor:
        """Return the most likely actions (B, A)."""
        modes = [
            part.probs.argmax(dim=1).float() if isinstance(part, Categorical) else part.mean
            for part in self._parts
        ]
        return torch.stack(modes, dim=1)


def split(outputs: Tensor, choices: Sequence[int]) -> tuple[Tensor, ...]:
    """Split outputs (B, O) into those of each action, (B, 1) for a number."""
    return outputs.split([count or 1 for count in choices], dim=1)


def mixed_policy(choices: Sequence[int]) -> type[ActorCriticPolicy]:
    """Return stable-baselines3's actor-critic policy with a `MixedDistribution`."""

    class MixedPolicy(ActorCriticPolicy):
        """Actor-critic policy of numbers and choices."""

        def _build(self, lr_schedule: Callable[[float], float]) -> None:
            self.action_dist = MixedDistribution(choices)
            super()._build(lr_schedule)

    return MixedPolicy
