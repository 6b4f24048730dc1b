"""Training in a separate process: killed, timed out, orphaned, and gone on with."""

import json
import os
import re
import signal
import subprocess

import dagster as dg
import psutil
import pytest

from kinemill.register import find_version, list_versions
from kinemill.tracking import open_tracking
from kinemill.train.checkpoint import checkpoints
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.pipelines.run import run_chain
from kinemill_dagster.resources.dagster_api import WorkerStatus
from kinemill_dagster.resources.processes import wait_for
from tests.conftest import COMMAND
from tests.pipelines.conftest import TASK, is_training, messages_of_run
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LONG = {"learn.seed": 3, "learn.steps": 3000, "learn.save_every": 100, "learn.patience": None}


def start_run(**more):
    """Start `kinemill run` as a process of its own."""
    overrides = [
        part
        for key, value in {**LONG, **more}.items()
        for part in ("--set", f"{key}={'null' if value is None else value}")
    ]
    return subprocess.Popen(
        [*COMMAND, "run", TASK, "--json", *overrides],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def training_of(run, home, saved=True):
    """Wait for the training process of a run, to have written a checkpoint too; return it."""

    def training():
        if saved and not list(home.runs.rglob("checkpoint-*/checkpoint.json")):
            return None
        children = psutil.Process(run.pid).children(recursive=True)
        return next((child for child in children if is_training(child)), None)

    return until(training, "a training", process=run)


def statuses(home):
    tracking = open_tracking(home)
    runs = tracking.client.search_runs([tracking.experiment(TASK)])
    return sorted(run.info.status for run in runs)


def health_of_started(home):
    """Health checks of the daemon on processes of runs in the state STARTED."""
    with open_instance(home) as instance:
        started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        return [instance.run_launcher.check_run_worker_health(run) for run in started]


def test_killed_training_resumes_and_leaves_no_process(copy):
    # The process that started the training dies: the training dies with it.
    run = start_run()
    training = training_of(run, copy.home)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert wait_for([training], 5.0) == []
    # Dagster can tell: else the run would hold its task's only place for ever.
    assert [health.status for health in health_of_started(copy.home)] == [WorkerStatus.FAILED]

    # The next training ends what the killed one left open in MLflow.
    run = start_run()
    training = training_of(run, copy.home)
    assert statuses(copy.home) == ["FINISHED", "KILLED", "RUNNING"]
    assert WorkerStatus.RUNNING in [health.status for health in health_of_started(copy.home)]

    # The training dies: the run fails, says how, and MLflow knows.
    os.kill(training.pid, signal.SIGKILL)
    _, message = run.communicate()
    assert run.returncode == 3
    assert "was killed by signal 9" in message
    assert "resumes from the last checkpoint" in message
    assert statuses(copy.home) == ["FINISHED", "KILLED", "KILLED"]

    # A rerun resumes and ends with a champion, the store intact.
    document = run_chain(TASK, LONG)
    assert (document.status, document.alias) == ("done", "champion")
    assert find_version(copy.home, TASK, "@champion").number == 2
    assert statuses(copy.home) == ["FINISHED", "FINISHED", "KILLED", "KILLED"]
    assert list(copy.home.store.glob(".corrupt/*")) == []
    lines = messages_of_run(copy.home)
    assert [line for line in lines if re.match(r"resuming from the checkpoint at step \d+", line)]


@pytest.mark.slow
def test_concurrent_runs_train_a_model_once(copy):
    pair = [start_run(**{"learn.steps": 60}) for _ in range(2)]
    message = [run.communicate(timeout=600) for run in pair]
    # 60 steps are too few to replace the champion, so the run that trains is refused (exit code 1).
    assert sorted(run.returncode for run in pair) == [0, 1], message
    assert sorted(json.loads(out)["status"] for out, _ in message) == ["refused", "unchanged"]
    assert statuses(copy.home) == ["FINISHED", "FINISHED"]  # the one before, and this one
    assert len(list_versions(TASK, copy.home).versions) == 2


def test_training_beyond_max_runtime_is_stopped_with_the_reason(copy):
    steps = {"learn.steps": 1_000_000, "learn.save_every": 1_000_000}
    # The time counts from the start of a process that imports torch, on a machine that tests share.
    run = start_run(**{"compute.max_runtime": 20, **steps})
    training = training_of(run, copy.home, saved=False)
    _, message = run.communicate(timeout=300)
    assert run.returncode == 3
    assert "compute.max_runtime: training was stopped after 20 s" in message
    assert wait_for([training], 5.0) == []
    # `save_every` alone would write none.
    assert any(checkpoints(path) for path in (copy.home.runs / TASK).iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_signal_ends_the_training_and_prints_how_to_resume(copy, number, name):
    run = start_run(**{"learn.steps": 1_000_000})
    training = training_of(run, copy.home)
    run.send_signal(number)
    _, message = run.communicate(timeout=300)
    assert run.returncode == 128 + number
    assert wait_for([training], 5.0) == []
    assert "RUNNING" not in statuses(copy.home)
    assert "Traceback" not in message
    last = message.splitlines()[-1]
    kept = rf"stopped by {name}: run \w{{8}} keeps .*the checkpoint of step \d+ of"
    assert re.match(kept, last), last
    assert f"to continue, run: kinemill run {TASK} --json --set learn.seed=3" in last
    with open_instance(copy.home) as instance:
        assert instance.get_runs(limit=1)[0].status.value == "CANCELED"


@pytest.mark.slow
@pytest.mark.parametrize("after", ["recordings", "dataset", "training_set"])
def test_signal_between_stages_prints_how_to_resume(copy, after):
    run = start_run()
    assert any(line.startswith(after) for line in run.stderr)
    run.send_signal(signal.SIGTERM)
    *stages, last = run.stderr.read().splitlines()
    assert run.wait(timeout=300) == 128 + signal.SIGTERM
    assert re.match(rf"stopped by SIGTERM: run \w{{8}} keeps .*{after}.*; to continue, run: ", last)
    assert all(" done " in line or " stopped " in line for line in stages)
    assert "[pipes]" not in "".join(stages)
