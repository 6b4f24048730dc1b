"""MLflow run of a search; the runs of its trials are nested in it."""

import json
from collections.abc import Generator
from contextlib import contextmanager

from kinemill.selection.tune.results import best_of, list_trials
from kinemill.selection.tune.search import Search
from kinemill.store import publish_json, read_json, summary_of
from kinemill.tracking import (
    MlflowTracker,
    Status,
    end_orphans,
    log_dataset,
    open_tracking,
    reopen_run,
    start_run,
)

_FILE = "run.json"


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
