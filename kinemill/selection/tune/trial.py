"""Run one trial: train a model with proposed settings and return its validation error."""

import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import Trial, TrialState

from kinemill.augment import stage as augment
from kinemill.dataset import load_dataset
from kinemill.errors import KinemillError, TrainingFailed
from kinemill.selection.tune.search import Search
from kinemill.selection.tune.settings import complete
from kinemill.selection.tune.study import BASELINE, PROPOSED, WHY, retry
from kinemill.selection.validation_errors import ValidationRows
from kinemill.store import Artifact, publish_json
from kinemill.task.document import Task
from kinemill.task.protocols import ForwardingTracker, NullReporter, Progress, Tracker
from kinemill.tracking import MlflowTracker, Status, lock, start_run
from kinemill.train import TrainingJob, load_model
from kinemill.train.summary import ModelSummary

SETTINGS, SECONDS, RUN, FACTS = "settings", "seconds", "run", "facts"
RESULT = "kinemill.trial"
_FIRST = ("validation/multi_step", "validation/missed")


class Pruned(Exception):
    """The trial is worse than the others at this step."""


class TimeIsUp(Exception):
    """The time limit of the search is over."""


@dataclass(frozen=True)
class Bounds:
    """Limits of one call of the search, and its MLflow run.

    Attributes:
        trials: total number of trials.
        until: end of the search, s since the epoch; None: after the last trial.
        parent: MLflow run of the search; None: no tracking.
        experiment: id of its experiment.
        tracked_models: folder that links models to the runs that trained them.
    """

    trials: int
    until: float | None = None
    parent: str | None = None
    experiment: str | None = None
    tracked_models: str | None = None

    def check(self) -> None:
        """Raise an error after the time limit.

        Raises:
            TimeIsUp: The time limit has passed.
        """
        if self.until is not None and time.time() > self.until:
            raise TimeIsUp


