"""Results of a search: its trials, the best one, and its settings as a file."""

import json
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from kinemill.selection.tune.objective import TuneObjective, objective_of
from kinemill.selection.tune.search import Search
from kinemill.selection.tune.settings import write_settings
from kinemill.selection.tune.study import BASELINE, WHY, open_study, retried
from kinemill.selection.tune.trial import SECONDS, SETTINGS
from kinemill.store import Json, publish_json, read_json, summary_of
from kinemill.tracking import (
    MlflowTracker,
    Status,
    end_orphans,
    log_dataset,
    open_tracking,
    reopen_run,
    start_run,
)

BEST = "best.yaml"
_STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}

_FILE = "run.json"


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a search.

    Attributes:
        number: index from 0; trial 0 has the task's settings.
        state: done, pruned, failed, lost, running or waiting.
        error: minimized value of a complete trial, see `objective`.
        last: last reported step and its validation error.
        is_baseline: whether it has the task's settings.
        settings: overrides of the task.
        seconds: wall time, s.
        why: cause of a failure.
        objective: meaning of the error.
    """

    number: int
    state: str
    error: float | None
    last: tuple[int, float] | None
    is_baseline: bool
    settings: Json
    seconds: float | None
    why: str | None
    objective: TuneObjective

    def describe(self) -> str:
        """Format the result of the trial in one line."""
        if self.error is not None:
            return f"trial {self.number}: {self.objective.spelled(self.error)}, {self.spelled()}"
        if self.state == "pruned" and self.last:
            step, error = self.last
            value = self.objective.to_display(error)
            return f"trial {self.number}: pruned at step {step}, {value:.3g}, {self.spelled()}"
        return f"trial {self.number}: {self.state}" + (f", {self.why}" if self.why else "")

    def spelled(self) -> str:
        """Format the settings of the trial briefly."""
        if self.is_baseline:
            return "the task's settings"
        settings = {
            key.removeprefix("learn."): value
            for key, value in self.settings.items()
            if not key.startswith("augment") and value is not None
        }
        names = [str(value) for key, value in settings.items() if key.endswith(".type")]
        main = _main_settings(settings).items()
        return ", ".join([*names, *(f"{key.rpartition('.')[2]} {value}" for key, value in main)])


def _main_settings(settings: Json) -> Json:
    """Return the main settings: sizes, history, learning rate."""
    names = ("hidden_size", "hidden_sizes", "size", "layers", "history", "lr", "degree")
    main = {key: value for key, value in settings.items() if key.rpartition(".")[2] in names}
    return {
        key: f"{value:.3g}" if isinstance(value, float) else value for key, value in main.items()
    }


def list_trials(search: Search) -> list[TrialRecord]:
    """Return the trials of a search by number."""
    task = search.task()
    study = open_study(search, task)
    objective = objective_of(task)
    trials = study.get_trials(deepcopy=False)
    lost = retried(trials)
    return [_line(trial, objective, is_lost=trial.number in lost) for trial in trials]


def _line(trial: FrozenTrial, objective: TuneObjective, *, is_lost: bool) -> TrialRecord:
    attributes = trial.user_attrs
    steps = trial.intermediate_values
    last = max(steps, default=None)
    return TrialRecord(
        number=trial.number,
        state="lost" if is_lost else _STATES[trial.state],
        error=trial.value if trial.state == TrialState.COMPLETE else None,
        last=(last, steps[last]) if last is not None else None,
        is_baseline=BASELINE in attributes,
        settings=attributes.get(SETTINGS, {}),
        seconds=attributes.get(SECONDS),
        why=attributes.get(WHY, "its process died") if trial.state == TrialState.FAIL else None,
        objective=objective,
    )


def best_of(trials: list[TrialRecord]) -> TrialRecord | None:
    """Return the trial with the smallest error; of equal ones the first."""
    done = [line for line in trials if line.error is not None]
    return min(done, key=lambda line: (line.error, line.number), default=None)


def describe(search: Search, trials: list[TrialRecord]) -> Json:
    """Return the document of a search, output of `kinemill model tune --json`."""
    counted = Counter(line.state for line in trials)
    best = best_of(trials)
    task_error = next(
        (line.error for line in trials if line.is_baseline and line.error is not None), None
    )
    task = search.task()
    of = objective_of(task)
    return {
        "task": task.name,
        "study": search.name,
        "trials": sum(counted[name] for name in ("done", "pruned", "failed")),
        "pruned": counted["pruned"],
        "failed": counted["failed"],
        "best": None
        if best is None
        else {
            "number": best.number,
            "value": of.to_display(best.error or 0.0),
            "settings": best.settings,
        },
        "own": None if task_error is None else of.to_display(task_error),
        "objective": of.name,
        "unit": of.unit,
        "folder": str(search.folder),
        "settings": str(search.folder / BEST) if best else None,
        "results": [
            {
                "number": line.number,
                "state": line.state,
                "error": None if line.error is None else of.to_display(line.error),
                "seconds": line.seconds,
                "settings": line.settings,
            }
            for line in trials
        ],
    }


def write_best(search: Search) -> Path | None:
    """Write the settings of the best trial as overrides; return the file, or None."""
    best = best_of(list_trials(search))
    if best is None:
        return None
    path = search.folder / BEST
    task = search.task().name
    about = [
        f"Trial {best.number} of {search.name}: {best.objective.spelled(best.error or 0.0)}.",
        f"kinemill run {task} --set @THIS_FILE",
    ]
    write_settings(path, {**search.overrides, **best.settings}, about)
    return path


@contextmanager
def tracked(search: Search) -> Generator[tuple[str, str]]:
    """Open the MLflow run of a search in the context, and log the best trial at the end.

    A resumed search continues its run.

    Yields:
        The ids of the run and of its experiment.
    """
    end_orphans(search.home)
    task = search.task().name
    run = _run(search, task)
    tracking = open_tracking(search.home)
    tracker = MlflowTracker(search.home, run)
    status = "FAILED"
    try:
        yield run, tracking.experiment(task)
        status = "FINISHED"
    except BaseException as error:
        if not isinstance(error, Exception):  # a signal, raised by Dagster as an exception
            status = "KILLED"
        raise
    finally:
        _conclude(search, tracker, status)


def _run(search: Search, task: str) -> str:
    file = search.folder / _FILE
    if file.is_file() and reopen_run(search.home, read_json(file)["run_id"]):
        return read_json(file)["run_id"]
    tune = search.task().tune.model_dump(exclude={"space"})
    params = {"space": json.dumps(search.space)[:5000], "tune": tune}
    tags = {"kinemill.search": search.name}
    name = f"{task} search {search.name.rpartition('-')[2][:8]}"
    run = start_run(search.home, task, search.name, params=params, tags=tags, name=name)
    client = open_tracking(search.home).client
    summary = summary_of(search.home, search.dataset)
    log_dataset(client, run, task, search.dataset.digest, summary)
    publish_json(file, {"run_id": run})
    return run


def _conclude(search: Search, tracker: MlflowTracker, status: Status) -> None:
    trials = list_trials(search)
    if best := best_of(trials):
        value = best.objective.to_display(best.error or 0.0)
        tracker.log_metrics({"best": value}, best.number)
        tracker.tag("kinemill.best", f"trial {best.number}: {best.spelled()}")
        for key, value in best.settings.items():
            tracker.tag(f"best.{key}", json.dumps(value))
    tracker.end(status)
    end_orphans(search.home)  # runs of killed trials
