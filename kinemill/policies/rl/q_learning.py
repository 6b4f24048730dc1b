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
from torch import Tensor, nn
from torch.nn import functional


class DoubleDQN(DQN):
    """DQN (Mnih et al., 2015), with `double` as in van Hasselt et al. (2016).

    Args:
        exploration: environment step -> share of random actions.
        double: whether the online network selects the next action of a target, and the target
            network evaluates it.
        named: arguments of `stable_baselines3.DQN`.
    """

    def __init__(
        self,
        *,
        exploration: Callable[[int], float],
        double: bool,
        **named: Any,
    ) -> None:
        self._exploration = exploration
        self._double = double
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
        loss = functional.smooth_l1_loss(value, target)
        self.policy.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        return float(loss.item())


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
