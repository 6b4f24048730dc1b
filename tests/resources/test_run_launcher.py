"""Effects of dagster.yaml and run tags: queueing, priorities, retries."""

import subprocess
import sys
import time
from types import SimpleNamespace

import dagster as dg
import psutil
import pytest

from kinemill import process
from kinemill.errors import ProcessLost
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill_dagster.pipelines.chain import chain_job
from kinemill_dagster.pipelines.instance import prepare
from kinemill_dagster.pipelines.orphan_runs import reap
from kinemill_dagster.resources import pools, run_launcher
from kinemill_dagster.resources.dagster_api import WorkerStatus
from kinemill_dagster.resources.run_coordinator import OwnedRunCoordinator
from kinemill_dagster.resources.tags import (
    FAULT,
    GRPC_INFO,
    MAX_RETRIES,
    MAX_RUNTIME,
    OWNER,
    PRIORITY,
)
from tests.dagster_internals import (
    EngineEventData,
    GrpcServerCodeLocationOrigin,
    QueuedRunCoordinatorDaemon,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    execute_run_monitoring_iteration,
)
from tests.pipelines.conftest import TASK

RETRY = "dagster/will_retry"
FAILING = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Dagster's instance as `dagster.yaml` wants it, opened once: that takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DAGSTER_HOME", "KINEMILL_HOME"):
            patch.setenv(name, "")  # `prepare` sets them
        folder = prepare(Home(tmp_path_factory.mktemp("policies")))
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            yield instance


@pytest.fixture
def instance(opened, workspace):
    yield opened
    for run in opened.get_runs():
        opened.delete_run(run.run_id)


@pytest.fixture
def job(workspace):
    return chain_job(load_task(TASK))


@dg.op
def nothing():
    pass


@dg.job
def one_step():
    nothing()


def started(instance, pid, **tags):
    """A run that says it is in process `pid`."""
    run = instance.create_run_for_job(one_step, tags=tags, status=dg.DagsterRunStatus.STARTED)
    message = f"Started process for run (pid: {pid})."
    instance.report_engine_event(message, run, EngineEventData.in_process(pid))
    return run


def status(instance, run):
    return instance.get_run_by_id(run.run_id).status.value


def monitored(instance):
    """One pass of the daemon's run monitoring."""
    context = SimpleNamespace(instance=instance, create_request_context=lambda: None)
    logger = SimpleNamespace(info=lambda *_: None)
    return list(execute_run_monitoring_iteration(context, logger))


def dequeued(instance):
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    config = instance.get_concurrency_config()
    return daemon._get_runs_to_dequeue(instance, config, fixed_iteration_time=None)


ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("localhost", 1), "__repository__"),
    "one_step",
)


def queue(instance, **tags):
    return instance.create_run_for_job(
        one_step, tags=tags, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=ORIGIN
    ).run_id


# Health


def test_process_started_after_the_run_recorded_its_pid_is_another(instance):
    run = started(instance, psutil.Process().pid)
    said = instance.run_launcher._recorded_process(run)
    assert process.process_of(*said) is not None
    assert process.process_of(said[0], psutil.Process().create_time() - 61.0) is None


def test_run_of_another_machine_counts_as_running(instance):
    other_home = {GRPC_INFO: '{"host": "code.example", "port": 4000}'}
    run = started(instance, 2**22 + 1, **other_home)
    health = instance.run_launcher.check_run_worker_health(run).status
    assert health == WorkerStatus.RUNNING


@pytest.mark.parametrize(("patience", "healthy"), [(60.0, True), (0.0, False)])
def test_run_of_a_killed_code_server_fails_after_its_replacement(
    instance, patience, healthy, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_launcher, "_ANOTHER", patience)
    lost = {GRPC_INFO: f'{{"host": "localhost", "socket": "{tmp_path}/gone"}}'}
    run = started(instance, 2**22 + 1, **lost)
    health = instance.run_launcher.check_run_worker_health(run).status
    assert health == (WorkerStatus.RUNNING if healthy else WorkerStatus.FAILED)


def test_dead_run_fails_on_the_first_monitoring_pass_and_is_retried(instance):
    run = started(instance, 2**22 + 1)
    monitored(instance)
    result = instance.get_run_by_id(run.run_id)
    assert (result.status.value, result.tags[RETRY]) == ("FAILURE", "true")


def test_dead_run_without_a_daemon_is_failed_and_its_slot_freed(instance):
    dead = started(instance, 2**22 + 1)
    alive = started(instance, psutil.Process().pid)
    events = instance.event_log_storage
    events.set_concurrency_slots("cpu", 1)
    assert events.claim_concurrency_slot("cpu", dead.run_id, "tiny__model").is_claimed
    assert not events.claim_concurrency_slot("cpu", alive.run_id, "tiny__model").is_claimed
    assert reap(instance) == [dead.run_id]
    assert (status(instance, dead), status(instance, alive)) == ("FAILURE", "STARTED")
    assert events.claim_concurrency_slot("cpu", alive.run_id, "tiny__model").is_claimed
    events.free_concurrency_slots_for_run(alive.run_id)


# Canceling


@pytest.mark.parametrize("how", ["deaf", "willing"])
def test_terminated_run_has_no_live_process(instance, how, monkeypatch):
    monkeypatch.setattr(run_launcher, "PATIENCE", 0.5)
    code = FAILING if how == "deaf" else FAILING.replace("SIG_IGN)\nchild", "SIG_DFL)\nchild")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        run = started(instance, process.pid)
        instance.event_log_storage.set_concurrency_slots("cpu", 1)
        instance.event_log_storage.claim_concurrency_slot("cpu", run.run_id, "tiny__model")
        assert instance.run_launcher.terminate(run.run_id)
        alive = [one for one in family if one.is_running() and one.status() != "zombie"]
    assert (len(family), alive) == (2, [])
    assert status(instance, run) == "CANCELED"
    assert instance.get_run_by_id(run.run_id).tags[MAX_RETRIES] == "0"
    assert instance.event_log_storage.get_concurrency_run_ids() == set()


