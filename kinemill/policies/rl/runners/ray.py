"""Copies in actors of a Ray cluster: `RAY_ADDRESS`, or one started on this machine."""

from collections.abc import Callable
from types import ModuleType
from typing import Literal

from kinemill.errors import ProcessLost, TrainingFailed
from kinemill.extras import require_package
from kinemill.store.ray_cluster import connect_ray
from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("ray")
class Ray(Runner):
    """Ray actors on several machines, each with a share of the copies; for very slow steps."""

    type: Literal["ray"] = "ray"

    def open(self, make: Callable[[], object], native: object, copies: int) -> object:
        """Return the vectorized environment.

        Raises:
            BadInput: Ray is not installed.
            Unreachable: No cluster responds.
        """
        from kinemill.policies.rl.subproc_vec_env import shares
        from kinemill.policies.rl.vec_env import CopiesEnv

        del native
        require_package("ray", "learn.runner: ray")
        import ray

        if not ray.is_initialized():
            connect_ray(log_to_driver=False, include_dashboard=False)
        sizes = shares(copies, self.workers)
        return CopiesEnv([_Actor(ray, make, size) for size in sizes], sizes)


class _Copies:
    """The copies of an actor."""

    def __init__(self, make: Callable[[], object], count: int) -> None:
        from kinemill.policies.rl.sync_vec_env import Copies

        self._copies = Copies(make, count)

    def call(self, name: str, args: tuple[object, ...]) -> object:
        """Execute a call."""
        from kinemill.policies.rl.sync_vec_env import call

        return call(self._copies, name, args)


class _Actor:
    """Copies in an actor; a `kinemill.policies.rl.vec_env.Worker`."""

    def __init__(self, ray: ModuleType, make: Callable[[], object], count: int) -> None:
        self._ray = ray
        self._pending = None
        self._actor = ray.remote(num_cpus=1)(_Copies).remote(make, count)

    def begin(self, name: str, *args: object) -> None:
        """Send a call."""
        self._pending = self._actor.call.remote(name, args)

    def result(self) -> object:
        """Wait for the result.

        Raises:
            TrainingFailed: The environment raised an error.
            ProcessLost: The actor has ended.
        """
        try:
            return self._ray.get(self._pending)
        except self._ray.exceptions.RayTaskError as error:
            raise TrainingFailed("an actor of learn.runner: ray", f"raised\n{error}") from error
        except self._ray.exceptions.RayActorError as error:
            fix = "run again: the training resumes from the last checkpoint"
            raise ProcessLost("an actor of learn.runner: ray", "has ended", fix=fix) from error

    def end(self) -> None:
        """End the actor."""
        self._ray.kill(self._actor)
