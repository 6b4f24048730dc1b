"""Each action held for several steps of the environment."""

from collections.abc import Mapping
from typing import Any, Literal

import gymnasium
from pydantic import Field

from kinemill.policies.environments.gym_types import Env, Transition
from kinemill.task import WRAPPERS, Count, Wrapper


@WRAPPERS.register("action_repeat")
class ActionRepeat(Wrapper):
    """Holds each action for `repeat` steps and sums their rewards; `dt` of the task is that long.

    `environment.steps` counts steps of the environment, `learn.steps` counts actions.
    """

    type: Literal["action_repeat"] = "action_repeat"
    repeat: Count = Field(default=2, description="steps of the environment for each action")

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with longer steps."""
        del estimates
        return RepeatedAction(environment, self.repeat)


class RepeatedAction(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Returns the last observation and `info`, and the sum of the rewards.

    Args:
        env: the environment to step.
        repeat: steps of it for each action, at least 1; fewer if its episode ends.
    """

    def __init__(self, env: Env, repeat: int) -> None:
        super().__init__(env)
        self._repeat = repeat

    def step(self, action: object) -> Transition:
        """Advance by up to `repeat` steps."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        total = float(reward)
        for _ in range(self._repeat - 1):
            if terminated or truncated:
                break
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
        return observation, total, terminated, truncated, info
