"""Hyperparameter search: prepare data, run trials, run the pipeline with the best settings."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from kinemill.errors import BadInput
from kinemill.store import Json, to_json_value
from kinemill.store.home import Home
from kinemill.store.locks import in_use
from kinemill.task import load_task
from kinemill.task.loader import named_task
from kinemill.task.overrides import nested
from kinemill.task.protocols import Progress
from kinemill_dagster.resources.lines import Lines

_OF_CHAIN = ("status", "version", "alias", "gate", "selection")

_MOST = {"trials": 1_000_000, "workers": 65_536, "timeout": 3_200_000_000}


@dataclass(frozen=True)
class TuneRequest:
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
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:  # not a number is refused, too
                raise BadInput(name, str(value), expected=f"more than 0, and at most {most:,}")


def tune_task(
    task: str,
    overrides: Mapping[str, object],
    request: TuneRequest,
    progress: Progress,
    *,
    show_progress: bool = False,
) -> Json:
    """Search for better settings of a task and return the document of `kinemill model tune`.

    Raises:
        TaskError: The task file, its space or an override is wrong; nothing was started.
        Blocked: A blocking check failed on the data.
        BadInput: No trial has a result.
    """
    from kinemill.selection.tune import Bounds, begin, best_of, describe
    from kinemill_dagster.pipelines.run import (
        make_until,
        run_chain,
    )  # which has all jobs, including this one
    from kinemill_dagster.resources.training import start_of
    from kinemill_dagster.resources.tune_processes import search_elsewhere

    began = time.time()
    home = Home.resolve()
    with in_use(home, f"tune-{os.getpid()}"):
        effective = load_task(task, overrides, web=request.web)
        outer = {key: value for key, value in nested(overrides).items() if key != "tune"}
        dataset = make_until(
            "dataset", task, outer, logs=request.logs, show_progress=show_progress, web=request.web
        )
        start = start_of(effective, home)
        search = begin(effective, home, dataset, overrides, start)
        count = request.trials or effective.tune.trials
        progress.log_message(f"{search.name}: {count} trials, report and study in {search.folder}")
        until = began + request.timeout if request.timeout else None
        trials = search_elsewhere(search, Bounds(count, until), request.workers, progress)
        document = describe(search, trials)
        best = best_of(trials)
        if request.register and best is not None:
            changed = {**outer, **best.settings}
            chain = run_chain(
                task, changed, logs=request.logs, show_progress=show_progress, web=request.web
            )
            made = to_json_value(chain)
            document |= {key: made[key] for key in _OF_CHAIN}
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
    request = TuneRequest(
        config.trials, config.workers, config.timeout, config.register_best, web=True
    )
    named_task(config.task)  # never a path, which a user may have uploaded
    result = tune_task(config.task, config.overrides, request, Lines(context))
    best = result["best"]
    context.add_output_metadata(
        {
            "study": result["study"],
            "trials": result["trials"],
            "pruned": result["pruned"],
            "failed": result["failed"],
            result["objective"]: best["value"],
            "settings": dg.MetadataValue.json(best["settings"]),
            "report": dg.MetadataValue.path(result["report"]),
            "version": result.get("version") or 0,
        }
    )


@dg.job(description="Searches for better settings of a task, as `kinemill model tune` does.")
def tune() -> None:
    """Run the one step."""
    trials()
