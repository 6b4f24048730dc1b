"""One trial: settings in, a trained model and its validation error out."""

import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from kinemill.augment import stage as augment
from kinemill.errors import KinemillError, TrainingFailed
from kinemill.store import Artifact, publish_json
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter, Progress, Tracker
from kinemill.tracking import MlflowTracker, Status, lock, start_run
from kinemill.train import find_model, job_folder
from kinemill.train import stage as train
from kinemill.tune.evaluation import evaluate
from kinemill.tune.search import Search
from kinemill.tune.settings import complete
from kinemill.tune.study import OWN, PROPOSED, WHY, give_back

SETTINGS, SECONDS, RUN, FACTS = "settings", "seconds", "run", "facts"
RESULT = "kinemill.trial"
_FIRST = ("validation/multi_step", "validation/missed")


class Pruned(Exception):
    """The trial is worse than most others were at this step."""


class TimeIsUp(Exception):
    """The search has no more time."""


@dataclass(frozen=True)
class Bounds:
    """What a call of the search allows, and where it tells what it does.

    Attributes:
        trials: how many there are to be in all.
        until: when the search stops, s since the epoch; None: when the trials are done.
        parent: MLflow run that those of the trials are nested in; None: nothing is told to MLflow.
        experiment: of that run.
        tracked_models: folder in which is noted, by model, which run trained it.
    """

    trials: int
    until: float | None = None
    parent: str | None = None
    experiment: str | None = None
    tracked_models: str | None = None

    def check(self) -> None:
        """Stop when the time is over.

        Raises:
            TimeIsUp: it is.
        """
        if self.until is not None and time.time() > self.until:
            raise TimeIsUp


class Watch:
    """A Tracker that hands everything on, and ends a training that is not worth its end."""

    def __init__(self, tracker: Tracker, trial: Trial, bounds: Bounds, last: int | None) -> None:
        self._tracker, self._trial, self._bounds, self._last = tracker, trial, bounds, last

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Hand the settings on."""
        self._tracker.log_params(params)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Hand the metrics on; report a validation error, and ask whether to go on.

        Raises:
            Pruned: it is not worth it.
            TimeIsUp: there is no time left.
        """
        self._tracker.log_metrics(metrics, step)
        error = _intermediate_error(metrics)
        if error is not None and self._last is not None:
            self._trial.report(error, step)
            spared = step >= self._last or OWN in self._trial.user_attrs
            if not spared and self._trial.should_prune():
                raise Pruned
        self._bounds.check()

    def log_text(self, name: str, text: str) -> None:
        """Hand a text on."""
        self._tracker.log_text(name, text)

    def flush(self) -> None:
        """Write what is buffered."""
        self._tracker.flush()


def _intermediate_error(metrics: Mapping[str, float]) -> float | None:
    """Return the validation error that tells most: that of rollouts, or failures, where there are.

    Of reinforcement it is the return of the policy so far, negative.
    """
    if "evaluation/return" in metrics:
        return -metrics["evaluation/return"]
    errors = {name: value for name, value in metrics.items() if name.startswith("validation/")}
    named = (errors[name] for name in _FIRST if name in errors)
    return next(named, next(iter(errors.values()), None))


def work(
    search: Search, bounds: Bounds, study: optuna.Study, trial: Trial, progress: Progress
) -> None:
    """Do one trial and tell the study what came of it."""
    began, tracker = time.monotonic(), _tracker(search, bounds, trial)
    try:
        task, settings = complete(search, trial.user_attrs[PROPOSED])
        trial.set_user_attr(SETTINGS, settings)
        model = _model(search, bounds, trial, task, (tracker, progress))
        error = evaluate(search, task, model)
        if not math.isfinite(error):
            raise TrainingFailed("validation error", "not finite over the steps judged")
    except Pruned:
        _end(trial, tracker, "FINISHED", "pruned", began)
        study.tell(trial, state=TrialState.PRUNED)
    except TimeIsUp:
        _end(trial, tracker, "KILLED", "no time was left", began)
        give_back(study, trial.number, "no time was left")
    except KinemillError as failure:
        trial.set_user_attr(WHY, str(failure))
        _end(trial, tracker, "FAILED", f"failed: {failure}", began)
        study.tell(trial, state=TrialState.FAIL)
    else:
        facts = {key: model.summary.get(key) for key in ("parameters", "steps", "best_step")}
        trial.set_user_attr(FACTS, {**facts, "known": model.cached})
        tracker.log_metrics({"error": error}, model.summary["steps"])
        _note_run(bounds, tracker, model)
        _end(trial, tracker, "FINISHED", "done", began)
        study.tell(trial, error)


def _tracker(search: Search, bounds: Bounds, trial: Trial) -> Tracker:
    """Start the MLflow run of a trial within that of the search."""
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
    listeners: tuple[Tracker, Progress],
) -> Artifact:
    """Return the model of a trial, trained in this process unless it is known."""
    home, dataset = search.home, search.dataset
    training_set = augment.run(task, home, dataset).ref if task.learn.from_logs else dataset
    bounds.check()
    folder = job_folder(task, home, dataset, training_set, search.start)
    listeners[0].log_params({"augment": [item.type for item in task.augment]})
    # The same lock as that of the chain: two would write the same checkpoints.
    with lock(home, f"train/{task.name}/{folder.name}", listeners[1].say):
        if cached := find_model(task, home, dataset, training_set, search.start):
            return cached
        last = int(task.learn.steps) if search.prunes else None
        watch = Watch(listeners[0], trial, bounds, last)
        try:
            return train.run(task, home, dataset, training_set, (watch, listeners[1]), search.start)
        except (Pruned, TrainingFailed):
            shutil.rmtree(folder, ignore_errors=True)  # nobody goes on from its checkpoint
            raise


def _end(trial: Trial, tracker: Tracker, status: Status, result: str, began: float) -> None:
    trial.set_user_attr(SECONDS, time.monotonic() - began)
    if isinstance(tracker, MlflowTracker):
        tracker.tag(RESULT, result)
        tracker.end(status)


def _note_run(bounds: Bounds, tracker: Tracker, model: Artifact) -> None:
    """Note which run trained a model, where registration looks for it."""
    if bounds.tracked_models is None or not isinstance(tracker, MlflowTracker):
        return
    path = Path(bounds.tracked_models) / f"{model.ref.digest[:32]}.json"
    if not path.is_file():  # a model known before has its own run
        publish_json(path, {"run_id": tracker.run_id, "experiment": bounds.experiment})
