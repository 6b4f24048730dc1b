"""An environment of Gymnasium, by its id: `CartPole-v1`."""

from typing import Annotated, Literal

from kinemill.errors import BadInput
from kinemill.policies.environments.dm_control import PREFIX, register_suite
from kinemill.policies.environments.gym_types import Env
from kinemill.registry import nearest
from kinemill.store import Json
from kinemill.task.environment import KINDS, Environment
from kinemill.task.web_overrides import LOCAL

# Packages of Gymnasium whose libraries come with the default install.
_INSTALLED = ("box2d", "classic_control", "mujoco", "toy_text")


@KINDS.register("gymnasium")
class GymnasiumEnvironment(Environment):
    """An environment by its Gymnasium id, as `gymnasium.make` makes it."""

    type: Literal["gymnasium"] = "gymnasium"
    id: Annotated[str, LOCAL]
    """its name in Gymnasium, `package:Name-v0` imports a package first"""
    arguments: Annotated[Json, LOCAL] = {}
    """of its constructor, by name"""

    def make(self, task: object, *, render: bool = False) -> Env:
        """Return the environment; Gymnasium's own limit of time counts if the task sets none.

        Raises:
            BadInput: there is none of this id, or it does not take an argument.
        """
        import gymnasium

        del task
        settings = dict(self.arguments)
        if self.steps is not None:
            settings["max_episode_steps"] = -1  # the task's own comes around it
        if render:
            settings["render_mode"] = "rgb_array"
        _redirect_mujoco(self.id)
        try:
            if self.id.startswith(PREFIX):
                register_suite()
            return gymnasium.make(self.id, **settings)
        except (gymnasium.error.Error, ImportError, TypeError) as error:
            where = f"environment.id: {self.id}"
            problem = f"cannot be made: {error}"
            raise BadInput(where, problem, fix=_fix(self.id, error)) from error


def _redirect_mujoco(name: str) -> None:
    """Send MuJoCo's warnings to `logging`, not to stderr and a file in the working folder."""
    import gymnasium

    from kinemill.control.mujoco_batch import redirect_warnings

    registered = gymnasium.registry.get(name)
    if registered is not None and "mujoco" in str(registered.entry_point):
        redirect_warnings()


def _fix(name: str, error: Exception) -> str | None:
    """Return what to install, or the nearest registered id."""
    import gymnasium

    registered = gymnasium.registry.get(name)
    if name.startswith(PREFIX):
        suite = [key for key in gymnasium.registry if key.startswith(PREFIX)]
        return nearest(name, suite) if suite else "pip install 'kinemill[dm-control]'"
    if registered is None:
        return _other_package(name)
    if not isinstance(error, gymnasium.error.DependencyNotInstalled | ImportError):
        return None
    newest = max(
        (spec for spec in gymnasium.registry.values() if spec.name == registered.name),
        key=lambda spec: spec.version or 0,
    )
    if newest.id != name:
        return f"use {newest.id}"
    family = str(registered.entry_point).removeprefix("gymnasium.envs.").partition(".")[0]
    if family in _INSTALLED:
        return "pip install 'kinemill[policies]'"
    return "install the package of this environment"


def _other_package(name: str) -> str:
    """Return the nearest id of Gymnasium, and how to name one of another package."""
    import gymnasium

    if ":" in name:
        return "install the package that registers it"
    plain = [key for key in gymnasium.registry if "/" not in key]
    return f"{nearest(name, plain)}; an id of another package is PACKAGE:{name}"
