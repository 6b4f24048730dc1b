"""Training in a child process on this machine: killed cleanly, timed, dead when its parent dies."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg

from kinemill.errors import TrainingFailed
from kinemill.home import project_root
from resources.compute import COMPUTE

LOG = "training.log"
_PATIENCE = 10.0  # s between asking a process to end and making it
_TAIL = 2000  # bytes of the child's own output quoted in an error


@COMPUTE.register("local")
def run(context: dg.AssetExecutionContext, job: Path, max_runtime: float) -> None:
    """Run the training that `job` describes in a child, until it ends or `max_runtime` s are over.

    The calling thread starts the child and waits for it. It therefore outlives the child, which
    PR_SET_PDEATHSIG needs: Linux sends the signal when the thread that forked ends.

    Raises:
        TrainingFailed: the child ran out of time, died, or could not train.
    """
    with (
        dg.open_pipes_session(
            context=context,
            context_injector=dg.PipesTempFileContextInjector(),
            message_reader=dg.PipesTempFileMessageReader(),
        ) as session,
        (job.parent / LOG).open("wb") as log,
    ):
        child = subprocess.Popen(
            [sys.executable, "-m", "resources.child", str(job), str(os.getpid())],
            cwd=project_root(),
            env={**os.environ, **session.get_bootstrap_env_vars()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in a terminal reaches us alone; we then end the child
        )
        context.log.info(f"training runs in process {child.pid}; its own output is in {log.name}")
        try:
            code = child.wait(timeout=max_runtime)
        except subprocess.TimeoutExpired as error:
            raise TrainingFailed(
                "compute.max_runtime",
                f"training was stopped after {max_runtime:g} s",
                fix="raise it or lower learn.steps; a rerun goes on from the last checkpoint",
            ) from error
        finally:
            end(child)
    if code != 0:
        raise _failure(code, job.parent / LOG)


def end(child: "subprocess.Popen[bytes]") -> None:
    """Ask a child to end, and make it when it does not within 10 s."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _failure(code: int, log: Path) -> TrainingFailed:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    text = log.read_bytes()[-_TAIL:].decode(errors="replace").strip()
    return TrainingFailed(
        "training process",
        f"{how}; it last said: {text or 'nothing'}",
        fix="a rerun goes on from the last checkpoint",
    )
