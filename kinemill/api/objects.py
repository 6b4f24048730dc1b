"""Python objects as settings: networks, environments, wrappers and callbacks."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from kinemill.errors import BadInput
from kinemill.task import Environment, Model, Task, Wrapper
from kinemill.task.loader import recorded_task
from kinemill.task.overrides import nested
from kinemill.task.reinforcement import Algorithm


@dataclass(frozen=True)
class Objects:
    """Python objects as settings.

    Custom code is named by its file, see docs/own-code.md; a cell of a notebook writes such a file
    with `%%writefile my_net.py`.

    Attributes:
        model: settings of a model.
        environment: factory of `gymnasium.Env`, or an instance, which is copied; None: the task's.
            A training with an environment, wrapper functions or callbacks is neither cached nor
            registered. A training with settings of an environment is.
        wrappers: functions that wrap an environment, the innermost first; or settings of wrappers
            instead of the task's.
        algorithm: settings of the algorithm, such as `PPO(n_steps=64)`.
        policy: settings of the actor's network: as `model`.
        critic: settings of the critics' network; default: as the policy.
        callbacks: callbacks of stable-baselines3.
    """

    environment: Callable[[], object] | Environment | object | None = None
    wrappers: Sequence[Callable[..., object] | Wrapper] = ()
    algorithm: Algorithm | None = None
    policy: Model | None = None
    critic: Model | None = None
    model: Model | None = None
    callbacks: Sequence[object] = ()

    @property
    def live(self) -> bool:
        """Whether an object has no source for other processes."""
        is_object = self.environment is not None and not isinstance(self.environment, Environment)
        functions = [wrapper for wrapper in self.wrappers if not isinstance(wrapper, Wrapper)]
        return bool(is_object or functions or self.callbacks)

    def overrides(self) -> dict[str, object]:
        """Return the settings as overrides of a task."""
        changes: dict[str, object] = {}
        model = self.model if self.policy is None else self.policy
        for name, settings in (("model", model), ("critic", self.critic)):
            if settings is not None:
                changes[f"learn.{name}"] = settings.model_dump(mode="json")
        if isinstance(self.environment, Environment):
            changes["environment"] = self.environment.model_dump(mode="json")
        if settings := [wrapper for wrapper in self.wrappers if isinstance(wrapper, Wrapper)]:
            changes["environment.wrappers"] = [
                setting.model_dump(mode="json") for setting in settings
            ]
        if self.algorithm is not None:
            changes["learn.algorithm"] = self.algorithm.model_dump(mode="json")
        return changes


def with_objects(task: Task, objects: Objects) -> Task:
    """Return the task with these objects.

    Raises:
        BadInput: Objects of an environment are passed for another learn type than reinforcement.
        TaskError: The task does not support a setting.
    """
    if changes := nested(objects.overrides()):
        content = task.model_dump(mode="json", by_alias=True)
        task = recorded_task(content, task.path, changes, f"task {task.name}")
    return _with_instances(task, objects) if objects.live else task


def _with_instances(task: Task, objects: Objects) -> Task:
    """Return the task with objects that exist in this process only."""
    from kinemill.policies.environments.instances import ObjectEnvironment, ObjectWrapper, name_of

    if task.learn.type != "reinforcement":
        fix = "leave environment, wrappers and callbacks out"
        raise BadInput(f"task {task.name}", f"learns by {task.learn.type}", fix=fix)
    environment: Any = task.environment
    if objects.environment is not None and not isinstance(objects.environment, Environment):
        settings = {
            name: getattr(environment, name)
            for name in ("steps", "wrappers", "randomize", "variants", "trials")
            if environment is not None
        }
        maker = copies_of(objects.environment)
        environment = ObjectEnvironment(maker=maker, name=name_of(maker), **settings)
    if objects.wrappers:
        functions = [wrapper for wrapper in objects.wrappers if not isinstance(wrapper, Wrapper)]
        around = [
            ObjectWrapper(wrap_with=function, name=name_of(function)) for function in functions
        ]
        environment = environment.model_copy(update={"wrappers": [*around, *environment.wrappers]})
    learn: Any = task.learn.model_copy()
    learn.call(objects.callbacks)
    return task.model_copy(update={"environment": environment, "learn": learn})


def copies_of(environment: object) -> Callable[[], object]:
    """Return a factory of environments: the function itself, or one that copies an instance.

    An instance with a `spec` is made again by `gymnasium.make` instead of a deep copy.
    """
    import gymnasium

    if not isinstance(environment, gymnasium.Env):
        return cast(Callable[[], object], environment)
    spec = environment.spec
    return partial(copy.deepcopy, environment) if spec is None else partial(gymnasium.make, spec)
