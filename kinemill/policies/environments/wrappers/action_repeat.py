"""Each action held for several steps of the environment."""

from collections.abc import Mapping
from typing import Literal

from gymnasium.wrappers import RepeatAction
from pydantic import Field

from kinemill.policies.environments.gym_types import Env
from kinemill.task import WRAPPERS, Wrapper


@WRAPPERS.register("action_repeat")
class ActionRepeat(Wrapper):
    """Holds each action for `repeat` steps and sums their rewards; `dt` of the task is that long.

    `environment.steps` counts steps of the environment, `learn.steps` counts actions.
    """

    type: Literal["action_repeat"] = "action_repeat"
    repeat: int = Field(
        default=2, ge=2, le=1_000_000, description="steps of the environment for each action"
    )

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with longer steps."""
        del estimates
        return RepeatAction(environment, self.repeat)
