"""Actions within [-1, 1], scaled to the limits of the robot."""

from collections.abc import Mapping
from typing import Literal

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task import WRAPPERS, TorchModule, Wrapper


@WRAPPERS.register("action_scaling")
class ActionScaling(Wrapper):
    """Scale actions to [-1, 1] for the algorithm.

    It is part of the exported policy: a robot gets actions in its units.
    """

    scope = "policy"
    type: Literal["action_scaling"] = "action_scaling"

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with actions in [-1, 1].

        Raises:
            BadInput: its actions are choices, or have no limits.
        """
        import numpy as np
        from gymnasium.spaces import Box
        from gymnasium.wrappers import RescaleAction

        del estimates
        space = environment.action_space
        if not isinstance(space, Box) or not space.is_bounded():
            where = "environment.wrappers: action_scaling"
            raise BadInput(where, f"actions are {space}", expected="continuous ones with limits")
        ends = np.ones(space.shape, np.float32)
        return RescaleAction(environment, -ends, ends)

    def module(self, layout: PolicyLayout, inputs: int) -> TorchModule:
        """Return the same in torch."""
        from kinemill.policies.environments.graph import Scaled

        limits = [layout.limits[name] for name in layout.actions]
        return Scaled(inputs, list(zip(*limits, strict=True)))
