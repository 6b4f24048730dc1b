"""Proximal policy optimization (Schulman et al., 2017): several passes over the newest steps."""

from typing import ClassVar, Literal

from pydantic import Field

from kinemill.policies.rl.algorithms._on_policy import ActorCritic
from kinemill.policies.rl.learner import Site
from kinemill.task import ALGORITHMS, Count, Ratio


@ALGORITHMS.register("ppo")
class PPO(ActorCritic):
    """Proximal policy optimization; the algorithm to try first, for any kind of action.

    An optimizer step uses `learn.batch_size` environment steps.
    """

    library: ClassVar[str] = "stable_baselines3:PPO"
    uses_batches: ClassVar[bool] = True
    single_steps: ClassVar[bool] = True
    type: Literal["ppo"] = "ppo"
    n_epochs: Count = Field(default=10, examples=[5, 10, 20])
    """passes over the collected steps"""
    clip_range: Ratio = Field(default=0.2, examples=[0.1, 0.2, 0.3])
    """largest relative change of an action's probability in an update"""
    target_kl: Ratio | None = None
    """KL divergence at which the epochs of an update stop"""
    normalize_advantage: bool = True
    """scale the advantages of a batch to mean 0, standard deviation 1"""

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of stable-baselines3."""
        return super().settings(site) | {"batch_size": site.learn.batch_size}
