"""Value-based algorithms: shared settings of algorithms that learn the value of each choice."""

from typing import ClassVar

from pydantic import Field

from kinemill.policies.rl.algorithms._off_policy import Replaying
from kinemill.policies.rl.learner import Site
from kinemill.policies.rl.objective import Reinforcement
from kinemill.task.bounds import Count, Fraction, Share, Steps


class ValueBased(Replaying):
    """Shared settings: epsilon-greedy exploration and a target network."""

    acts: ClassVar[tuple[str, ...]] = ("choice",)
    tau: float = Field(default=1.0, gt=0.0, le=1.0)
    """share of the network in its target at each update of the target"""
    train_freq: Count = Field(default=4, examples=[1, 4, 16])
    """steps per environment between updates"""
    target_update_interval: Steps = Field(default=1_000, examples=[100, 1_000, 10_000])
    """steps between updates of the target network"""
    exploration_initial_eps: Share = 1.0
    """share of random actions at the start"""
    exploration_final_eps: Share = Field(default=0.05, examples=[0.01, 0.05, 0.1])
    """share of random actions at the end"""
    exploration_fraction: Fraction = Field(default=0.1, examples=[0.1, 0.2, 0.5])
    """share of the training in which the share of random actions decreases"""

    def networks(self, learn: Reinforcement) -> dict[str, object]:
        """Return stable-baselines3's `policy_kwargs`."""
        from kinemill.policies.rl.sb3 import plain_models, policy_kwargs

        models = plain_models(learn)
        if models is not None:
            return policy_kwargs(learn, list(models[0].hidden_sizes))
        return policy_kwargs(learn, [], self.features)

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of stable-baselines3."""
        learn = site.learn
        largest_norm = learn.grad_clip if learn.grad_clip is not None else float("inf")
        return super().settings(site) | {"max_grad_norm": largest_norm}
