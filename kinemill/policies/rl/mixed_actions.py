"""Actions with both numbers and choices: a product of Gaussian and categorical distributions.

Symbols: B batch, A actions, M choices, D numbers observed, O outputs of the network: one per
number, one per choice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

from kinemill.runtime.agents import Agent

NEVER = -1e8  # logit of a forbidden choice, as in sb3-contrib


class MixedDistribution(DiagGaussianDistribution):
    """Independent numbers and choices; choices are whole numbers from 0 in the action.

    The base class makes stable-baselines3 create standard deviations as parameters.

    Args:
        choices: number of choices of each action; 0 for a number.
    """

    def __init__(self, choices: Sequence[int]) -> None:
        super().__init__(sum(not count for count in choices))
        self._choices = tuple(choices)

    def proba_distribution_net(
        self, latent_dim: int, log_std_init: float = 0.0
    ) -> tuple[nn.Module, nn.Parameter]:
        """Return the layer (B, latent_dim) -> (B, O), and the log standard deviations."""
        outputs = sum(count or 1 for count in self._choices)
        log_std = nn.Parameter(torch.ones(self.action_dim) * log_std_init)
        return nn.Linear(latent_dim, outputs), log_std

    def proba_distribution(
        self,
        mean_actions: Tensor,
        log_std: Tensor,
        mask: Tensor | None = None,
        used: Tensor | None = None,
    ) -> "MixedDistribution":
        """Set the parameters of the distribution.

        Args:
            mean_actions: outputs of the network, (B, O).
            log_std: log standard deviation of each number.
            mask: allowed choices (B, M); None: all.
            used: whether each action counts, (B, A) 1 or 0; None: all do.
        """
        std = log_std.exp()
        number = 0
        column = 0
        self._parts: list[Any] = []
        self._used = used
        for count, part in zip(self._choices, split(mean_actions, self._choices), strict=True):
            if count:
                allowed = None if mask is None else mask[:, column : column + count]
                column += count
                logits = part if allowed is None else part.masked_fill(allowed < 0.5, NEVER)
                self._parts.append(Categorical(logits=logits))
            else:
                self._parts.append(Normal(part[:, 0], std[number]))
                number += 1
        return self

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the log density of actions: (B, A), or (B,) for a single action -> (B,)."""
        pairs = zip(self._parts, actions.reshape(len(actions), -1).unbind(dim=1), strict=True)
        return self._sum([part.log_prob(value) for part, value in pairs])

    def entropy(self) -> Tensor:
        """Return the entropy (B,)."""
        return self._sum([part.entropy() for part in self._parts])

    def _sum(self, parts: list[Tensor]) -> Tensor:
        """Return the sum over the actions that count, (B,)."""
        values = torch.stack(parts, dim=1)
        return (values if self._used is None else values * self._used).sum(dim=1)

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
    """Split outputs (B, O) by action: (B, 1) for a number, (B, count) for choices."""
    return outputs.split([count or 1 for count in choices], dim=1)


def mixed_policy(choices: Sequence[int]) -> type[ActorCriticPolicy]:
    """Return stable-baselines3's actor-critic policy with a `MixedDistribution`."""

    class MixedPolicy(ActorCriticPolicy):
        """Actor-critic policy of numbers and choices."""

        def _build(self, lr_schedule: Callable[[float], float]) -> None:
            self.action_dist = MixedDistribution(choices)
            super()._build(lr_schedule)

    return MixedPolicy


def turn_policy(agents: Sequence[Agent], choices: Sequence[int]) -> type[ActorCriticPolicy]:
    """Return the actor-critic policy of agents that act in turns.

    Its input rows are observations (B, D) of `kinemill.runtime.agents`, then masks (B, M) if some
    turns forbid choices. Only the actions of the agent that acts in a turn count. `agents` are in
    the order of the one-hot at the start of a row; an action with 0 choices is a number.
    """
    width = max(agent.columns[1] for agent in agents)
    spans = [range(*agent.actions) for agent in agents]
    used = torch.tensor([[k in span for k in range(len(choices))] for span in spans]).float()

    class TurnPolicy(ActorCriticPolicy):
        """Actor-critic policy of agents that act in turns."""

        def _build(self, lr_schedule: Callable[[float], float]) -> None:
            self.action_dist = MixedDistribution(choices)
            super()._build(lr_schedule)

        def extract_features(
            self, obs: PyTorchObs, features_extractor: BaseFeaturesExtractor | None = None
        ) -> Tensor | tuple[Tensor, Tensor]:
            """Return the features, and store the rows for the distribution."""
            if isinstance(obs, Tensor):
                self._rows = obs
            return super().extract_features(obs, features_extractor)

        def _get_action_dist_from_latent(self, latent_pi: Tensor) -> MixedDistribution:
            turns = self._rows[:, : len(agents)]
            mask = self._rows[:, width:]
            return MixedDistribution(choices).proba_distribution(
                self.action_net(latent_pi),
                self.log_std,
                mask.float() if mask.shape[1] else None,
                # (B, N) one-hot times (N, A): the actions of the agent that acts in each row.
                turns.float() @ used.to(turns.device),
            )

    return TurnPolicy
