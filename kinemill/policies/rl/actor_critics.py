"""Actor-critic policies of stable-baselines3: mixed actions, turns of agents, privileged critics.

Actions with both numbers and choices have a product of Gaussian and categorical distributions.

A critic may observe more than the actor (asymmetric actor-critic, Pinto et al., 2018): a simulator
knows what a robot does not measure, such as its velocity and the friction of the ground. Values are
then more accurate, and the policy needs fewer steps; only the actor is exported.

Symbols: B batch, A actions, M choices, D numbers observed, E columns of an observation, of which
the last ones are privileged, O outputs of the network: one per number, one per choice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

from kinemill.policies.rl.actor import forbid_choices
from kinemill.runtime.agents import Agent


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
        self._parts: list[Any] = []
        self._used = used
        allowed = forbid_choices(mean_actions, self._choices, mask)
        parts = allowed.split([count or 1 for count in self._choices], dim=1)
        for count, part in zip(self._choices, parts, strict=True):
            if count:
                self._parts.append(Categorical(logits=part))
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


def mixed_policy(choices: Sequence[int], agents: Sequence[Agent] = ()) -> type[ActorCriticPolicy]:
    """Return stable-baselines3's actor-critic policy with a `MixedDistribution`.

    The rows of agents that act in turns are observations (B, D) of `kinemill.runtime.agents`, then
    masks (B, M) if some turns forbid choices. Only the actions of the agent that acts in a turn
    count. `agents` are in the order of the one-hot at the start of a row; an action with 0 choices
    is a number.
    """
    width = max((agent.columns[1] for agent in agents), default=0)
    spans = [range(*agent.actions) for agent in agents]
    used = torch.tensor([[k in span for k in range(len(choices))] for span in spans]).float()

    class MixedPolicy(ActorCriticPolicy):
        """Actor-critic policy of numbers and choices, and of agents that act in turns."""

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

        def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Distribution:
            if not agents:
                return super()._get_action_dist_from_latent(latent_pi)
            turns = self._rows[:, : len(agents)]
            mask = self._rows[:, width:]
            return MixedDistribution(choices).proba_distribution(
                self.action_net(latent_pi),
                self.log_std,
                mask.float() if mask.shape[1] else None,
                # (B, N) one-hot times (N, A): the actions of the agent that acts in each row.
                turns.float() @ used.to(turns.device),
            )

    return MixedPolicy


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
