"""Worker processes of a search: start, monitor, replace dead ones, and end all."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from kinemill.errors import BadInput, KinemillError, TrainingFailed
from kinemill.interrupts import message_on_interrupt, resume
from kinemill.process import end
from kinemill.selection.tune import (
    Bounds,
    Search,
    TrialRecord,
    list_trials,
    tracked,
    write_best,
    write_job,
)
from kinemill.store.database import database
from kinemill.store.disk_space import DiskFull, full_system
from kinemill.store.locks import lock
from kinemill.store.machine import check_processes
from kinemill.store.object_store import remote
from kinemill.task.compute import Ray
from kinemill.task.protocols import Progress
from kinemill_dagster.resources.processes import (
    last_output,
    spell_exit,
    start_module,
    whole_lines,
)
from kinemill_dagster.resources.remote_job import RemoteJob, path_there
from kinemill_dagster.resources.training import models_folder

_POLL = 0.5  # s
_PROGRESS = re.compile(r"trial \d+: \w+ \d+/\d+ ")  # format of a worker's output
_MOST_DEATHS = 5  # most failures of workers before the search fails


@dataclass
class Workers:
    """The processes of one search, by number."""

    search: Search
    job: Path
    processes: "dict[int, subprocess.Popen[bytes]]" = field(default_factory=dict, repr=False)  # pyright: ignore[reportUnknownVariableType]
    died: int = 0
    read: dict[int, int] = field(default_factory=dict, repr=False)  # pyright: ignore[reportUnknownVariableType]

    def start(self, number: int) -> None:
        """Start a worker, which ends with this process."""
        command, environment = _worker(self.search, self.job, number)
        with self._log(number).open("ab") as log:
            self.read.setdefault(number, log.tell())  # skip lines of earlier searches
            self.processes[number] = start_module(command, log, environment)

    def look(self, progress: Progress) -> None:
        """Remove finished workers, and replace dead ones.

        Raises:
            TrainingFailed: Too many died, or one failed.
            DiskFull: The disk was too full for one.
        """
        for number, worker in list(self.processes.items()):
            code = worker.poll()
            if code is not None:
                del self.processes[number]
            if code:
                self.died += 1
                how = spell_exit(code)
                # A replacement would fail in the same way.
                if self.died > _MOST_DEATHS or code in {BadInput.exit_code, DiskFull.exit_code}:
                    raise self._failure(number, code, how)
                progress.log_message(f"worker {number} {how}; a replacement continues its trial")
                self.start(number)

    def repeat(self, progress: Progress) -> None:
        """Report new lines of progress from the logs of the workers."""
        for number in self.processes:
            start = self.read.get(number, 0)
            lines, self.read[number] = whole_lines(self._log(number), start)
            for line in lines:
                if _PROGRESS.match(line):
                    progress.log_message(line.rstrip())

    def stop(self) -> None:
        """End all running workers."""
        for worker in self.processes.values():
            worker.terminate()
        for worker in self.processes.values():
            end(worker)

    def _log(self, number: int) -> Path:
        return self.search.folder / f"worker-{number}.log"

    def _failure(self, number: int, code: int, how: str) -> KinemillError:
        output = last_output(self._log(number))
        if code == DiskFull.exit_code:
            last = output.splitlines()[-1] if output else how
            return full_system(self.search.folder) or DiskFull(self.search.folder, last)
        return TrainingFailed(
            f"worker {number} of {self.search.name}",
            f"{how}; last output: {output or 'nothing'}",
            fix="run the same command to continue the search",
        )


def _worker(search: Search, job: Path, number: int) -> tuple[list[str], dict[str, str]]:
    """Return the module of a worker, its arguments and its environment.

    Raises:
        BadInput: Workers on other machines do not share the trials.
    """
    module = "kinemill.selection.tune.worker"
    compute = search.task().compute
    if not isinstance(compute, Ray):
        parent = ["kinemill.process", str(os.getpid())]
        return [*parent, sys.executable, "-m", module, str(job), str(number)], {}
    if remote() and not database():
        raise BadInput(
            "KINEMILL_DATABASE",
            "is not set, and the nodes have separate homes",
            fix="use a shared database, or unset KINEMILL_REMOTE and share the home",
        )
    arguments = path_there(job, search.home), str(number)
    remote_job = RemoteJob.of(module, arguments, search.home, [job, *search.files()])
    alone = compute.model_copy(update={"workers": 1, "retries": 0})  # replaced before
    return [
        "kinemill_dagster.resources.ray_job",
        alone.model_dump_json(),
        str(os.getpid()),
    ], remote_job.environment()


def search_elsewhere(
    search: Search, bounds: Bounds, workers: int, progress: Progress
) -> list[TrialRecord]:
    """Run the trials of a search in `workers` processes; return all trials, including earlier.

    The file with the best settings is always written. The calling thread starts the
    processes and waits for them, as PR_SET_PDEATHSIG requires.

    Raises:
        TrainingFailed: Too many workers died, or no trial has a result.
        BadInput: This machine has too few cores for this number of workers.
    """
    check_processes("workers", workers, each=4)
    with (
        lock(search.home, f"tune/{search.name}/search", progress.log_message),
        tracked(search) as run,
    ):
        models = models_folder(search.home, search.task().name)
        text = replace(bounds, parent=run[0], experiment=run[1], tracked_models=str(models))
        try:
            _work(search, text, workers, progress)
        finally:
            write_best(search)
    trials = list_trials(search)
    if all(line.error is None for line in trials):
        raise _nothing(search, trials)
    return trials


def _work(search: Search, bounds: Bounds, workers: int, progress: Progress) -> None:
    team = Workers(search, write_job(search, bounds))
    ended = {line.number for line in _ended(search)}
    try:
        with message_on_interrupt(
            lambda: f"{len(ended)} of {bounds.trials} trials are kept; {resume()}"
        ):
            for number in range(workers):
                team.start(number)
            while team.processes:
                time.sleep(_POLL)
                team.repeat(progress)
                team.look(progress)
                _report(search, ended, bounds.trials, progress)
    finally:
        team.stop()


def _report(search: Search, reported: set[int], total: int, progress: Progress) -> None:
    """Report the finished trials since the last call."""
    for line in _ended(search):
        if line.number not in reported:
            reported.add(line.number)
            progress.log_message(line.describe())
            progress.advance("search", len(reported), total)


def _ended(search: Search) -> list[TrialRecord]:
    return [line for line in list_trials(search) if line.state not in {"waiting", "running"}]


def _nothing(search: Search, trials: list[TrialRecord]) -> TrainingFailed:
    why = next((line.why for line in trials if line.why), "no trial has finished")
    return TrainingFailed(
        search.name,
        f"no trial has a result; the first: {why}",
        fix="run the same command with a larger --timeout or --trials, or fix tune.space",
    )
