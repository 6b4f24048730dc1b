"""The critic of a trained policy that values actions: off-policy and value-based algorithms.

Symbols: B batch, E inputs of the network, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from kinemill.policies.environments.graph import Scaled
from kinemill.policies.environments.wrappers.reward_scaling import RewardScaling
from kinemill.policies.rl.actor import Actor
from kinemill.policies.rl.algorithms._off_policy import Replaying
from kinemill.policies.rl.learner_context import open_site
from kinemill.policies.rl.runners.in_process import InProcess
from kinemill.policies.rl.warm_start import load_warm_start
from kinemill.task import Task, WarmStart, Wrapper
from kinemill.train.warm_start import load_model


@dataclass(frozen=True)
class ActionCritic:
    """Values of actions: the expected discounted return after each, in the environment's rewards.

    Attributes:
        algorithm: settings of the algorithm.
        actor: the trained policy; its wrappers compute the critic's input.
        model: model of stable-baselines3, with the weights of the training.
        scale: factor of rewards in the training; values are divided by it.
    """

    algorithm: Replaying
    actor: Actor
    model: Any
    scale: float

    def encode(
        self, inputs: Sequence[Tensor], carry: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the critic's input (B, E) and the next carry from the policy's inputs (B, ...)."""
        row, after, rest = self.actor.encode(*inputs, *carry)
        return row, [*after, *rest]

    @torch.no_grad()
    def values(self, rows: Tensor, actions: Tensor) -> Tensor:
        """Return the value of each action: (B, E), (B, A) in task units -> (B,)."""
        inner = self._inner(actions)
        values = cast(Tensor, self.algorithm.action_values(self.model.policy, rows, inner))
        return values / self.scale

    def _inner(self, actions: Tensor) -> Tensor:
        """Return actions as in the replay buffer: numbers within [-1, 1], or choices."""
        if any(self.actor.layout.choices):
            return actions.long()
        space = self.model.action_space
        low, high = (torch.as_tensor(end) for end in (space.low, space.high))
        for adapter in self.actor.adapters:
            if isinstance(adapter, Scaled):
                low = adapter.low
                high = adapter.high
        # As `scale_action` of stable-baselines3: the replay buffer holds actions in [-1, 1].
        return 2.0 * (actions - low) / (high - low) - 1.0


def load_critic(task: Task, start: WarmStart) -> ActionCritic | None:
    """Return the critic of a trained policy; None if its algorithm has no action values.

    Raises:
        BadInput: The environment cannot be created.
    """
    learn: Any = task.learn
    algorithm = getattr(learn, "algorithm", None)
    if not isinstance(algorithm, Replaying) or task.environment is None:
        return None
    wrappers = task.environment.wrappers
    scale = _reward_scale(wrappers)
    if scale is None:
        return None
    actor: Actor = load_model(Path(start.folder))
    estimates, weights = load_warm_start(start, learn, wrappers)
    # The learner builds the critics. It needs an environment and a buffer, which stay unused here.
    small = learn.model_copy(
        update={
            "algorithm": algorithm.model_copy(update={"buffer_size": 1}),
            "runner": InProcess(),
            "num_envs": 1,
        }
    )
    site = open_site(
        task.model_copy(update={"learn": small}), actor.layout, estimates, torch.device("cpu")
    )
    try:
        learner: Any = small.algorithm.learner(site)
        learner.start(weights)
    finally:
        site.environment.close()
    learner.model.policy.set_training_mode(False)
    return ActionCritic(algorithm, actor, learner.model, scale)


def _reward_scale(wrappers: Sequence[Wrapper]) -> float | None:
    """Return the factor on rewards in training; None if they were also shifted."""
    scaled = [wrapper for wrapper in wrappers if isinstance(wrapper, RewardScaling)]
    # The sum of the offsets depends on the length of the episode, so no factor removes it.
    if any(one.offset for one in scaled):
        return None
    return prod(one.factor for one in scaled)
