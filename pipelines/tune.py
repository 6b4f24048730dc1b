"""Hyperparameter search: prepare data, run trials, run the pipeline with the best settings."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.stage import Lines
from kinemill.errors import BadInput
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.store.locks import in_use
from kinemill.task import load_task
from kinemill.task.loader import named_task
from kinemill.task.overrides import nested
from kinemill.task.protocols import Progress
from resources.task_resource import TaskResource

_OF_CHAIN = ("status", "version", "alias", "gate", "selection")


@dataclass(frozen=True)
class Wanted:
    """Options of a search.

    Attributes:
        trials: total number, earlier calls included; None: from the task file.
        workers: number of parallel processes.
        timeout: s after which trials are stopped; None: never.
        register: run the pipeline with the best settings.
        logs: folder with new logs, or one log; None: the task's drop folder.
        web: the overrides come over the web; see `load_task`.
    """

    trials: int | None = None
    workers: int = 1
    timeout: float | None = None
    register: bool = True
    logs: Path | None = None
    web: bool = False

    def __post_init__(self) -> None:
        for name in ("trials", "workers", "timeout"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise BadInput(name, str(value), expected="more than 0")


def tune_task(
    task: str,
    overrides: Mapping[str, Any],
    wanted: Wanted,
    progress: Progress,
    *,
    watched: bool = False,
) -> Json:
    """Search for better settings of a task and return the document of `kinemill model tune`.

    Raises:
        TaskError: the task file, its space or an override is wrong; nothing was started.
        Blocked: a blocking check failed on the data.
        TrainingFailed: no trial has a result.
    """
    home = Home.resolve()
    with in_use(home, f"tune-{os.getpid()}"):
        return _tune(home, task, overrides, wanted, progress, watched=watched)


def _tune(
    home: Home,
    task: str,
    overrides: Mapping[str, Any],
    wanted: Wanted,
    progress: Progress,
    *,
    watched: bool,
) -> Json:
    from kinemill.tune import Bounds, begin, best_of, describe
    from pipelines.run import make_until, run_chain  # which knows all jobs, this one too
    from resources.training import start_of
    from resources.tune_processes import search_elsewhere

    began, effective = time.time(), load_task(task, overrides, web=wanted.web)
    outer = {key: value for key, value in nested(overrides).items() if key != "tune"}
    dataset = make_until("dataset", task, outer, logs=wanted.logs, watched=watched, web=wanted.web)
    start = start_of(TaskResource(effective, home))
    search = begin(effective, home, dataset, overrides, start)
    trials = wanted.trials or effective.tune.trials
    progress.say(f"{search.name}: {trials} trials, report and journal in {search.folder}")
    until = began + wanted.timeout if wanted.timeout else None
    found = search_elsewhere(search, Bounds(trials, until), wanted.workers, progress)
    document, best = describe(search, found), best_of(found)
    if wanted.register and best is not None:
        changed = {**outer, **best.settings}
        chain = run_chain(task, changed, logs=wanted.logs, watched=watched, web=wanted.web)
        document |= {key: chain[key] for key in _OF_CHAIN if key in chain}
    return document


class Trials(dg.Config):
    """Task and limits of the search."""

    task: str = Field(description="name of the task")
    trials: int | None = Field(
        default=None, description="total number (default: tune.trials of the task)"
    )
    workers: int = Field(default=1, description="number of parallel processes")
    timeout: float | None = Field(default=None, description="s after which trials are stopped")
    register_best: bool = Field(default=True, description="run the pipeline with the best settings")
    overrides: dict[str, Any] = Field(
        default={}, description="dotted keys, such as learn.history: 12"
    )


@dg.op(description="Searches the task's space, and runs the pipeline with the best settings.")
def trials(context: dg.OpExecutionContext, config: Trials) -> None:
    """Run the search, and log the result."""
    wanted = Wanted(config.trials, config.workers, config.timeout, config.register_best, web=True)
    named_task(config.task)  # never a path, which a user may have uploaded
    found = tune_task(config.task, config.overrides, wanted, Lines(context))
    best = found["best"]
    context.add_output_metadata(
        {
            "study": found["study"],
            "trials": found["trials"],
            "pruned": found["pruned"],
            "failed": found["failed"],
            found["judged_by"]: best["value"],
            "settings": dg.MetadataValue.json(best["settings"]),
            "report": dg.MetadataValue.path(found["report"]),
            "version": found.get("version") or 0,
        }
    )


@dg.job(description="Searches for better settings of a task, as `kinemill model tune` does.")
def tune() -> None:
    """Run the one step."""
    trials()
