"""A wrapper of Gymnasium, or of another installed package, by its class."""

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Literal

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env
from kinemill.registry import nearest
from kinemill.store import Json
from kinemill.task.environment import WRAPPERS, Wrapper
from kinemill.task.web_overrides import CODE, LOCAL


@WRAPPERS.register("gymnasium")
class GymnasiumWrapper(Wrapper):
    """A wrapper class of `gymnasium.wrappers`, or `module:Class` of an installed package.

    It counts in evaluations too: a changed reward is the reward of the task.
    """

    type: Literal["gymnasium"] = "gymnasium"
    name: Annotated[str, CODE]
    """`ClipReward`, or `module:Class`"""
    arguments: Annotated[Json, LOCAL] = {}
    """of the class, by name"""

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the wrapped environment.

        Raises:
            BadInput: There is no such class, or it does not take an argument.
        """
        del estimates
        where = f"environment.wrappers: gymnasium: {self.name}"
        module, _, name = self.name.rpartition(":")
        try:
            classes = vars(import_module(module or "gymnasium.wrappers"))
        except ImportError as error:
            raise BadInput(where, f"cannot be imported: {error}") from error
        if name not in classes:
            names = [key for key, class_ in classes.items() if isinstance(class_, type)]
            raise BadInput(where, "is not there", fix=nearest(name, names))
        try:
            return classes[name](environment, **self.arguments)
        except (TypeError, AssertionError, ValueError) as error:
            raise BadInput(where, f"cannot be made: {error}") from error
