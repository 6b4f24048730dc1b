"""The result of `kinemill.run`: the document of `kinemill run`, with model and policy."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kinemill.environments.evaluation import Trials
from kinemill.errors import BadInput
from kinemill.runtime.policy import Policy
from kinemill.runtime.simulator import Simulator
from kinemill.store import Json
from kinemill.task.document import Task


class Run(dict[str, Any]):
    """The document of `kinemill run` with the model that it produced.

    Args:
        document: of the run.
        task: the `Task` of the run.
        where: folder of the exported model, or its address in the registry; None without a model.
        summary: of the training.
    """

    def __init__(
        self, document: Mapping[str, object], task: Task, where: str | Path | None, summary: Json
    ) -> None:
        super().__init__(document)
        self.task, self._where, self._summary = task, where, summary
        self._loaded: Any = None

    @property
    def model(self) -> Policy | Simulator:
        """The model as a robot loads it: a `Policy` or a `Simulator`.

        Raises:
            BadInput: the run produced no model.
        """
        if self._where is None:
            raise BadInput(f"run of {self.task.name}", f"made no model: {self.get('status')}")
        if self._loaded is None:
            from kinemill.runtime import load

            self._loaded = load(self._where)
        return self._loaded

    @property
    def policy(self) -> Policy:
        """The policy: `reset(seed)`, `act(observation)`.

        Raises:
            BadInput: the run produced a simulator, or no model.
        """
        if self.task.learn.gives != "policy":
            raise BadInput(f"task {self.task.name}", "learns dynamics", fix="use .model")
        policy: Any = self.model
        return policy

    @property
    def metrics(self) -> Json:
        """The document's metrics, with `final`, `global_step` and `best_step` of the training.

        `final` is the result of the best policy on new seeds; else the error that selects weights.
        """
        summary = self._summary
        final = summary.get(
            "final", {summary["monitor"]: summary["best"]} if "monitor" in summary else None
        )
        return {
            **self.get("metrics", {}),
            "final": final,
            "global_step": summary.get("steps"),
            "best_step": summary.get("best_step"),
        }

    def rollout(
        self,
        episodes: int = 1,
        *,
        seed: int = 0,
        variant: str | None = None,
        to: str | Path | None = None,
    ) -> Trials:
        """Run the policy in the task's environment.

        Args:
            episodes: number of episodes.
            seed: of the first episode; the others follow.
            variant: name of settings of the environment that differ.
            to: folder for logs of the episodes, if they are to be kept.

        Returns:
            `kinemill.environments.evaluation.Trials` with all episodes in full.
        """
        from kinemill.environments.evaluation import try_policy
        from kinemill.environments.logs import write_episode

        seeds = range(seed, seed + episodes)
        trials = try_policy(self.task, self.policy, seeds, variant=variant, record=episodes)
        for episode in trials.episodes if to is not None else ():
            write_episode(self.task, episode, Path(str(to)))
        return trials


def of_chain(document: Json, task: Task) -> Run:
    """Return the result of a pipeline run; its model is the registered version."""
    from kinemill.register.consistency import require_registry
    from kinemill.register.versions import find_version
    from kinemill.register.warm_start import trained_in
    from kinemill.store import SUMMARY, read_json
    from kinemill.store.home import Home

    number = document.get("version")
    if number is None:
        return Run(document, task, None, {})
    home = Home.resolve()
    require_registry(home, task.name)
    version = find_version(home, task.name, f":{number}")
    folder = home.root / trained_in(version).path
    summary = read_json(folder / SUMMARY) if (folder / SUMMARY).is_file() else {}
    return Run(document, task, f"models:/{task.name}/{number}", summary)


def run_with_objects(
    name: str | Path,
    overrides: Mapping[str, object],
    *,
    environment: Callable[[], object] | None = None,
    wrappers: Sequence[Callable[..., object]] = (),
    model: object = None,
    callbacks: Sequence[object] = (),
) -> Run:
    """Train and export in this process with objects in place of names; register nothing.

    Args:
        name: of a task that learns by reinforcement, or path of its file.
        overrides: dotted key to value.
        environment: returns a new `gymnasium.Env` on each call; default: the task's.
        wrappers: from the innermost to the outermost.
        model: settings of a model, a `kinemill.task.plugins.Model`.
        callbacks: of stable-baselines3's type.

    Raises:
        BadInput: the task has another learn type.
    """
    from kinemill.environments.card import make_card
    from kinemill.export import stage as export
    from kinemill.store.home import Home
    from kinemill.task import load_task
    from kinemill.task.protocols import NullReporter
    from kinemill.train import stage as train

    task, home = load_task(name, overrides), Home.resolve()
    if task.learn.type != "reinforcement":
        fix = "leave objects out, or name what they are in the task file"
        raise BadInput(f"task {task.name}", f"learns by {task.learn.type}", fix=fix)
    task = _holding(task, environment, wrappers, model)
    learn: Any = task.learn
    learn.call(callbacks)
    card = make_card(task, home)
    silent = (NullReporter(), NullReporter())
    trained = train.run(task, home, card.ref, card.ref, silent)
    exported = export.run(task, home, trained.ref, card.ref)
    document = {"task": task.name, "status": "done", "dataset": card.ref.digest, "metrics": {}}
    return Run(document, task, home.root / exported.ref.path, trained.summary)


def _holding(
    task: Task,
    environment: Callable[[], object] | None,
    wrappers: Sequence[Callable[..., object]],
    model: object,
) -> Task:
    """Return the task with objects in it."""
    from kinemill.environments.instances import ObjectEnvironment, ObjectWrapper, name_of

    own: Any = task.environment
    if environment is not None:
        settings = {
            name: getattr(own, name)
            for name in ("steps", "wrappers", "randomize", "variants", "trials")
            if own is not None
        }
        own = ObjectEnvironment(maker=environment, name=name_of(environment), **settings)
    if wrappers:
        around = [ObjectWrapper(wrap_with=one, name=name_of(one)) for one in wrappers]
        own = own.model_copy(update={"wrappers": [*around, *own.wrappers]})
    changed = {"model": model} if model is not None else {}
    learn = task.learn.model_copy(update=changed)
    return task.model_copy(update={"environment": own, "learn": learn})
