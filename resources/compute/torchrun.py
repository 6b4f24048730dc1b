"""Training in several processes on this machine that share each batch, with a GPU each."""

import os
from pathlib import Path

import dagster as dg

from kinemill.store.machine import check_processes
from kinemill.task.compute import Torchrun
from kinemill.task.protocols import Tracker
from kinemill_dagster.resources.compute import COMPUTE
from kinemill_dagster.resources.compute.local import watch

_SHARED = 4  # processes per core: those with a GPU mostly wait


@COMPUTE.register("torchrun")
def run(context: dg.AssetExecutionContext, job: Path, settings: Torchrun, tracker: Tracker) -> None:
    """Run the training of `job`, up to its time limit.

    One process is plain python: torchrun takes seconds to start.

    Raises:
        ProcessLost: A process was killed, and the others were ended.
        TrainingFailed: It ran out of time, or could not train.
        BadInput: This machine has too few cores for this number of processes.
    """
    check_processes("compute.processes", settings.processes, each=_SHARED)
    us = str(os.getpid())
    if settings.processes == 1:
        module = ["kinemill_dagster.resources.training_process", str(job), us]
    else:
        module = ["kinemill_dagster.resources.torchrun_job", str(job), us, str(settings.processes)]
    watch(context, job, settings, tracker, module)
