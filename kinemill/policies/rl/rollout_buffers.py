"""Rollout buffers: of agents with individual rewards, and with mirror images of the steps.

The advantages of agents are along the turns of each. What a symmetric robot learns on one side, it
then knows on the other side as well (Mittal et al., 2024, Symmetry considerations for learning task
symmetric robot policies, section III-B).

Symbols: T steps, B environments, N agents, D numbers observed, E columns
of an observation, A actions.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from kinemill.policies.environments.gym_types import Space
from kinemill.policies.environments.turns import AGENT_REWARDS
from kinemill.policies.rl.mirror_image import MirrorImage
from kinemill.policies.rl.vec_env import CopiesEnv

Floats = NDArray[np.float32]


def agent_advantages(
    rewards: Floats,
    agents: NDArray[np.int64],
    values: Floats,
    dones: NDArray[np.bool_],
    last_values: Floats,
    discounts: tuple[float, float],
) -> Floats:
    """Return generalized advantages (T, B); Schulman et al., 2016, along each agent's turns.

    A transition of an agent goes from one of its turns to the next one, with the sum of its rewards
    in between. If a rollout ends before the next turn, the value of the last turn replaces the
    value of the next one. The same holds for a truncated episode: its end is no terminal state
    (Pardo et al., 2018).

    Args:
        rewards: rewards of all agents at each turn, (T, B, N).
        agents: agent that acts in each turn, (T, B).
        values: values of that agent's critic, (T, B).
        dones: whether the episode is over after each turn, (T, B).
        last_values: value of each agent at the end of an episode, (T, B, N): 0 where it terminated,
            NaN where it was truncated and the value of the agent is unknown; ignored elsewhere.
        discounts: gamma and lambda, per turn of an agent.
    """
    (gamma, gae_lambda), (steps, rows, count) = discounts, rewards.shape
    advantages = np.zeros((steps, rows), np.float32)
    collected = np.zeros((rows, count))  # rewards since the next turn, going backwards
    following = np.full((rows, count), np.nan)  # value of the next turn; NaN: not in the rollout
    later = np.zeros((rows, count))  # advantage of the next turn
    row = np.arange(rows)
    for step in reversed(range(steps)):
        over = dones[step]
        # Of what comes after the end of an episode, only the value of a truncated one counts.
        collected[over], following[over], later[over] = 0.0, last_values[step, over], 0.0
        collected += rewards[step]
        agent = agents[step]
        value = values[step].astype(np.float64)
        after = following[row, agent]
        after = np.where(np.isnan(after), value, after)
        advantage = collected[row, agent] + gamma * after - value
        advantage += gamma * gae_lambda * later[row, agent]
        advantages[step] = advantage
        # Only the agent that acts begins a new transition; the others still sum their rewards.
        collected[row, agent], following[row, agent] = 0.0, value
        later[row, agent] = advantage
    return advantages


class AgentRollouts(RolloutBuffer):
    """Rollout buffer of stable-baselines3 with a separate reward for each agent.

    In an environment with one reward for all agents, it is an ordinary rollout buffer.

    Args:
        buffer_size: steps of each environment, T.
        observation_space: space of rows (D,), which start with the one-hot of the agent.
        action_space: space of actions (A,).
        environment: a `CopiesEnv`, which stores the `infos` of the last step.
        agents: number of agents, N.
        settings: further arguments of `RolloutBuffer`.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: Space,
        action_space: Space,
        *,
        environment: CopiesEnv,
        agents: int,
        **settings: Any,
    ) -> None:
        self._environment = environment
        self._agents = agents
        super().__init__(buffer_size, observation_space, action_space, **settings)

    def reset(self) -> None:
        """Empty the buffer."""
        shape = (self.buffer_size, self.n_envs, self._agents)
        self._own, self._last_values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._has_own = False
        super().reset()

    def add(
        self,
        obs: NDArray[np.generic],
        action: NDArray[np.generic],
        reward: NDArray[np.generic],
        episode_start: NDArray[np.generic],
        value: Tensor,
        log_prob: Tensor,
    ) -> None:
        """Store a step (B, ...) and the rewards of all agents."""
        for row, info in enumerate(self._environment.infos):
            if AGENT_REWARDS in info:
                self._own[self.pos, row], self._has_own = info[AGENT_REWARDS], True
            if info.get("TimeLimit.truncated"):
                # stable-baselines3 has added gamma times the value of the last observation, which
                # is that of the agent whose turn would be next.
                bootstrapped = reward[row] - self._environment.rewards[row]
                agent = info["terminal_observation"][: self._agents].argmax()
                self._last_values[self.pos, row] = np.nan
                self._last_values[self.pos, row, agent] = bootstrapped / self.gamma
        super().add(obs, action, reward, episode_start, value, log_prob)

    def compute_returns_and_advantage(self, last_values: Tensor, dones: NDArray[np.bool_]) -> None:
        """Compute advantages and returns of all steps, (T, B) each.

        Args:
            last_values: values after the last step, (B,).
            dones: whether the episode is over after the last step, (B,).
        """
        if not self._has_own:
            super().compute_returns_and_advantage(last_values, dones)
            return
        self.advantages = agent_advantages(
            self._own,
            self.observations[:, :, : self._agents].argmax(axis=2),
            self.values,
            np.concatenate([self.episode_starts[1:], dones[None]]).astype(bool),
            self._last_values,
            (self.gamma, self.gae_lambda),
        )
        self.returns = self.advantages + self.values


class MirroredRollouts(RolloutBuffer):
    """Rollout buffer of stable-baselines3 whose batches have the mirror image of each step.

    Advantage, return and probability of an image are those of the step itself.

    Args:
        buffer_size: steps of each environment, T.
        observation_space: space of rows (E,).
        action_space: space of actions (A,).
        mirror: of rows and actions.
        settings: further arguments of `RolloutBuffer`.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: Space,
        action_space: Space,
        *,
        mirror: MirrorImage,
        **settings: Any,
    ) -> None:
        self._mirror = mirror
        super().__init__(buffer_size, observation_space, action_space, **settings)

    def _get_samples(
        self, batch_inds: NDArray[np.intp], env: VecNormalize | None = None
    ) -> RolloutBufferSamples:
        """Return steps and their images, twice as many rows as indices."""
        # Old values, old log probabilities, advantages and returns, in this order.
        rows, actions, *values = super()._get_samples(batch_inds, env)
        return RolloutBufferSamples(
            torch.cat([rows, self._mirror.observations.apply(rows)]),
            torch.cat([actions, self._mirror.actions.apply(actions)]),
            *(torch.cat([value, value]) for value in values),
        )
