"""A wrapper of the user's own: a Gymnasium wrapper in a file of the project.

    class Clip(gymnasium.RewardWrapper):
        def __init__(self, env: gymnasium.Env, low: float = -1.0): ...

A function of an environment that returns one works as well. A subclass of
`kinemill.task.environment.Wrapper` is a plug-in as those of this folder.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import gymnasium

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env
from kinemill.task import OwnCode, Wrapper


class OwnWrapper(OwnCode, Wrapper):
    """Settings of a wrapper of the user's own; its other parameters are the settings."""

    scope: ClassVar[Literal["environment", "policy", "training"]] = "environment"
    arguments: ClassVar[tuple[str, ...]] = ("env",)
    protocol: ClassVar[type[Wrapper]] = Wrapper

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the wrapped environment.

        Raises:
            BadInput: The code fails, or returns something else.
        """
        del estimates
        wrapped = self.call(environment)
        if not isinstance(wrapped, gymnasium.Env):
            where = f"environment.wrappers: {self.type}"
            raise BadInput(where, f"is a {type(wrapped).__name__}", expected="a gymnasium.Env")
        return wrapped
