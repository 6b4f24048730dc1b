"""Search for better settings of a task."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinemill.api.arguments import log_path
from kinemill.api.dataset import Data
from kinemill.api.frames import FrameLogs
from kinemill.api.html import Summarized
from kinemill.api.progress import ShowProgress, reporter
from kinemill.api.project import project
from kinemill.api.training import Overrides, TaskLike, resolve_task
from kinemill.errors import BadInput
from kinemill.store import Home, Json
from kinemill.task.document import Task
from kinemill.task.loader import write_task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.reports.picture import Picture


@dataclass(frozen=True, eq=False, repr=False)
class TuneResult(Summarized):
    """Result of a search.

    Attributes:
        task: the task with its own settings.
        document: the result, output of `kinemill model tune --json`.
    """

    task: Task
    document: Json

    @property
    def best(self) -> float:
        """Validation result of the best trial, in `document["unit"]`."""
        return self.document["best"]["value"]

    @property
    def settings(self) -> Json:
        """Settings of the best trial: overrides for `train` and `run`."""
        return self.document["best"]["settings"]

    @property
    def task_error(self) -> float | None:
        """Validation result with the task's own settings, in the same unit; None if unknown."""
        return self.document["own"]

    @property
    def folder(self) -> Path:
        """Folder of the search, with Optuna's study and the file of the best settings."""
        return Path(self.document["folder"])

    @property
    def version(self) -> int | None:
        """The registered version with the best settings, or None."""
        return self.document.get("version")

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per trial: number, state, error, seconds and settings."""
        import polars as pl

        return pl.DataFrame(
            [
                {**result, "settings": json.dumps(result["settings"])}
                for result in self.document["results"]
            ]
        )

    def plot(self) -> "Picture":
        """Draw the error of each trial, and the best error so far."""
        from kinemill.selection.tune.objective import objective_of
        from kinemill.verify.plots import panels

        done = [result for result in self.document["results"] if result["error"] is not None]
        errors = np.array([trial["error"] for trial in done])
        figure, (axis,) = panels(1, 1)
        numbers = [trial["number"] for trial in done]
        axis.plot(numbers, errors, "o", label="trial")
        best = np.maximum if objective_of(self.task).more else np.minimum
        axis.step(numbers, best.accumulate(errors), where="post", label="best")
        axis.set(xlabel="trial", ylabel=self.document["objective"])
        axis.legend(fontsize=8, frameon=False)
        return figure

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        document = self.document
        facts = {
            "trials": f"{document['trials']}, {document['pruned']} pruned, "
            f"{document['failed']} failed",
            f"best, {document['objective']}": self.best,
            "with the task's own settings": self.task_error,
            "settings": self.settings,
            "version": self.version,
            "folder": self.folder,
        }
        return f"Search of {self.task.name}", facts


def tune(
    task: TaskLike,
    data: Data = None,
    *,
    trials: int | None = None,
    workers: int = 1,
    timeout: float | None = None,
    register: bool = False,
    overrides: Overrides | None = None,
    progress: ShowProgress = True,
) -> TuneResult:
    """Search for better settings of a task, on validation data only.

    An interrupted search resumes in the next call. The pipeline of the project prepares the data,
    so frames are added to the logs of the task.

    Args:
        task: a task, its name or file, or a mapping with the keys of a task file.
        data: frames, a log or a folder of logs; default: the task's drop folder.
        trials: total number of trials, including earlier ones; default: `tune.trials`.
        workers: number of parallel processes.
        timeout: time until the search ends, s.
        register: whether to run the pipeline with the best settings.
        overrides: dotted key to value.
        progress: show progress; or a callback, see `Update`.

    Raises:
        TaskError: The task, its space or an override is wrong.
        BadInput: Dagster is not installed, a limit is not above 0, or no trial has a result.
        Blocked: A blocking check failed on the data.
    """
    resolved = resolve_task(task, overrides)
    home = Home.resolve()
    changed = dict(overrides or {})
    is_file = isinstance(task, str | Path)
    path = str(task) if is_file else str(write_task(home, resolve_task(task)))
    logs = data.write(resolved, home) if isinstance(data, FrameLogs) else data
    folder = log_path(logs) if logs is not None else None
    pipeline = project("pipelines.tune")
    request = pipeline.TuneRequest(trials, workers, timeout, register, folder)
    document: Json = pipeline.tune_task(
        path, changed, request, reporter(progress), show_progress=False
    )
    if document["best"] is None:
        raise BadInput(resolved.name, "no trial has a result", fix="raise timeout or trials")
    return TuneResult(resolved, document)
