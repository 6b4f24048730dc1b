"""Soft actor-critic (Haarnoja et al., 2018): maximize return and entropy from a replay buffer."""

from typing import Literal

from pydantic import Field

from kinemill.rl.algorithms._off_policy import OffPolicy
from kinemill.rl.learner import Learner, Site
from kinemill.task.bounds import Weight
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("sac")
class SAC(OffPolicy):
    """Soft actor-critic: off-policy, for continuous actions where samples are expensive."""

    type: Literal["sac"] = "sac"
    ent_coef: Weight | Literal["auto"] = Field(
        default="auto", description="weight of the entropy in the objective; auto: learned"
    )

    def learner(self, site: Site) -> Learner:
        """Return the learner."""
        import stable_baselines3

        settings = self.usual(site.learn) | {"ent_coef": self.ent_coef}
        return self.made(site, stable_baselines3.SAC, settings)
