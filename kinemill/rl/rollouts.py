"""Rollouts of a copy of the policy in a worker process or Ray actor.

A rollout depends only on its job and on the current episodes of its environments.

Symbols: T steps, B environments of a worker, E inputs of a network, A actions, K episodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from kinemill.environments.gym_types import Info
from kinemill.environments.vector_env import EPISODE, VectorRows
from kinemill.rl.mixed_actions import MixedDistribution


@dataclass(frozen=True)
class RolloutJob:
    """Inputs of a rollout.

    Attributes:
        learn: settings of the policy's network.
        sizes: inputs and outputs of the network.
        choices: number of choices of each action; 0 for a number.
        weights: weights of the network by name.
        log_std: log standard deviations of numbers, (A,); empty for choices.
        rows: the latest observations, (B, E).
        steps: T.
        seed: seed of the drawn actions.
        version: number of policy updates so far.
    """

    learn: Any
    sizes: tuple[int, int]
    choices: tuple[int, ...]
    weights: dict[str, NDArray[np.float32]]
    log_std: NDArray[np.float32]
    rows: NDArray[np.generic]
    steps: int
    seed: int
    version: int


@dataclass(frozen=True)
class Rollout:
    """Steps of some environments under one policy.

    Attributes:
        rows: observations, (T+1, B, E).
        actions: drawn actions before clipping, (T, B, A).
        log_probs: log probabilities of the actions under the policy that acted, (T, B).
        rewards: rewards, (T, B).
        dones: whether an episode is over after each step, (T, B).
        truncated: whether the episode was truncated there, (T, B).
        last_rows: last observations of truncated episodes, (K, E), in order.
        episodes: statistics of each finished episode.
        version: number of updates of the policy that acted.
    """

    rows: NDArray[np.generic]
    actions: NDArray[np.float32]
    log_probs: NDArray[np.float32]
    rewards: NDArray[np.float32]
    dones: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    last_rows: NDArray[np.generic]
    episodes: list[dict[str, float]]
    version: int


@torch.no_grad()
def roll_out(copies: VectorRows, job: RolloutJob) -> Rollout:
    """Run the policy of a job in the copies of a worker."""
    network = job.learn.algorithm.core(job.learn, *job.sizes)
    network.load_state_dict({name: torch.from_numpy(one) for name, one in job.weights.items()})
    network.eval()
    # After the network is built: its initial weights are drawn from the same generator.
    torch.manual_seed(job.seed)
    distribution, log_std = MixedDistribution(job.choices), torch.from_numpy(job.log_std)
    rows, steps, infos = [job.rows], list[Any](), list[Sequence[Info]]()
    for _ in range(job.steps):
        outputs = network(torch.from_numpy(rows[-1]).float())[0]
        distribution.proba_distribution(outputs, log_std)
        actions = distribution.sample()
        observations, rewards, dones, info, _ = copies.step(
            env_actions(copies.action_space, actions.numpy())
        )
        steps.append((actions.numpy(), distribution.log_prob(actions).numpy(), rewards, dones))
        rows.append(observations)
        infos.append(info)
    actions, log_probs, rewards, dones = (np.stack(part) for part in zip(*steps, strict=True))
    cut = [[bool(one.get("TimeLimit.truncated")) for one in info] for info in infos]
    truncated = np.array(cut) & dones
    # `argwhere` is row-major, the order in which a mask (T, B) selects values.
    last = [infos[step][row]["terminal_observation"] for step, row in np.argwhere(truncated)]
    return Rollout(
        np.stack(rows),
        actions,
        log_probs,
        rewards,
        dones,
        truncated,
        np.stack(last) if last else np.zeros((0, *job.rows.shape[1:]), job.rows.dtype),
        [one[EPISODE] for info in infos for one in info if EPISODE in one],
        job.version,
    )


def env_actions(space: object, actions: NDArray[np.float32]) -> NDArray[np.generic]:
    """Return drawn actions (B, A) as inputs of environments: clipped numbers, or choices."""
    if isinstance(space, Box):
        return np.clip(actions, space.low, space.high)
    return actions[:, 0].astype(np.int64) if isinstance(space, Discrete) else actions.astype(int)
