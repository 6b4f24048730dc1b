"""Twin delayed deterministic policy gradient (Fujimoto et al., 2018)."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from kinemill.policies.rl.algorithms._off_policy import OffPolicy
from kinemill.policies.rl.learner import Site
from kinemill.task import ALGORITHMS, Count, RatioOrZero


@ALGORITHMS.register("td3")
class TD3(OffPolicy):
    """Twin delayed DDPG: off-policy and deterministic, for continuous actions.

    Noises are in halves of an action's range.
    """

    library: ClassVar[str] = "stable_baselines3:TD3"
    type: Literal["td3"] = "td3"
    action_noise: RatioOrZero = Field(default=0.1, examples=[0.1, 0.2, 0.4])
    """noise on the actions in training"""
    target_policy_noise: RatioOrZero = 0.2
    """noise on target actions"""
    target_noise_clip: RatioOrZero = 0.5
    """largest noise of the targets"""
    policy_delay: Count = 2
    """critic updates per actor update"""

    def layers(self, policy: Any) -> list[object]:
        """Return the layers of the actor of a policy of the library, in order."""
        return list(policy.actor.mu)

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of stable-baselines3."""
        import numpy as np
        from stable_baselines3.common.noise import NormalActionNoise

        count = site.environment.action_space.shape[0]
        noise = NormalActionNoise(np.zeros(count), np.full(count, self.action_noise))
        return super().settings(site) | {"action_noise": noise}
