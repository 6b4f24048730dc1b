"""Proximal policy optimization (Schulman et al., 2017): several passes over the newest steps."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from kinemill.rl.algorithms._on_policy import ActorCritic
from kinemill.rl.learner import Site
from kinemill.rl.objective import Reinforcement
from kinemill.task.bounds import Count, Ratio
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("ppo")
class PPO(ActorCritic):
    """Proximal policy optimization; the algorithm to try first, for any kind of action.

    `learn.batch_size` environment steps make one step of the optimizer.
    """

    uses_batches: ClassVar[bool] = True
    type: Literal["ppo"] = "ppo"
    n_epochs: Count = Field(
        default=10, description="passes over the collected steps", examples=[5, 10, 20]
    )
    clip_range: Ratio = Field(
        default=0.2,
        description="how far the probability of an action may move in an update",
        examples=[0.1, 0.2, 0.3],
    )
    target_kl: Ratio | None = Field(
        default=None, description="stop the epochs of an update when the policy has moved this far"
    )
    normalize_advantage: bool = Field(
        default=True, description="scale the advantages of a batch to mean 0, standard deviation 1"
    )

    def build(self, site: Site) -> Callable[..., object]:
        """Return what makes the library's model."""
        import stable_baselines3

        policy = self.policy_class(site, stable_baselines3.PPO)
        settings = self.settings(site.learn) | self.rollouts(site)
        return partial(stable_baselines3.PPO, policy, **settings)

    def settings(self, learn: Reinforcement) -> dict[str, Any]:
        """Return the library's names of all settings."""
        return self.usual(learn) | {
            "batch_size": learn.batch_size,
            "n_epochs": self.n_epochs,
            "clip_range": self.clip_range,
            "target_kl": self.target_kl,
            "normalize_advantage": self.normalize_advantage,
        }

    def compatible(self, other: str) -> bool:
        """Return whether the networks are the same."""
        return other in ("ppo", "a2c", "maskable_ppo", "impala")
