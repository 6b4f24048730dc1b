"""Advantage actor-critic (Mnih et al., 2016): one optimizer step per rollout."""

from typing import ClassVar, Literal

from pydantic import Field

from kinemill.policies.rl.algorithms._on_policy import ActorCritic
from kinemill.policies.rl.learner import Site
from kinemill.task.bounds import Count, Share
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("a2c")
class A2C(ActorCritic):
    """Advantage actor-critic: short rollouts of many copies; the smallest on-policy baseline."""

    library: ClassVar[str] = "stable_baselines3:A2C"
    single_steps: ClassVar[bool] = True
    type: Literal["a2c"] = "a2c"
    n_steps: Count = Field(default=5, examples=[5, 8, 16, 32])
    """steps per environment between updates"""
    gae_lambda: Share = Field(default=1.0, examples=[0.9, 0.95, 1.0])
    """λ of generalized advantage estimation; 1 uses whole returns"""
    normalize_advantage: bool = Field(default=False, examples=[False, True])
    """scale the advantages of a batch to mean 0, standard deviation 1"""

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of stable-baselines3."""
        return super().settings(site) | {"use_rms_prop": False}  # the task's optimizer
