"""Training by torchrun: a process that is lost ends all of them, and another attempt goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from kinemill.train import TrainingJob, load_model
from kinemill.train.checkpoint import checkpoints
from kinemill.train.policy_runner import as_policy
from kinemill_dagster.resources.torchrun_job import report_failures
from kinemill_dagster.resources.training import write_job
from tests.policies.imitation.cloning import demonstrations, policy_task
from tests.train.conftest import packed, pendulum_task, publish  # noqa: F401, a fixture
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
PARENT = str(os.getpid())


def failure(rank: int, code: int) -> ProcessFailure:
    return ProcessFailure(rank, 1000 + rank, code, error_file="none")


def test_one_that_was_killed_is_told_and_may_be_tried_again(capsys):
    ends = {0: failure(0, -signal.SIGTERM), 1: failure(1, -signal.SIGKILL), 2: failure(2, 1)}
    code = report_failures(ends, 3)
    assert code == os.EX_TEMPFAIL
    said = "process 1 of 3 was killed by signal 9; the others were ended\n"
    assert capsys.readouterr().err == said


def test_a_fault_of_the_leader_is_the_fault_of_all():
    ends = {2: failure(2, -signal.SIGTERM), 1: failure(1, 1), 0: failure(0, 2)}
    assert report_failures(ends, 3) == 2


def by_torchrun(task):
    message = task.model_dump(mode="json", by_alias=True)
    return type(task).model_validate({**message, "compute": {"type": "torchrun"}})


def start(job: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "kinemill_dagster.resources.torchrun_job", str(job), PARENT, "2"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def workers_of(agent: subprocess.Popen) -> dict[int, psutil.Process]:
    children = psutil.Process(agent.pid).children(recursive=True)
    values = {
        int(child.environ()["RANK"]): child for child in children if "RANK" in child.environ()
    }
    return values if len(values) == 2 else {}


@pytest.mark.slow
def test_a_lost_process_fails_the_training_at_once_and_a_retry_goes_on(tracked_home, packed):  # noqa: F811
    settings = {"steps": 600, "save_every": 10, "eval_every": 200, "patience": None}
    task = by_torchrun(pendulum_task(**settings))
    ref = publish(tracked_home, packed)
    training = TrainingJob(task, tracked_home, ref, ref)
    job, runs = write_job(training, dagster_run="of a test"), training.folder

    agent = start(job)
    workers = until(lambda: workers_of(agent) if checkpoints(runs) else None, "a checkpoint", 90)
    began = time.monotonic()
    os.kill(workers[1].pid, signal.SIGKILL)
    out, _ = agent.communicate(timeout=60)
    assert time.monotonic() - began < 10  # s; gloo's own patience is 30 minutes
    assert agent.returncode == os.EX_TEMPFAIL, out
    assert "process 1 of 2 was killed by signal 9" in out
    assert not any(worker.is_running() for worker in workers.values())

    # Whoever started torchrun dies: so do all of its processes.
    agent = start(job)
    workers = until(lambda: workers_of(agent), "two workers", 90)
    os.kill(agent.pid, signal.SIGKILL)
    agent.communicate()
    _, alive = psutil.wait_procs(workers.values(), timeout=5)
    assert not alive

    agent = start(job)
    out, _ = agent.communicate(timeout=300)
    assert agent.returncode == 0, out
    model = training.find_model()
    assert model is not None
    assert model.summary["steps"] == 600


@pytest.mark.slow
def test_a_policy_is_cloned_by_two_processes(tracked_home):
    task = by_torchrun(policy_task(steps=60, batch_size=33, patience=None, seq_len=3))
    ref = publish(tracked_home, demonstrations().packed)
    training = TrainingJob(task, tracked_home, ref, ref)
    agent = start(write_job(training, dagster_run="of a test"))
    out, _ = agent.communicate(timeout=300)
    assert agent.returncode == 0, out
    model = training.find_model()
    assert model is not None
    assert model.summary["steps"] == 60
    policy = as_policy(load_model(tracked_home.root / model.ref.path))
    assert -2.0 <= policy.act([0.5, 0.5])[0] <= 2.0
