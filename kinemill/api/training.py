"""Train in this process: the stages from logs to the exported model.

Stages have the same keys and the same store as in Dagster, so cached results are shared in both
directions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from kinemill.api.arguments import require
from kinemill.api.dataset import Data, Dataset, make_dataset
from kinemill.api.html import Plotted
from kinemill.api.objects import Objects, with_objects
from kinemill.api.progress import Reporter, ShowProgress, reporter
from kinemill.errors import BadInput
from kinemill.runtime import Policy, Simulator, load
from kinemill.store import Artifact, ArtifactRef, Home, read_json, summary_of
from kinemill.store.locks import in_use, lock
from kinemill.task import Task, WarmStart, load_task, make_task, remember_task
from kinemill.task.loader import recorded_task
from kinemill.task.protocols import Tracker
from kinemill.tracking import MlflowTracker, log_dataset, open_tracking, start_run, system_metrics

if TYPE_CHECKING:
    import polars as pl

    from kinemill.policies.environments.evaluation import Trials
    from kinemill.reports.picture import Picture
    from kinemill.tracking import MlflowTracker
    from kinemill.train import TrainingJob
    from kinemill.train.kept_checkpoint import KeptCheckpoint
    from kinemill.train.summary import ModelSummary

TaskLike = Task | str | Path | Mapping[str, object]
Overrides = Mapping[str, object]


@dataclass(frozen=True, eq=False, repr=False)
class Training(Plotted):
    """A trained and exported model.

    Attributes:
        task: the task, overrides included.
        home: home of the artifacts.
        dataset: the dataset; None for a policy that learns in an environment.
        data: artifact of the dataset, or of the card of the environment.
        trained: artifact of the trained model.
        exported: artifact of the exported model.
        cached: whether the model was already in the store.
        summary: `steps`, `best_step`, `best`, `monitor` and `parameters`, among others.
    """

    task: Task
    home: Home
    dataset: Dataset | None
    data: ArtifactRef
    trained: ArtifactRef
    exported: ArtifactRef
    cached: bool
    summary: "ModelSummary"

    @property
    def folder(self) -> Path:
        """Folder of the exported model."""
        return self.home.root / self.exported.path

    def checkpoints(self) -> "list[KeptCheckpoint]":
        """Return the kept checkpoints of all trainings of the task, the smallest error first."""
        from kinemill.train.kept_checkpoint import list_checkpoints  # imports torch

        return list_checkpoints(self.home, self.task.name)

    @cached_property
    def model(self) -> Simulator | Policy:
        """The model, loaded by the runtime."""
        return load(self.folder)

    @property
    def simulator(self) -> Simulator:
        """The simulator: `rollout(states, past_actions, actions)`, `hold(state)`.

        Raises:
            BadInput: The task learns a policy.
        """
        if not isinstance(self.model, Simulator):
            raise BadInput(f"task {self.task.name}", "learns a policy", fix="use .policy")
        return self.model

    @property
    def policy(self) -> Policy:
        """The policy: `reset(seed)`, `act(observation)`.

        Raises:
            BadInput: The task learns dynamics.
        """
        if not isinstance(self.model, Policy):
            raise BadInput(f"task {self.task.name}", "learns dynamics", fix="use .simulator")
        return self.model

    @property
    def best(self) -> float:
        """Best value of `monitor`, the series that selects the weights."""
        return self.summary.best

    @property
    def monitor(self) -> str:
        """Name of the series that selects the weights, such as `validation/loss`."""
        return self.summary.monitor

    @cached_property
    def history(self) -> dict[str, list[tuple[int, float | None]]]:
        """Curves of the training by name: points (step, value); None for a value that was NaN."""
        from kinemill.train.warm_start import CURVES

        values = read_json(self.home.root / self.trained.path / CURVES)
        return {name: [(point[0], point[1]) for point in series] for name, series in values.items()}

    def trials(self, episodes: int = 1, *, seed: int = 0, variant: str | None = None) -> "Trials":
        """Run the policy in the task's environment, and return all steps of each episode.

        Args:
            episodes: number of episodes.
            seed: seed of the first episode; each further one has the next number.
            variant: variant of the environment's settings.

        Raises:
            BadInput: The task learns dynamics, or has no environment or no such variant.
        """
        from kinemill.policies.environments.evaluation import try_policy

        seeds = range(seed, seed + episodes)
        return try_policy(self.task, self.policy, seeds, variant=variant, record=episodes)

    def to_polars(self) -> "pl.DataFrame":
        """Return the curves: `name`, `step`, `value`."""
        import polars as pl

        rows = [(name, step, value) for name, line in self.history.items() for step, value in line]
        kinds = {"name": pl.String, "step": pl.Int64, "value": pl.Float64}
        return pl.DataFrame(rows, schema=kinds, orient="row")

    def plot(self) -> "Picture":
        """Draw the losses over the steps, with the step of the selected weights."""
        from kinemill.train.curves import draw_curves

        return draw_curves(self.history, self.summary.best_step)

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        summary = self.summary
        facts = {
            "model": summary.family or getattr(self.task.learn, "type", None),
            self.monitor: self.best,
            "steps": f"{summary.steps}, best {summary.best_step}",
            "epochs": summary.epochs,
            "parameters": summary.parameters,
            "data": repr(self.dataset) if self.dataset else None,
            "cached": self.cached,
            "folder": self.folder,
        }
        return f"Training of {self.task.name}", facts


def train(
    task: TaskLike,
    data: Data | Dataset = None,
    *,
    overrides: Overrides | None = None,
    presets: Sequence[str] = (),
    objects: Objects | None = None,
    progress: ShowProgress = True,
    track: bool = True,
) -> Training:
    """Train and export the model of a task in this process; cached stages are skipped.

    An interrupted training resumes from its last checkpoint in the next call.

    Args:
        task: a task, its name or file, a mapping with the keys of a task file, or `gym:ID` of an
            environment, whose task is drafted.
        data: frames, a dataset, a log or a folder of logs; default: the task's drop folder. See
            `make_dataset`.
        overrides: dotted key to value, such as `{"learn.steps": 500}`.
        presets: such as `["algorithm=ppo", "model=small"]`, before the overrides.
        objects: Python objects as settings, see `Objects`. A training with an environment,
            wrappers or callbacks is never cached and cannot be registered, because no file
            describes it.
        progress: show a live display; or a callback, see `Update`.
        track: whether to log the training to MLflow, as in the pipeline.

    Raises:
        TaskError: The task or an override is wrong; nothing was started.
        BadInput: The task does not support an object.
        Blocked: A blocking check failed on the data, or the exported files do not work.
        TrainingFailed: Loss or gradient is not finite.
    """
    resolved, home = resolve_task(task, overrides, presets), Home.resolve()
    report = reporter(progress)
    with in_use(home, f"train-{uuid4().hex[:8]}"):
        if objects is not None:
            resolved = with_objects(resolved, objects)
            if objects.live:
                return train_stages(resolved, home, data, report, track=False)
        remember_task(home, resolved if objects is not None else resolve_task(task))
        return train_stages(resolved, home, data, report, track=track)


def resolve_task(
    task: TaskLike, overrides: Overrides | None = None, presets: Sequence[str] = ()
) -> Task:
    """Return a task from a name, a file, a mapping or a task, after presets and overrides.

    Args:
        task: task, as in `train`.
        overrides: dotted key to value.
        presets: presets such as `model=small`, in this order before the overrides.

    Raises:
        TaskError: The task has problems; each is listed.
        BadInput: The task or a preset does not exist.
    """
    from kinemill.task.presets import preset_overrides

    require("overrides", overrides or {}, Mapping, "values by key, such as {'learn.steps': 500}")
    if presets:
        named = preset_overrides(list(presets), resolve_task(task))
        overrides = {**named, **(overrides or {})}
    if isinstance(task, str) and task.startswith("gym:"):
        from kinemill.draft.environment_tasks import drafted_task

        task = drafted_task(task, Home.resolve())
    if isinstance(task, Mapping):
        return make_task(task, overrides)
    if not isinstance(task, Task):
        return load_task(task, overrides)
    if not overrides:
        return task

    content = task.model_dump(mode="json", by_alias=True)
    return recorded_task(content, task.path, overrides, f"task {task.name}")


def train_stages(
    task: Task, home: Home, data: Data | Dataset, report: Reporter, *, track: bool
) -> Training:
    """Run the stages from the data to the exported model, or read their cached results.

    Raises:
        Blocked: A blocking check failed on the data, or the exported files do not work.
        TrainingFailed: Loss or gradient is not finite.
    """
    from kinemill.augment import stage as augment
    from kinemill.export import stage as export
    from kinemill.register.warm_start import start_of
    from kinemill.train.summary import ModelSummary

    start = start_of(task, home) if task.learn.start_from is not None else None
    dataset, source = _data(task, home, data, report)
    training_set = augment.run(task, home, source).ref if dataset else source
    trained = _fit(task, home, source, training_set, start, report, track=track)
    exported = export.run(task, home, trained.ref, source)
    refs = (source, trained.ref, exported.ref)
    return Training(task, home, dataset, *refs, trained.cached, ModelSummary.of(trained))


def _data(
    task: Task, home: Home, data: Data | Dataset, report: Reporter
) -> tuple[Dataset | None, ArtifactRef]:
    """Return the dataset of a task, or the card of its environment."""
    if isinstance(data, Dataset):
        return data, data.ref
    if task.learn.from_logs or data is not None:
        dataset = make_dataset(task, data, home=home, progress=report)
        return dataset, dataset.ref
    from kinemill.policies.environments.card import make_card
    from kinemill.policies.rl.learner_context import check_task

    check_task(task)
    return None, make_card(task, home).ref


def _fit(
    task: Task,
    home: Home,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    start: WarmStart | None,
    report: Reporter,
    *,
    track: bool,
) -> Artifact:
    """Return the trained model, cached or trained here."""
    from kinemill.train import TrainingJob

    job = TrainingJob(task, home, dataset, training_set, start)
    # The same lock as in Dagster: two processes would write the same checkpoints.
    with lock(home, f"train/{task.name}/{job.folder.name}", report.log_message):
        if cached := job.find_model():
            return cached
        return _tracked_fit(job, report) if track else job.run((report, report))


def _tracked_fit(job: "TrainingJob", report: Reporter) -> Artifact:
    """Train with an MLflow run; registration finds it by the digest of the model."""
    from kinemill.register import tags

    task, home = job.task, job.home
    settings = {"task": task.name, "dt": task.dt}
    run_id = start_run(home, task.name, job.folder.name, params=settings)
    client = open_tracking(home).client
    log_dataset(client, run_id, task.name, job.dataset.digest, summary_of(home, job.dataset))
    tracker = live_tracker(home, run_id, report, job.folder)
    try:
        with system_metrics(home, run_id):
            model = job.run((tracker, report))
    except BaseException:
        tracker.end("FAILED")
        raise
    tracker.tag(tags.MODEL, model.ref.digest)
    tracker.end()
    return model


def live_tracker(home: Home, run_id: str, report: Tracker, folder: Path) -> "MlflowTracker":
    """Return a tracker of an MLflow run that also forwards metrics to `report`."""

    class LiveTracker(MlflowTracker):
        """Tracker of an MLflow run with a live display."""

        def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
            """Log metrics to MLflow and to the display."""
            super().log_metrics(metrics, step)
            report.log_metrics(metrics, step)

    return LiveTracker(home, run_id, folder)
