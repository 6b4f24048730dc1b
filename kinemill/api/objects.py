"""Python objects in place of names, in a task that learns by reinforcement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kinemill.errors import BadInput
from kinemill.task import Task
from kinemill.task.plugins import Model


@dataclass(frozen=True)
class Objects:
    """Python objects in place of names.

    Attributes:
        environment: returns a new `gymnasium.Env` on each call; None: the task's.
        wrappers: wrap an environment, from the innermost to the outermost.
        model: settings of a model; None: the task's.
        callbacks: of stable-baselines3's type.
    """

    environment: Callable[[], object] | None = None
    wrappers: Sequence[Callable[..., object]] = ()
    model: Model | None = None
    callbacks: Sequence[object] = ()


def with_objects(task: Task, objects: Objects) -> Task:
    """Return the task with objects in it.

    Raises:
        BadInput: the task has another learn type.
    """
    from kinemill.environments.instances import ObjectEnvironment, ObjectWrapper, name_of

    if task.learn.type != "reinforcement":
        fix = "leave objects out, or name what they are in the task file"
        raise BadInput(f"task {task.name}", f"learns by {task.learn.type}", fix=fix)
    own: Any = task.environment
    if objects.environment is not None:
        settings = {
            name: getattr(own, name)
            for name in ("steps", "wrappers", "randomize", "variants", "trials")
            if own is not None
        }
        maker = objects.environment
        own = ObjectEnvironment(maker=maker, name=name_of(maker), **settings)
    if objects.wrappers:
        around = [ObjectWrapper(wrap_with=one, name=name_of(one)) for one in objects.wrappers]
        own = own.model_copy(update={"wrappers": [*around, *own.wrappers]})
    changed = {"model": objects.model} if objects.model is not None else {}
    learn: Any = task.learn.model_copy(update=changed)
    learn.call(objects.callbacks)
    return task.model_copy(update={"environment": own, "learn": learn})
