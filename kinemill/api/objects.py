"""Python objects in place of names: own code of a notebook, and objects of reinforcement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kinemill.api.source_capture import capture
from kinemill.errors import BadInput
from kinemill.task import Task
from kinemill.task.overrides import nested
from kinemill.task.plugins import Model

Code = Callable[..., object]


@dataclass(frozen=True)
class Objects:
    """Python objects in place of names.

    Classes and functions of a notebook become own code of the task: their source is captured, so
    the training is cached and registered as any other. `functools.partial` passes settings.

    Attributes:
        model: class of a `torch.nn.Module`, see docs/own-code.md; or settings of a model.
        loss: function errors -> terms.
        features: function of all channels -> features by name.
        coordinates: class with `encode` and `decode` of all states.
        augment: functions (values, signals, random) -> values, after those of the task.
        checks: functions (values, dt) -> faulty rows, by name.
        baselines: functions (states, past_actions, actions) -> states, by name.
        environment: returns a new `gymnasium.Env` on each call; None: the task's. Such a training
            is neither cached nor registered, nor is one with wrappers or callbacks.
        wrappers: wrap an environment, from the innermost to the outermost.
        callbacks: of stable-baselines3's type.
    """

    environment: Callable[[], object] | None = None
    wrappers: Sequence[Callable[..., object]] = ()
    model: Model | Code | None = None
    callbacks: Sequence[object] = ()
    loss: Code | None = None
    features: Code | None = None
    coordinates: Code | None = None
    augment: Sequence[Code] = ()
    checks: Mapping[str, Code] = field(default_factory=dict[str, Code])
    baselines: Mapping[str, Code] = field(default_factory=dict[str, Code])

    @property
    def live(self) -> bool:
        """Whether an object has no source that another process could run."""
        return bool(self.environment or self.wrappers or self.callbacks)

    def overrides(self, task: Task) -> dict[str, object]:
        """Return the own code as overrides of a task.

        Raises:
            BadInput: A source cannot be captured.
        """
        changes: dict[str, object] = {}
        singles = {"model": self.model, "loss": self.loss, "features": self.features}
        singles["coordinates"] = self.coordinates
        for name, code in singles.items():
            if isinstance(code, Model):
                changes[f"learn.{name}"] = code.model_dump(mode="json")
            elif code is not None:
                changes[f"learn.{name}"] = capture(code, f"objects.{name}")
        if self.augment:
            own = [capture(one, f"objects.augment[{i}]") for i, one in enumerate(self.augment)]
            changes["augment"] = [*task.part("augment")["augment"], *own]
        for part, codes in (("validate.checks", self.checks), ("verify.baselines", self.baselines)):
            where = part.rpartition(".")[2]
            for name, code in codes.items():
                changes[f"{part}.{name}"] = capture(code, f"objects.{where}[{name!r}]")
        return changes


def with_objects(task: Task, objects: Objects) -> Task:
    """Return the task with objects in it.

    Raises:
        BadInput: A source cannot be captured, or the task does not learn by reinforcement and
            objects of an environment are passed.
        TaskError: The task does not take own code there.
    """
    from kinemill.task.loader import recorded_task

    if changes := nested(objects.overrides(task)):
        content = task.model_dump(mode="json", by_alias=True)
        task = recorded_task(content, task.path, changes, f"task {task.name}")
    return _with_instances(task, objects) if objects.live else task


def _with_instances(task: Task, objects: Objects) -> Task:
    """Return the task with objects that live in this process."""
    from kinemill.environments.instances import ObjectEnvironment, ObjectWrapper, name_of

    if task.learn.type != "reinforcement":
        fix = "leave environment, wrappers and callbacks out"
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
    learn: Any = task.learn.model_copy()
    learn.call(objects.callbacks)
    return task.model_copy(update={"environment": own, "learn": learn})
