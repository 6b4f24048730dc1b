"""Deep Q-learning of stable-baselines3 and sb3-contrib with further options.

Training runs in rounds. Each round is a whole training for the library, so its own schedules would
restart; here schedules use the steps of all rounds.

Symbols: B batch, E inputs of the network.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sb3_contrib import QRDQN
from stable_baselines3 import DQN
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor, nn
from torch.nn import functional

from kinemill.rl.prioritized_replay import PrioritizedReplay


class DuelingNetwork(QNetwork):
    """Value plus advantage minus the mean advantage (Wang et al., 2016, eq. 9)."""

    value: nn.Linear
    advantage: nn.Linear

    def split(self) -> None:
        """Replace the last layer by two streams."""
        *hidden, last = self.q_net
        assert isinstance(last, nn.Linear)
        self.q_net = nn.Sequential(*hidden)
        self.value = nn.Linear(last.in_features, 1)
        self.advantage = nn.Linear(last.in_features, last.out_features)

    def forward(self, obs: PyTorchObs) -> Tensor:
        """Return the value of each action: (B, E) -> (B, actions)."""
        features = self.q_net(self.extract_features(obs, self.features_extractor))
        advantages = self.advantage(features)
        return self.value(features) + advantages - advantages.mean(dim=1, keepdim=True)

    def last_layer(self) -> nn.Linear:
        """Return one linear layer with the same outputs; both streams are linear."""
        last = nn.Linear(self.advantage.in_features, self.advantage.out_features)
        weight, bias = self.advantage.weight, self.advantage.bias
        with torch.no_grad():
            # The value (1, F) broadcasts over the actions (A, F): V + A - mean A is linear in F.
            last.weight.copy_(self.value.weight + weight - weight.mean(dim=0))
            last.bias.copy_(self.value.bias + bias - bias.mean())
        return last


class DuelingPolicy(DQNPolicy):
    """The policy of DQN with a dueling network."""

    def make_q_net(self) -> DuelingNetwork:
        """Make the network, or its target."""
        settings = self._update_features_extractor(self.net_args, features_extractor=None)
        network = DuelingNetwork(**settings)
        network.split()
        return network.to(self.device)


class DoubleDQN(DQN):
    """DQN (Mnih et al., 2015), with `double` as in van Hasselt et al. (2016).

    Args:
        exploration: environment step -> share of random actions.
        double: whether the online network selects the next action of a target, and the target
            network evaluates it.
        priorities: exponents of prioritized replay: `alpha`, and environment step -> `beta`; None:
            uniform replay.
        named: arguments of `stable_baselines3.DQN`.
    """

    def __init__(
        self,
        *,
        exploration: Callable[[int], float],
        double: bool,
        priorities: tuple[float, Callable[[int], float]] | None,
        **named: Any,
    ) -> None:
        self._exploration, self._double = exploration, double
        if priorities:
            alpha, beta = priorities
            named["replay_buffer_class"] = PrioritizedReplay
            named["replay_buffer_kwargs"] = {
                "alpha": alpha,
                "beta": lambda: beta(self.num_timesteps),
            }
        super().__init__(**named)

    def _setup_model(self) -> None:
        super()._setup_model()
        self.exploration_schedule = lambda _: self._exploration(self.num_timesteps)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Make `gradient_steps` updates of the network."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = [self._update(batch_size) for _ in range(gradient_steps)]
        self._n_updates += gradient_steps
        self.logger.record("train/loss", float(np.mean(losses)))

    def _update(self, batch_size: int) -> float:
        buffer: Any = self.replay_buffer
        batch = buffer.sample(batch_size)
        with torch.no_grad():
            next_values: Tensor = self.q_net_target(batch.next_observations)
            selecting = self.q_net(batch.next_observations) if self._double else next_values
            best = next_values.gather(1, selecting.argmax(dim=1, keepdim=True))
            target = batch.rewards + (1.0 - batch.dones) * self.gamma * best
        value = self.q_net(batch.observations).gather(1, batch.actions.long())
        loss = functional.smooth_l1_loss(value, target, reduction="none")
        if isinstance(buffer, PrioritizedReplay):
            loss = loss * torch.as_tensor(buffer.corrections, device=self.device)
            buffer.learned((target - value.detach()).cpu().numpy()[:, 0])
        mean = loss.mean()
        self.policy.optimizer.zero_grad()
        mean.backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        return float(mean.item())


class QuantileDQN(QRDQN):
    """Quantile regression DQN (Dabney et al., 2018).

    Args:
        exploration: environment step -> share of random actions.
        named: arguments of `sb3_contrib.QRDQN`.
    """

    def __init__(self, *, exploration: Callable[[int], float], **named: Any) -> None:
        self._exploration = exploration
        super().__init__(**named)

    def _setup_model(self) -> None:
        super()._setup_model()
        self.exploration_schedule = lambda _: self._exploration(self.num_timesteps)


def mean_layer(layer: nn.Module, quantiles: int) -> nn.Linear:
    """Return the linear layer of the mean over the quantiles of each action.

    The outputs of the layer are all actions of a quantile, then of the next one.
    """
    assert isinstance(layer, nn.Linear)
    mean = nn.Linear(layer.in_features, layer.out_features // quantiles)
    with torch.no_grad():
        mean.weight.copy_(layer.weight.view(quantiles, -1, layer.in_features).mean(dim=0))
        mean.bias.copy_(layer.bias.view(quantiles, -1).mean(dim=0))
    return mean
