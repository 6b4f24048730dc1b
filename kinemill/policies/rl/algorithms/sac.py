"""Soft actor-critic (Haarnoja et al., 2018): maximize return and entropy from a replay buffer."""

from typing import ClassVar, Literal

from kinemill.policies.rl.algorithms._off_policy import Stochastic
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("sac")
class SAC(Stochastic):
    """Soft actor-critic: off-policy, for continuous actions where samples are expensive."""

    library: ClassVar[str] = "stable_baselines3:SAC"
    type: Literal["sac"] = "sac"
