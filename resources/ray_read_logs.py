"""Read logs in Ray tasks: `python -m resources.ray_read_logs PARENT_PID`, with the work on stdin.

Each task reads a batch of logs and publishes their recordings. Tasks share only the store and the
catalog, so Ray can repeat the task of a lost worker anywhere: a recording that was published is
found by its key, and is not read again. This process imports neither Dagster nor the readers, and
Ray's threads and signal handlers stay out of Dagster.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType

from kinemill.errors import Unreachable
from kinemill.process import exit_with_parent, tune_process
from kinemill.store.home import Home
from kinemill.store.object_store import remote
from kinemill.task import Task
from kinemill.task.compute import Ray
from kinemill_dagster.resources.ray_job import LOST, START_WITHIN, connect
from kinemill_dagster.resources.remote_job import localize, passed_environment

_SMALLEST = 64  # logs of a batch, which are flushed to disk together


@dataclass(frozen=True)
class ReadJob:
    """Input of every Ray task of one job.

    Attributes:
        home: folder of the home on the sending machine.
        text: task and folder of the logs, as JSON.
        environment: environment variables for the worker.
    """

    home: str
    text: str
    environment: Mapping[str, str]

    def read(self, names: Sequence[str]) -> int:
        """Read a batch of logs in a worker of Ray; return the number of recordings."""
        exit_with_parent(os.getppid())  # workers of Ray outlive their raylet
        tune_process()
        os.environ.update(self.environment)
        from kinemill.ingest.prefetch import read_ahead  # imports polars, which reads the above

        home = Home.resolve()
        job = json.loads(localize(self.text, self.home, home))
        return read_ahead(Task.model_validate(job["task"]), home, Path(job["folder"]), names)


def run(read_job: ReadJob, settings: Ray, names: Sequence[str]) -> int:
    """Read all logs on the cluster; return 0, or LOST if a local ingest must read the rest."""
    import ray
    from ray.exceptions import RayError

    try:
        connect(settings)
        count = _read_all(ray, read_job, settings, names)
    except (Unreachable, RayError) as error:
        _log(f"no worker can read the logs: {str(error).strip().splitlines()[-1]}")
        return LOST
    _log(f"{count} recordings")
    return 0


def _read_all(ray: ModuleType, read_job: ReadJob, settings: Ray, names: Sequence[str]) -> int:
    """Keep one batch on each worker until all logs are read; return the number of recordings.

    Raises:
        RayError: A task failed more often than `retries`, or no worker is free.
    """
    task = ray.remote(ReadJob.read).options(
        num_cpus=settings.cpus, max_retries=settings.retries, scheduling_strategy="SPREAD"
    )
    batches = _batches(names, settings.workers)
    count = 0
    # An empty batch imports the readers, and shows whether a worker is free.
    tasks = [task.remote(read_job, []) for _ in range(settings.workers)]
    done, tasks = ray.wait(tasks, timeout=START_WITHIN)
    if not done:
        message = f"none is free within {START_WITHIN:g} s"
        raise ray.exceptions.GetTimeoutError(message)
    while done:
        count += sum(ray.get(done))
        tasks += [task.remote(read_job, batch) for batch in islice(batches, len(done))]
        done, tasks = ray.wait(tasks) if tasks else ([], [])
    return count


def _batches(names: Sequence[str], workers: int) -> Iterator[Sequence[str]]:
    """Yield batches that shrink towards the end, so that all workers end at the same time."""
    start = 0
    while start < len(names):
        size = max(_SMALLEST, (len(names) - start) // (2 * workers))
        yield names[start : start + size]
        start += size


def _environment(settings: Ray, home: str) -> dict[str, str]:
    """Return the environment variables of a worker, which has only the cores of its task."""
    cores = str(max(1, int(settings.cpus)))
    limits = {"LOKY_MAX_CPU_COUNT": cores, "POLARS_MAX_THREADS": cores}
    return passed_environment(None if remote() else home) | limits


def _log(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def main() -> int:
    """Read the logs that standard input names."""
    exit_with_parent(int(sys.argv[1]))
    tune_process()
    work = json.load(sys.stdin)
    settings = Task.model_validate(json.loads(work["job"])["task"]).compute
    assert isinstance(settings, Ray)
    read_job = ReadJob(work["home"], work["job"], _environment(settings, work["home"]))
    return run(read_job, settings, work["names"])


if __name__ == "__main__":
    from kinemill_dagster.resources.ray_read_logs import main as imported

    sys.exit(imported())  # Ray pickles functions of `__main__` by value
