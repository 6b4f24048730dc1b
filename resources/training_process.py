"""Training process: `python -m kinemill_dagster.resources.training_process JOB PARENT_PID`.

It uses only Dagster Pipes: lines go to its run, metrics to MLflow. Of several processes of a
training (`RANK`, `WORLD_SIZE`) only rank 0 does so.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from dagster_pipes import PipesContext, open_dagster_pipes

from kinemill.errors import Diverged, ProcessLost, Unreachable
from kinemill.failures import as_known_failure, report
from kinemill.interrupts import Interrupted
from kinemill.process import exit_with_parent, tune_process
from kinemill.stop_request import stop_on_sigterm
from kinemill.store import Json, publish_json, read_json
from kinemill_dagster.resources.lines import Lines


def assist(job: Json) -> None:
    """Train as a process of rank 1 or higher, without logging."""
    from kinemill.train import TrainingJob
    from kinemill.train.ddp import joined

    training = TrainingJob.from_json(job)
    with joined(training.task.learn.device):
        training.join()


def work(job: Json, pipes: PipesContext) -> None:
    """Run the training of the job file."""
    from kinemill.tracking import MlflowTracker, system_metrics
    from kinemill.train import TrainingJob
    from kinemill.train.ddp import joined

    training = TrainingJob.from_json(job)
    home = training.home
    run_id = job["tracked"]["run_id"]
    tracker = MlflowTracker(home, run_id, training.folder)
    try:
        with system_metrics(home, run_id), joined(training.task.learn.device):
            model = training.run((tracker, Lines(pipes)))
    except BaseException:
        tracker.end("FAILED")
        raise
    publish_json(Path(job["tracked_models"]) / f"{model.ref.digest[:32]}.json", job["tracked"])
    tracker.end()


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
