"""Rewards scaled for critics; returns are reported in the environment's unit."""

from collections.abc import Mapping
from typing import Literal

from kinemill.policies.environments.gym_types import Env
from kinemill.task.bounds import Quantity, Ratio
from kinemill.task.environment import WRAPPERS, Wrapper


@WRAPPERS.register("reward_scaling")
class RewardScaling(Wrapper):
    """Scale rewards in training: times `factor`, plus `offset`. Evaluations report the original."""

    scope = "training"
    type: Literal["reward_scaling"] = "reward_scaling"
    factor: Ratio = 0.1
    """factor on each reward of the training"""
    offset: Quantity = 0.0
    """value that is added to each scaled reward"""

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with other rewards."""
        from gymnasium.wrappers import TransformReward

        del estimates
        return TransformReward(
            environment, lambda reward: self.factor * float(reward) + self.offset
        )
