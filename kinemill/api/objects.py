"""Python objects as settings: custom code of a notebook, and environments and callbacks."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from kinemill.api.source_capture import capture
from kinemill.errors import BadInput
from kinemill.task import Environment, Model, Task, Wrapper
from kinemill.task.loader import recorded_task
from kinemill.task.overrides import nested
from kinemill.task.reinforcement import Algorithm

Code = Callable[..., object]


@dataclass(frozen=True)
class Objects:
    """Python objects as settings.

    Classes and functions of a notebook become custom code of the task: their source is captured, so
    the training can be cached and registered. `functools.partial` passes settings.

    Attributes:
        model: class of a `torch.nn.Module`, see docs/own-code.md; or settings of a model.
        loss: function errors -> terms.
        features: function of all channels -> features by name.
        coordinates: class with `encode` and `decode` of all states.
        augment: functions (values, signals, random) -> values, after those of the task.
        checks: functions (values, dt) -> faulty rows, by name.
        environment: factory of `gymnasium.Env`, or an instance, which is copied; None: the task's.
            A training with an environment, wrapper functions or callbacks is neither cached nor
            registered. A training with settings of an environment is.
        wrappers: functions that wrap an environment, the innermost first; or settings of wrappers
            instead of the task's.
        algorithm: settings of the algorithm, such as `PPO(n_steps=64)`.
        policy: network of the actor: as `model`.
        critic: network of the critics: as `model`; default: as the policy.
        callbacks: callbacks of stable-baselines3.
    """

    environment: Callable[[], object] | Environment | object | None = None
    wrappers: Sequence[Callable[..., object] | Wrapper] = ()
    algorithm: Algorithm | None = None
    policy: Model | Code | None = None
    critic: Model | Code | None = None
    model: Model | Code | None = None
    callbacks: Sequence[object] = ()
    loss: Code | None = None
    features: Code | None = None
    coordinates: Code | None = None
    augment: Sequence[Code] = ()
    checks: Mapping[str, Code] = field(default_factory=dict[str, Code])

    @property
    def live(self) -> bool:
        """Whether an object has no source for other processes."""
        is_object = self.environment is not None and not isinstance(self.environment, Environment)
        functions = [wrapper for wrapper in self.wrappers if not isinstance(wrapper, Wrapper)]
        return bool(is_object or functions or self.callbacks)

    def overrides(self, task: Task) -> dict[str, object]:
        """Return the custom code as overrides of a task.

        Raises:
            BadInput: A source cannot be captured.
        """
        changes = self._reinforcement()
        model = self.model if self.policy is None else self.policy
        singles = {"model": model, "loss": self.loss, "features": self.features}
        singles |= {"coordinates": self.coordinates, "critic": self.critic}
        for name, code in singles.items():
            if isinstance(code, Model):
                changes[f"learn.{name}"] = code.model_dump(mode="json")
            elif code is not None:
                changes[f"learn.{name}"] = capture(code, f"objects.{name}")
        if self.augment:
            augmentations = [
                capture(augmentation, f"objects.augment[{i}]")
                for i, augmentation in enumerate(self.augment)
            ]
            changes["augment"] = [*task.part("augment")["augment"], *augmentations]
        for name, code in self.checks.items():
            changes[f"validate.checks.{name}"] = capture(code, f"objects.checks[{name!r}]")
        return changes

    def _reinforcement(self) -> dict[str, object]:
        """Return the settings of environment, wrappers and algorithm as overrides."""
        changes: dict[str, object] = {}
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
        BadInput: A source cannot be captured, or objects of an environment are passed for another
            learn type than reinforcement.
        TaskError: The task does not support custom code for a setting.
    """
    if changes := nested(objects.overrides(task)):
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