class Watch(ForwardingTracker):
    """A Tracker that forwards everything and stops a pruned training."""

    def __init__(self, tracker: Tracker, trial: Trial, bounds: Bounds, last: int | None) -> None:
        super().__init__(tracker)
        self._trial, self._bounds, self._last = trial, bounds, last

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Forward metrics, report the validation error to Optuna, and stop if it prunes.

        Raises:
            Pruned: Optuna prunes the trial.
            TimeIsUp: The time limit has passed.
        """
        super().log_metrics(metrics, step)
        error = _intermediate_error(metrics)
        if error is not None and self._last is not None:
            self._trial.report(error, step)
            spared = step >= self._last or BASELINE in self._trial.user_attrs
            if not spared and self._trial.should_prune():
                raise Pruned
        self._bounds.check()


def _intermediate_error(metrics: Mapping[str, float]) -> float | None:
    """Return the most informative logged validation error, such as that of rollouts.

    For reinforcement learning, it is the negative return of the policy.
    """
    if "evaluation/return" in metrics:
        return -metrics["evaluation/return"]
    errors = {name: value for name, value in metrics.items() if name.startswith("validation/")}
    named = (errors[name] for name in _FIRST if name in errors)
    return next(named, next(iter(errors.values()), None))


def work(
    search: Search, bounds: Bounds, study: optuna.Study, trial: Trial, progress: Progress
) -> None:
    """Run one trial and report its result to the study."""
    began, tracker = time.monotonic(), _tracker(search, bounds, trial)
    try:
        task, settings = complete(search, trial.user_attrs[PROPOSED])
        trial.set_user_attr(SETTINGS, settings)
        model = _model(search, bounds, trial, task, tracker, progress)
        error = evaluate(search, task, model)
        if not math.isfinite(error):
            raise TrainingFailed("validation error", "is not finite over the horizon")
    except Pruned:
        _end(trial, tracker, "FINISHED", "pruned", began)
        study.tell(trial, state=TrialState.PRUNED)
    except TimeIsUp:
        _end(trial, tracker, "KILLED", "the time limit passed", began)
        trial.set_user_attr(WHY, "the time limit passed")
        retry(study, trial.number)
    except KinemillError as failure:
        trial.set_user_attr(WHY, str(failure))
        _end(trial, tracker, "FAILED", f"failed: {failure}", began)
        study.tell(trial, state=TrialState.FAIL)
    else:
        summary = ModelSummary.of(model)
        facts = {key: getattr(summary, key) for key in ("parameters", "steps", "best_step")}
        trial.set_user_attr(FACTS, {**facts, "cached": model.cached})
        tracker.log_metrics({"error": error}, summary.steps)
        _note_run(bounds, tracker, model)
        _end(trial, tracker, "FINISHED", "done", began)
        study.tell(trial, error)


def _tracker(search: Search, bounds: Bounds, trial: Trial) -> Tracker:
    """Start the MLflow run of a trial, nested in the run of the search."""
    if bounds.parent is None:
        return NullReporter()
    task = search.task().name
    run = start_run(
        search.home,
        task,
        f"{search.name}/{trial.number}",
        name=f"{task} trial {trial.number}",
        tags={"mlflow.parentRunId": bounds.parent, "kinemill.search": search.name},
    )
    trial.set_user_attr(RUN, run)
    return MlflowTracker(search.home, run)


def _model(
    search: Search,
    bounds: Bounds,
    trial: Trial,
    task: Task,
    tracker: Tracker,
    progress: Progress,
) -> Artifact:
    """Return the model of a trial; train it in this process unless it is cached."""
    home, dataset = search.home, search.dataset
    training_set = augment.run(task, home, dataset).ref if task.learn.from_logs else dataset
    bounds.check()
    job = TrainingJob(task, home, dataset, training_set, search.start)
    tracker.log_params({"augment": [item.type for item in task.augment]})
    # The same lock as in the pipeline: both would write the same checkpoints.
    with lock(home, f"train/{task.name}/{job.folder.name}", progress.log_message):
        if cached := job.find_model():
            return cached
        if isinstance(tracker, MlflowTracker):
            tracker.folder = job.folder
        last = task.learn.total_steps if search.prunes else None
        watch = Watch(tracker, trial, bounds, last)
        try:
            return job.run((watch, progress))
        except (Pruned, TrainingFailed):
            shutil.rmtree(job.folder, ignore_errors=True)  # a pruned training is not resumed
            raise


def _end(trial: Trial, tracker: Tracker, status: Status, result: str, began: float) -> None:
    trial.set_user_attr(SECONDS, time.monotonic() - began)
    if isinstance(tracker, MlflowTracker):
        tracker.tag(RESULT, result)
        tracker.end(status)


def _note_run(bounds: Bounds, tracker: Tracker, model: Artifact) -> None:
    """Link a model to the run of its training, for registration."""
    if bounds.tracked_models is None or not isinstance(tracker, MlflowTracker):
        return
    path = Path(bounds.tracked_models) / f"{model.ref.digest[:32]}.json"
    if not path.is_file():  # a cached model is already linked
        publish_json(path, {"run_id": tracker.run_id, "experiment": bounds.experiment})


def evaluate(search: Search, task: Task, model: Artifact) -> float:
    """Return the validation error of a trained model; infinite if it is not finite.

    It is the score of `kinemill.selection.validation_errors`. All trials predict from the
    same rows, with any history. Training and test episodes are not used. A policy has the error of
    its training; with reinforcement learning, the negative of its best return.
    """
    if task.learn.type != "dynamics":
        summary = ModelSummary.of(model)
        return summary.best if summary.objective is None else summary.objective

    packed = load_dataset(search.home, search.dataset)
    module = load_model(search.home.root / model.ref.path)
    # A portfolio selects the history, so it can exceed those of the search.
    rows = ValidationRows(packed, max(search.history, module.rows), search.horizon)
    return rows.errors_of(module).score