def test_canceled_run_is_killed_within_5_s():
    assert run_launcher.PATIENCE + run_launcher._AFTER < 5.0
    assert process._PATIENCE < run_launcher.PATIENCE


# Time limits


def test_run_beyond_its_time_limit_fails_without_a_retry(instance, job):
    assert job.tags[MAX_RUNTIME] == "172800"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        run = started(instance, process.pid, **{MAX_RUNTIME: "0.01"})
        instance.report_dagster_event(
            dg.DagsterEvent("PIPELINE_START", one_step.name, event_specific_data=None), run.run_id
        )
        time.sleep(0.05)
        monitored(instance)
        assert process.wait(timeout=5) != 0
    result = instance.get_run_by_id(run.run_id)
    assert (result.status.value, result.tags[RETRY]) == ("FAILURE", "false")
    said = [entry.message for entry in instance.all_logs(run.run_id)]
    assert any("Exceeded maximum runtime" in line for line in said)


def test_time_limit_is_that_of_the_task(workspace):
    task = load_task(TASK, {"compute.run_timeout": 7200})
    assert chain_job(task).tags[MAX_RUNTIME] == "7200"


def test_run_of_selected_assets_gets_its_task_and_time_limit(instance):
    selected = {dg.AssetKey([TASK, "model"])}
    run = dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=selected)
    tags = OwnedRunCoordinator()._task_tags(run, TASK)
    assert tags == {"kinemill/task": TASK, MAX_RUNTIME: "172800"}


def test_monitoring_limits_starting_and_canceling(instance):
    settings = instance.run_monitoring_settings
    assert (settings["start_timeout_seconds"], settings["cancel_timeout_seconds"]) == (180, 20)


# The queue


def test_queued_run_with_the_higher_priority_goes_first(instance):
    night = queue(instance, **{PRIORITY: "-2"})
    sensed = queue(instance, **{PRIORITY: "-1"})
    by_hand = queue(instance)
    urgent = queue(instance, **{PRIORITY: "5"})
    order = [run.run_id for run in dequeued(instance)]
    assert order == [urgent, by_hand, sensed, night]


def test_owner_with_many_queued_runs_leaves_a_slot(instance):
    ada = [queue(instance, **{OWNER: "ada"}) for _ in range(3)]
    bob = queue(instance, **{OWNER: "bob"})
    assert [run.run_id for run in dequeued(instance)] == [*ada[:2], bob]


def test_queued_runs_of_a_task_run_in_turn(instance):
    first = queue(instance, **{"kinemill/task": TASK})
    queue(instance, **{"kinemill/task": TASK})
    assert [run.run_id for run in dequeued(instance)] == [first]


# Pools


@pytest.mark.parametrize(
    ("overrides", "gpus", "pool"),
    [
        ({}, 0, "cpu"),
        ({}, 2, "gpu"),
        ({"learn.device": "cpu"}, 2, "cpu"),
        ({"learn.device": "cuda"}, 0, "gpu"),
        ({"compute.type": "ray"}, 2, None),
    ],
)
def test_training_waits_in_the_pool_of_its_device(workspace, monkeypatch, overrides, gpus, pool):
    monkeypatch.setattr("kinemill_dagster.resources.pools.gpus", lambda: gpus)
    made = chain_job(load_task(TASK, overrides))
    values = {name: made.get_node_named(name).definition.pool for name in _nodes(made)}
    assert values.pop(f"{TASK}__model") == pool
    assert set(values.values()) == {None}


def _nodes(job):
    return [node.name for node in job.nodes]


def test_pool_limits_are_those_of_the_machine_unless_set(instance, monkeypatch):
    monkeypatch.setattr(pools, "gpus", lambda: 3)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    events = instance.event_log_storage
    for pool in ("gpu", "cpu"):
        events.delete_concurrency_limit(pool)
    events.initialize_concurrency_limit_to_default("gpu")
    events.set_concurrency_slots("cpu", 7)
    pools.set_limits(instance)
    values = {pool.name: pool.limit for pool in events.get_pool_limits()}
    assert values == {"gpu": 3, "cpu": 7}


# Retries


def executed(instance, job):
    """A run of the first stage alone."""
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    first = [dg.AssetKey([TASK, "recordings"])]
    done = job.execute_in_process(
        config, instance=instance, raise_on_error=False, asset_selection=first
    )
    return instance.get_run_by_id(done.run_id)


def test_step_that_refuses_its_input_is_not_retried(instance, job):
    run = executed(instance, job)  # there are no logs
    assert (run.status.value, run.tags[RETRY], run.tags[FAULT]) == ("FAILURE", "false", "lasting")


def test_step_that_lost_its_process_is_retried(instance, job, monkeypatch):
    def fail(*_, **__):
        raise ProcessLost("training process", "was killed by signal 9")

    monkeypatch.setattr("kinemill.ingest.stage.run", fail)
    run = executed(instance, job)
    assert (run.status.value, run.tags[RETRY], run.tags[FAULT]) == ("FAILURE", "true", "passing")


def test_refused_settings_are_not_retried(instance, task_gone_wrong):
    run = executed(instance, task_gone_wrong("steps: 60", "steps: -5"))
    assert (run.status.value, run.tags[RETRY]) == ("FAILURE", "false")
