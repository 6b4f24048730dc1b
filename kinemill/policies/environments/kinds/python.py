"""A custom environment: `module:Class`, or `file.py:Class` relative to the task file."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ValidationInfo, field_validator

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env
from kinemill.policies.environments.pettingzoo import turns_of
from kinemill.store import Json
from kinemill.task.environment import KINDS, Environment
from kinemill.task.hooks import file_of, load_hook, located
from kinemill.task.web_overrides import CODE, LOCAL


@KINDS.register("python")
class PythonEnvironment(Environment):
    """An environment of your own: a Python class or function that returns a `gymnasium.Env`.

    It is called with `arguments`. It may return an environment of PettingZoo as well.
    """

    type: Literal["python"] = "python"
    path: Annotated[str, CODE]
    """`module:Class`, or `file.py:Class` relative to the task file"""
    arguments: Annotated[Json, LOCAL] = {}
    """of the class, by name"""

    @field_validator("path")
    @classmethod
    def _found_from_the_task(cls, value: str, info: ValidationInfo) -> str:
        return located(value, info, "Class")

    def make(self, task: object, *, render: bool = False) -> Env:
        """Return the environment.

        Raises:
            BadInput: there is no such class, it does not take an argument, or makes something else
                than an environment with spaces.
        """
        import gymnasium

        del task
        where = f"environment.path: {self.path}"
        made = load_hook(where, self.path, "Class")
        settings = {**self.arguments, **({"render_mode": "rgb_array"} if render else {})}
        try:
            environment = made(**settings)
        except TypeError as error:
            raise BadInput(where, f"cannot be made: {error}") from error
        if isinstance(environment, gymnasium.Env):
            for name in ("observation_space", "action_space"):
                has_spaces = hasattr(environment, f"{name}s")  # of agents that take turns
                if not has_spaces and not isinstance(
                    getattr(environment, name, None), gymnasium.Space
                ):
                    raise BadInput(where, f"has no {name}", expected="a space of Gymnasium")
            return environment
        turns = turns_of(environment)
        if turns is None:
            expected = "a gymnasium.Env, or an AECEnv or ParallelEnv of PettingZoo"
            raise BadInput(where, f"is a {type(environment).__name__}", expected=expected)
        return turns

    def sources(self) -> dict[str, Path]:
        """Return the file of the class, by name.

        Raises:
            BadInput: It cannot be imported.
        """
        path = file_of(self.path)
        if path is None:
            load_hook(f"environment.path: {self.path}", self.path, "Class")
            file = getattr(sys.modules[self.path.rpartition(":")[0]], "__file__", None)
            return {"environment.py": Path(file)} if file else {}
        if not path.is_file():
            raise BadInput(f"environment.path: {self.path}", f"there is no file {path}")
        return {"environment.py": path}

    def at(self, folder: Path) -> "PythonEnvironment":
        """Return the same with the class of the copy in `folder`, if it is in a separate file."""
        if file_of(self.path) is None:
            return self
        name = self.path.rpartition(":")[2]
        return self.model_copy(update={"path": f"{folder / 'environment.py'}:{name}"})
