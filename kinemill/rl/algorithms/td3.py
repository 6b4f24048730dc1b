"""Twin delayed deterministic policy gradient (Fujimoto et al., 2018)."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from kinemill.rl.algorithms._off_policy import OffPolicy
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("td3")
class TD3(OffPolicy):
    """Settings; noises are in halves of an action's range."""

    type: Literal["td3"] = "td3"
    noise: NonNegativeFloat = Field(
        default=0.1, description="on the actions that are tried", examples=[0.1, 0.2, 0.4]
    )
    target_noise: NonNegativeFloat = Field(default=0.2, description="on those of the targets")
    target_clip: NonNegativeFloat = Field(default=0.5, description="largest noise of the targets")
    delay: PositiveInt = Field(default=2, description="updates of the critics for one of the actor")

    def layers(self, actor: Any) -> list[Any]:
        """Return the layers of the library's actor, in order."""
        return list(actor.mu)

    def learner(self, site: Any) -> Any:
        """Return what learns."""
        import numpy as np
        import stable_baselines3
        from stable_baselines3.common.noise import NormalActionNoise

        count = site.environment.action_space.shape[0]
        settings = self.usual(site.learn) | {
            "action_noise": NormalActionNoise(np.zeros(count), np.full(count, self.noise)),
            "target_policy_noise": self.target_noise,
            "target_noise_clip": self.target_clip,
            "policy_delay": self.delay,
        }
        return self.made(site, stable_baselines3.TD3, settings)
