"""Training on a Ray cluster: a local process represents the workers on its nodes."""

import os
from pathlib import Path

import dagster as dg

from kinemill.store import read_json
from kinemill.store.home import Home
from kinemill.task.compute import Ray
from kinemill.task.protocols import Tracker
from kinemill_dagster.resources.compute import COMPUTE
from kinemill_dagster.resources.compute.local import watch
from kinemill_dagster.resources.remote_job import HOME, PARENT, RemoteJob


@COMPUTE.register("ray")
def run(context: dg.AssetExecutionContext, job: Path, settings: Ray, tracker: Tracker) -> None:
    """Run the training of `job` on the cluster, up to its time limit.

    Raises:
        ProcessLost: More nodes than `retries` died, or no cluster was found.
        TrainingFailed: It ran out of time, or could not train.
    """
    home = Home(Path(read_json(job)["home"]))
    where = f"{HOME}/{job.relative_to(home.root).as_posix()}"
    remote_job = RemoteJob.of(
        "kinemill_dagster.resources.training_process", (where, PARENT), home, [job]
    )
    module = ["kinemill_dagster.resources.ray_job", settings.model_dump_json(), str(os.getpid())]
    watch(context, job, settings, tracker, module, remote_job.environment())
