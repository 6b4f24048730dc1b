"""Training on a Ray cluster: a local process represents the workers on its nodes."""

import os
from pathlib import Path

import dagster as dg

from kinemill.task.compute import Ray
from kinemill.task.protocols import Tracker
from kinemill_dagster.resources.compute import COMPUTE
from kinemill_dagster.resources.compute.local import watch
from kinemill_dagster.resources.remote_job import RemoteJob


@COMPUTE.register("ray")
def run(context: dg.AssetExecutionContext, job: Path, settings: Ray, tracker: Tracker) -> None:
    """Run the training of `job` on the cluster, up to its time limit.

    Raises:
        ProcessLost: More nodes than `retries` died, or no cluster was found.
        TrainingFailed: It ran out of time, or could not train.
    """
    module = ["kinemill_dagster.resources.ray_job", settings.model_dump_json(), str(os.getpid())]
    watch(context, job, settings, tracker, module, RemoteJob.of_training(job).environment())
