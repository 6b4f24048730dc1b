"""Actions within [-1, 1], scaled to the limits of the robot."""

from typing import Literal

from kinemill.errors import BadInput
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task import WRAPPERS, TorchModule, Wrapper


@WRAPPERS.register("action_scaling")
class ActionScaling(Wrapper):
    """Scale actions to [-1, 1] for the algorithm.

    It is part of the exported policy: a robot gets actions in its units.
    """

    scope = "policy"
    type: Literal["action_scaling"] = "action_scaling"

    def module(self, layout: PolicyLayout, inputs: int) -> TorchModule:
        """Return the module that scales actions.

        Raises:
            BadInput: an action is a choice, or has no limits.
        """
        from kinemill.policies.environments.graph import Scaled

        choices = dict(zip(layout.actions, layout.choices, strict=False))
        for name in layout.actions:
            if choices.get(name) or name not in layout.limits:
                where = f"environment.wrappers: action_scaling: {name}"
                problem = "is a choice" if choices.get(name) else "has no limits"
                raise BadInput(where, problem, expected="continuous actions with limits")
        limits = [layout.limits[name] for name in layout.actions]
        return Scaled(inputs, list(zip(*limits, strict=True)))
