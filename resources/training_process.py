"""Training process: `python -m kinemill_dagster.resources.training_process JOB PARENT_PID`.

It uses only Dagster Pipes: lines and metrics go to its run, whose process writes them to MLflow. Of
several processes of a training (`RANK`, `WORLD_SIZE`) only rank 0 does so.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from dagster_pipes import PipesContext, open_dagster_pipes

from kinemill.errors import Diverged, ProcessLost, Unreachable
from kinemill.failures import as_known_failure, report
from kinemill.interrupts import Interrupted
from kinemill.process import exit_with_parent, tune_process
from kinemill.stop_request import stop_on_sigterm
from kinemill.store import Json, publish_json, read_json
from kinemill.store.home import Home
from kinemill_dagster.resources.lines import Lines, MessageTracker
from kinemill_dagster.resources.remote_job import VARIABLE


def assist(job: Json) -> None:
    """Train as a process of rank 1 or higher, without logging."""
    from kinemill.train import TrainingJob
    from kinemill.train.ddp import joined

    training = TrainingJob.from_json(job)
    with joined(training.task.learn.device):
        training.join()


def work(job: Json, pipes: PipesContext) -> None:
    """Run the training of the job file."""
    from kinemill.train import TrainingJob
    from kinemill.train.ddp import joined

    training = TrainingJob.from_json(job)
    is_remote = VARIABLE in os.environ
    monitor = system_metrics_of(job) if is_remote else nullcontext()  # else the run's process does
    with monitor, joined(training.task.learn.device):
        model = training.run((MessageTracker(pipes), Lines(pipes)))
    publish_json(Path(job["tracked_models"]) / f"{model.ref.digest[:32]}.json", job["tracked"])


def system_metrics_of(job: Json) -> AbstractContextManager[None]:
    """Log the system metrics of this machine to the MLflow run of a job."""
    from kinemill.tracking import system_metrics

    return system_metrics(Home(Path(job["home"])), job["tracked"]["run_id"])


def main() -> int:
    """Run the job of the command line; report known failures in one line."""
    job = Path(sys.argv[1])
    parent = int(sys.argv[2])
    exit_with_parent(parent)
    stop_on_sigterm()  # in front of all that imports torch for seconds
    tune_process()
    if int(os.environ.get("RANK", "0")) > 0:
        return _exit_code(lambda: assist(read_json(job)))
    with open_dagster_pipes() as pipes:
        return _exit_code(lambda: work(read_json(job), pipes))


def _exit_code(do: Callable[[], None]) -> int:
    try:
        do()
    except Interrupted:
        return 128 + signal.SIGTERM
    except Exception as error:  # noqa: BLE001 - the last frame there is
        code = report(error)
        failure = as_known_failure(error)
        if isinstance(failure, Diverged):
            return os.EX_DATAERR
        passing = isinstance(failure, ProcessLost | Unreachable)  # a retry can succeed
        return os.EX_TEMPFAIL if passing else code
    return 0


if __name__ == "__main__":
    sys.exit(main())
