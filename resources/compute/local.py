"""Training in a child process on this machine with a time limit; it ends with its parent."""

import os
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import dagster as dg

from kinemill.errors import BadInput, Diverged, KinemillError, ProcessLost, TrainingFailed
from kinemill.process import end
from kinemill.store import read_json
from kinemill.store.disk_space import DiskFull, full_system
from kinemill.task import Compute
from kinemill.task.protocols import Tracker
from kinemill_dagster.resources.compute import COMPUTE
from kinemill_dagster.resources.message_reader import WholeLineReader
from kinemill_dagster.resources.processes import last_output, spell_exit, start_module
from kinemill_dagster.resources.training_process import system_metrics_of

LOG = "training.log"
_LAST_STEP = 30.0  # s to end the current step and write its checkpoint


@COMPUTE.register("local")
def run(context: dg.AssetExecutionContext, job: Path, settings: Compute, tracker: Tracker) -> None:
    """Run the training of `job` in a child process, up to its time limit.

    Raises:
        ProcessLost: The child was killed.
        TrainingFailed: It ran out of time, or could not train.
    """
    watch(
        context,
        job,
        settings,
        tracker,
        ["kinemill_dagster.resources.training_process", str(job), str(os.getpid())],
    )


def watch(
    context: dg.AssetExecutionContext,
    job: Path,
    settings: Compute,
    tracker: Tracker,
    module: list[str],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a module with arguments in a child process, with live lines in Dagster.

    The calling thread starts the child and waits for it, so it outlives the child. PR_SET_PDEATHSIG
    requires this: Linux sends the signal when the forking thread ends (prctl(2)). The child's
    output is written to the folder of `job`. An `environment` is for other machines: they log
    their system metrics themselves.

    Raises:
        ProcessLost: The child was killed, or requests a retry with EX_TEMPFAIL.
        TrainingFailed: It ran out of time, or could not train.
        Diverged: The loss is not finite.
        DiskFull: The disk was too full for a checkpoint or the model.
        BadInput: Data or settings are invalid, or exceed the machine.
    """
    with (
        system_metrics_of(read_json(job)) if environment is None else nullcontext(),
        dg.open_pipes_session(
            context=context,
            context_injector=dg.PipesTempFileContextInjector(),
            message_reader=WholeLineReader(tracker),
        ) as session,
        (job.parent / LOG).open("wb") as log,
    ):
        whole = {**(environment or {}), **session.get_bootstrap_env_vars()}
        child = start_module(module, log, whole)
        context.log.info(f"training runs in process {child.pid}; its output is in {log.name}")
        try:
            code = child.wait(timeout=settings.max_runtime)
        except subprocess.TimeoutExpired as error:
            end(child, _LAST_STEP)
            raise TrainingFailed(
                "compute.max_runtime",
                f"training was stopped after {settings.max_runtime:g} s",
                fix="raise it or lower learn.steps; kinemill run --resume goes on from its "
                "checkpoint",
            ) from error
        finally:
            end(child)
    if code != 0:
        raise _failure(code, job.parent / LOG)


def _failure(code: int, log: Path) -> KinemillError:
    how = spell_exit(code)
    text = last_output(log)
    last = text.splitlines()[-1] if text else how
    if code == DiskFull.exit_code:
        return full_system(log.parent) or DiskFull("training process", last)
    if code == BadInput.exit_code and text:
        where, _, problem = last.partition(": ")
        return BadInput(where, problem)
    if code == os.EX_DATAERR:
        return Diverged("training process", last)
    kind = ProcessLost if code < 0 or code == os.EX_TEMPFAIL else TrainingFailed
    return kind(
        "training process",
        f"{how}; last output: {text or 'nothing'}",
        fix="a rerun resumes from the last checkpoint",
    )
