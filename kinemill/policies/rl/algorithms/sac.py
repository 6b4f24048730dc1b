"""Soft actor-critic (Haarnoja et al., 2018): maximize return and entropy from a replay buffer."""

from typing import Literal

from kinemill.policies.rl.algorithms._off_policy import Stochastic
from kinemill.policies.rl.learner import Learner, Site
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("sac")
class SAC(Stochastic):
    """Soft actor-critic: off-policy, for continuous actions where samples are expensive."""

    type: Literal["sac"] = "sac"

    def learner(self, site: Site) -> Learner:
        """Return the learner."""
        import stable_baselines3

        return self.made(site, stable_baselines3.SAC, self.usual(site.learn))
