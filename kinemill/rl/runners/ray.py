"""Copies in actors of a Ray cluster: `RAY_ADDRESS`, or one that is started on this machine."""

from collections.abc import Callable
from typing import Any, Literal

from kinemill.errors import BadInput
from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("ray")
class Ray(Runner):
    """Each actor has its share of the copies."""

    type: Literal["ray"] = "ray"

    def open(self, make: Callable[[], Any], native: Any, copies: int) -> Any:
        """Return them as one.

        Raises:
            BadInput: Ray is not installed.
        """
        from kinemill.rl.subproc_vec_env import shares
        from kinemill.rl.vec_env import CopiesEnv

        del native
        try:
            import ray
        except ModuleNotFoundError as error:
            fix = "pip install 'kinemill[ray]'"
            raise BadInput("learn.runner: ray", "is not installed", fix=fix) from error
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False)
        sizes = shares(copies, self.workers)
        return CopiesEnv([_Actor(ray, make, size) for size in sizes], sizes)


class _Copies:
    """What an actor holds."""

    def __init__(self, make: Callable[[], Any], count: int) -> None:
        from kinemill.rl.sync_vec_env import Copies

        self._copies = Copies(make, count)

    def ask(self, name: str, given: Any) -> Any:
        """Do what is asked for."""
        from kinemill.rl.sync_vec_env import answer

        return answer(self._copies, name, given)


class _Actor:
    """Some copies in an actor.

    Args:
        ray: the library.
        make: makes one copy.
        count: how many.
    """

    def __init__(self, ray: Any, make: Callable[[], Any], count: int) -> None:
        self._ray, self._asked = ray, None
        self._actor = ray.remote(num_cpus=1)(_Copies).remote(make, count)

    def begin(self, name: str, *given: Any) -> None:
        """Ask for something."""
        self._asked = self._actor.ask.remote(name, given)

    def result(self) -> Any:
        """Wait for what came of it."""
        return self._ray.get(self._asked)

    def end(self) -> None:
        """Let the actor end."""
        self._ray.kill(self._actor)
