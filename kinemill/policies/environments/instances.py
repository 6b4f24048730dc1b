"""Objects in the place of names: environments and wrappers handed in from Python.

A task that holds them trains and exports as any other. It has no file that another process could
read, so it is neither scheduled nor registered.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal
from uuid import uuid4

from pydantic import ConfigDict, Field

from kinemill.policies.environments.gym_types import Env
from kinemill.task.environment import Environment, Wrapper

Maker = Callable[[], Any]


class ObjectEnvironment(Environment):
    """Return a factory of environments: a class, or a function that returns a new one."""

    live: ClassVar[bool] = True
    model_config = ConfigDict(arbitrary_types_allowed=True)
    type: Literal["handed"] = "handed"
    maker: Maker = Field(exclude=True)
    name: str = ""  # of the function, for the card

    def make(self, task: object, *, render: bool = False) -> Env:
        """Return a new environment; pictures are its own business."""
        del task, render
        return self.maker()


class ObjectWrapper(Wrapper):
    """A class of Gymnasium wrappers, or what puts something around an environment."""

    scope: ClassVar[Literal["environment", "policy", "training"]] = "environment"
    live: ClassVar[bool] = True
    model_config = ConfigDict(arbitrary_types_allowed=True)
    type: Literal["handed"] = "handed"
    wrap_with: Callable[[Any], Any] = Field(exclude=True)
    name: str = ""

    def wrap(self, environment: object, estimates: Mapping[str, object]) -> Env:
        """Return the environment with this around it."""
        del estimates
        return self.wrap_with(environment)


def name_of(thing: object) -> str:
    """Return what an object calls itself, and a word that no other has.

    An object may behave differently next time, so its results are not cached.
    """
    called = getattr(thing, "__qualname__", type(thing).__qualname__)
    return f"{called} {uuid4().hex}"
