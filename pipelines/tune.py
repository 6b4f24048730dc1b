"""Hyperparameter search: prepare data, run trials, run the pipeline with the best settings."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.store import Json, to_json_value
from kinemill.store.home import Home
from kinemill.store.locks import in_use
from kinemill.task import load_task
from kinemill.task.overrides import nested
from kinemill.task.protocols import Progress

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
    """

    trials: int | None = None
    workers: int = 1
    timeout: float | None = None
    register: bool = True
    logs: Path | None = None

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
    from kinemill_dagster.pipelines.run import make_until, run_chain
    from kinemill_dagster.resources.training import start_of
    from kinemill_dagster.resources.tune_processes import search_elsewhere

    began = time.time()
    home = Home.resolve()
    with in_use(home, f"tune-{os.getpid()}"):
        effective = load_task(task, overrides)
        outer = {key: value for key, value in nested(overrides).items() if key != "tune"}
        dataset = make_until("dataset", task, outer, logs=request.logs, show_progress=show_progress)
        start = start_of(effective, home)
        search = begin(effective, home, dataset, overrides, start)
        count = request.trials or effective.tune.trials
        progress.log_message(f"{search.name}: {count} trials, study in {search.folder}")
        until = began + request.timeout if request.timeout else None
        trials = search_elsewhere(search, Bounds(count, until), request.workers, progress)
        document = describe(search, trials)
        best = best_of(trials)
        if request.register and best is not None:
            changed = {**outer, **best.settings}
            chain = run_chain(task, changed, logs=request.logs, show_progress=show_progress)
            made = to_json_value(chain)
            document |= {key: made[key] for key in _OF_CHAIN}
        return document
