"""New logs in the drop folder request a run once; growing files never do."""

import builtins
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from kinemill.ingest import arrivals as arrived_logs
from kinemill.ingest import stage as ingest
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill_dagster.pipelines.automation.arrivals import (
    Runs,
    SensorState,
    next_run,
    pause,
    read_state,
    runs_of,
)
from kinemill_dagster.pipelines.chain import chain_job
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.resources.io import LATEST, note
from kinemill_dagster.resources.tags import FAULT, OWNER, PRIORITY, RUN_KEY, WHY
from kinemill_dagster.resources.task_resource import rules_of
from tests.pipelines.conftest import TASK

LOG = "timestamp,qpos_cart,qpos_pole,qvel_cart,qvel_pole,ctrl_cart\n0.0,0,0,0,0,{}\n"


@pytest.fixture
def drop(workspace):
    folder = workspace.home.logs(TASK)
    folder.mkdir(parents=True)

    def write(name, content, age=10.0):
        path = folder / name
        path.write_text(LOG.format(content))
        os.utime(path, (time.time() - age,) * 2)
        return path

    return write


def look(workspace, calls, *, fate="ended", going=False, moment=None, **overrides):
    runs = Runs(fate=lambda _: fate, going=lambda: going)
    return next_run(load_task(TASK, overrides), workspace.home, calls, runs, moment)


def test_empty_drop_folder_requests_no_run(workspace):
    call = look(workspace, SensorState())
    assert (call.request, call.why, call.state) == (None, "no new logs", SensorState())


def test_new_logs_request_one_run(workspace, drop):
    drop("a.csv", 1)
    call = look(workspace, SensorState())
    assert call.request.asset_selection is None
    assert call.request.tags == {OWNER: "kinemill", PRIORITY: "-1", WHY: "1 new logs"}
    after = look(workspace, call.state)
    assert (after.request, after.state) == (None, replace(call.state, pending=False))
    assert look(workspace, after.state).request is None


def test_second_log_requests_a_run_under_a_new_key(workspace, drop):
    drop("a.csv", 1)
    first = look(workspace, SensorState())
    drop("b.csv", 2)
    second = look(workspace, first.state)
    assert first.request.run_key != second.request.run_key


def test_log_that_arrives_during_a_run_waits_for_its_end(workspace, drop):
    drop("a.csv", 1)
    first = look(workspace, SensorState())
    drop("b.csv", 2)
    waiting = look(workspace, first.state, going=True)
    assert (waiting.request, waiting.state) == (None, first.state)
    assert "wait for the current run" in waiting.why
    assert look(workspace, waiting.state).request is not None


def test_copied_or_renamed_log_requests_no_run(workspace, drop):
    path = drop("a.csv", 1)
    requested = look(workspace, SensorState()).state
    drop("copy.csv", 1)
    path.rename(path.with_name("renamed.csv"))
    assert look(workspace, requested).request is None


def test_lost_cursor_repeats_the_run_key(workspace, drop):
    drop("a.csv", 1)
    keys = [look(workspace, read_state(lost)).request.run_key for lost in (None, {"arrived": "x"})]
    assert keys[0] == keys[1]


def test_growing_file_requests_no_run(workspace, drop):
    path = drop("a.csv", 1, age=0.0)
    min_age = {"ingest.min_file_age": 5.0}
    assert look(workspace, SensorState(), **min_age).request is None
    os.utime(path, (time.time() - 6.0,) * 2)
    assert look(workspace, SensorState(), **min_age).request is not None


def test_changed_task_file_requests_a_run(workspace, drop):
    drop("a.csv", 1)
    requested = look(workspace, SensorState()).state
    assert look(workspace, requested, **{"learn.seed": 7}).request is not None


def test_run_with_a_transient_failure_is_requested_later_under_a_new_key(workspace, drop):
    drop("a.csv", 1)
    first = look(workspace, SensorState(), moment=1e9)
    soon = look(workspace, first.state, fate="passing", moment=1e9 + pause(1) - 1.0)
    assert (soon.request, soon.state) == (None, first.state)
    second = look(workspace, first.state, fate="passing", moment=1e9 + pause(1) + 1.0)
    assert second.request.run_key == first.request.run_key.removesuffix("-1") + "-2"
    third = look(workspace, second.state, fate="passing", moment=1e9 + 2.0 + pause(1) + pause(2))
    assert third.state.attempt == 3
    assert [pause(attempt) for attempt in (1, 2, 9)] == [300.0, 1200.0, 86400.0]


@pytest.fixture
def take(workspace):
    """Read the drop folder, as the first asset of a run does."""

    def read():
        time.sleep(1.1)  # what has only just changed is not kept as read
        task = load_task(TASK, {"ingest.min_file_age": 0})
        ingest.run(task, workspace.home, workspace.home.logs(TASK))

    return read


def test_run_that_failed_before_ingest_is_requested_after_any_failure(workspace, drop, take):
    drop("good.csv", 1)
    first = look(workspace, SensorState(), moment=1e9)
    soon = look(workspace, first.state, fate="lasting", moment=1e9 + 1.0)
    assert (soon.request, soon.state) == (None, first.state)
    assert soon.why == "the run failed before it had read 1 logs; attempt 2 in 5 min"
    second = look(workspace, soon.state, fate="lasting", moment=1e9 + pause(1) + 1.0)
    assert second.request.run_key == first.request.run_key.removesuffix("-1") + "-2"
    take()
    over = look(workspace, second.state, fate="lasting", moment=3e9)
    assert (over.request, over.why) == (None, "the run for these logs failed permanently")


def test_run_with_a_permanent_failure_is_requested_after_a_change(workspace, drop, take):
    drop("a.csv", 1)
    first = look(workspace, SensorState(), moment=1e9)
    take()
    refused = look(workspace, first.state, fate="lasting", moment=2e9)
    assert (refused.request, refused.why) == (None, "the run for these logs failed permanently")
    assert look(workspace, refused.state, moment=3e9).request is None
    drop("b.csv", 2)
    assert look(workspace, refused.state, moment=3e9).request is not None


def test_logs_below_the_threshold_run_to_the_dataset(workspace, drop):
    drop("a.csv", 1)
    three = {"retrain.after_new_recordings": 3}
    call = look(workspace, SensorState(), **three)
    selected = [key.path[1] for key in call.request.asset_selection]
    assert selected == ["recordings", "episodes", "dataset"]
    requested = look(workspace, call.state, **three).state  # that run has ended
    members = workspace.home.store / "members" / TASK
    members.mkdir(parents=True)
    for name in "ab":
        (members / f"{name}.json").write_text("{}")
    assert look(workspace, requested, **three).request is None
    (members / "c.json").write_text("{}")
    whole = look(workspace, requested, **three)
    assert whole.request.asset_selection is None
    assert whole.state.trained == 3
    assert look(workspace, look(workspace, whole.state, **three).state, **three).request is None


@pytest.fixture
def opened(monkeypatch):
    """Names of the logs that are opened, and how many bytes of them are read."""
    names, original = [], builtins.open

    def recorded(file, *arguments, **more):
        if str(file).endswith(".csv"):
            names.append(Path(file).name)
        return original(file, *arguments, **more)

    monkeypatch.setattr(builtins, "open", recorded)
    monkeypatch.setattr("io.open", recorded)
    return names


def test_tick_opens_each_new_log_once(workspace, drop, opened):
    for number in range(20):
        drop(f"{number}.csv", number)
    opened.clear()  # of the writing
    call = look(workspace, SensorState())
    assert sorted(opened) == sorted(f"{number}.csv" for number in range(20))
    drop("new.csv", "new")
    opened.clear()
    observed = look(workspace, call.state).state
    assert opened == ["new.csv"]
    opened.clear()
    look(workspace, observed)
    assert opened == []


def test_large_log_is_hashed_in_part_and_its_copy_requests_no_run(workspace, drop, monkeypatch):
    monkeypatch.setattr(arrived_logs, "WHOLE", 100)
    monkeypatch.setattr(arrived_logs, "_BLOCK", 4)
    monkeypatch.setattr(arrived_logs, "file_digest", lambda path: pytest.fail(f"read {path}"))
    task, folder = load_task(TASK, {"ingest.min_file_age": 0}), workspace.home.logs(TASK)
    path = folder / "a.csv"
    path.write_text("timestamp,x\n" + "".join(f"{n},{n}\n" for n in range(200)))
    assert len(arrived_logs.find_new_logs(task, workspace.home, folder).ids) == 1
    time.sleep(1.1)  # what has only just changed is not kept as read
    ingest.run(task, workspace.home, folder)
    assert arrived_logs.find_new_logs(task, workspace.home, folder) == (frozenset(), False, True)
    (folder / "copy.csv").write_bytes(path.read_bytes())
    assert arrived_logs.find_new_logs(task, workspace.home, folder).ids == frozenset()
    path.rename(folder / "renamed.csv")
    assert arrived_logs.find_new_logs(task, workspace.home, folder).ids == frozenset()
    other = (folder / "renamed.csv").read_text()
    (folder / "other.csv").write_text("T" + other[1:])  # of the same size
    assert len(arrived_logs.find_new_logs(task, workspace.home, folder).ids) == 1


def test_logs_beyond_the_time_of_a_tick_wait_for_the_next(workspace, drop, monkeypatch):
    for number in range(3):
        drop(f"{number}.csv", number)
    monkeypatch.setattr(arrived_logs, "_PER_TICK", 1)
    whys = [look(workspace, SensorState()).why for _ in range(4)]
    assert whys == ["still scanning new files"] * 2 + ["3 new logs"] * 2


def tick(instance, state=None):
    home = Home.resolve()
    return next_run(load_task(TASK), home, state or SensorState(), runs_of(instance, TASK))


def test_sensor_reads_the_status_of_its_run_from_dagster(workspace, drop, take):
    drop("a.csv", 1)
    job = chain_job(load_task(TASK))
    with dg.DagsterInstance.ephemeral() as instance:
        requested = tick(instance)
        request = requested.request
        tags = {RUN_KEY: request.run_key, "kinemill/task": TASK}
        run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
        fate = runs_of(instance, TASK).fate
        assert (runs_of(instance, TASK).going(), fate(request.run_key)) == (True, "going")
        assert tick(instance, requested.state).why == "its run is in progress"
        instance.report_run_failed(run)
        assert fate(request.run_key) == "passing"
        assert "attempt 2 in 5 min" in tick(instance, requested.state).why
        instance.add_run_tags(run.run_id, {FAULT: "lasting"})
        assert fate(request.run_key) == "lasting"
        assert "before it had read 1 logs" in tick(instance, requested.state).why
        take()
        closed = tick(instance, requested.state)
        assert not closed.state.pending
        assert (runs_of(instance, TASK).going(), fate("never made")) == (False, "ended")


@pytest.mark.usefixtures("no_expectations")
def test_good_logs_among_bad_files_request_a_run(workspace, drop, logs):
    folder = workspace.home.logs(TASK)
    drop("l" * 251 + ".csv", 1)
    for path in logs.glob("*000[0-4]*.csv"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / os.fsdecode(b"bad\xff.csv")).write_text(LOG.format(2))
    (folder / "self.csv").symlink_to("self.csv")
    os.mkfifo(folder / "pipe.csv")
    job = chain_job(load_task(TASK))
    with dg.DagsterInstance.ephemeral() as instance:
        request = tick(instance).request
        selected = [dg.AssetKey([TASK, "recordings"]), dg.AssetKey([TASK, "episodes"])]
        done = job.execute_in_process(
            instance=instance, tags={RUN_KEY: request.run_key}, asset_selection=selected
        )
        (event,) = done.asset_materializations_for_node(f"{TASK}__recordings")
        displayed = json.dumps(
            [[record.data for record in event.metadata[key].records] for key in ("ignored",)]
        )
    assert done.success
    assert all(name in displayed for name in ("self.csv", "pipe.csv"))
    names = {path.name for path in (workspace.home.store / "members" / TASK).glob("*.json")}
    contents = {path.read_bytes() for path in folder.glob("run*.csv")}
    assert len(names) == 2 + len(contents)


def test_logs_used_by_an_in_process_run_request_no_run(copy):
    folder = copy.home.logs(TASK)
    with open_instance(copy.home) as instance:
        first = tick(instance)
        assert first.request is None
        assert first.state.trained == len({path.read_bytes() for path in folder.iterdir()})
        again = tick(instance, first.state)  # and it looks no more
        assert (again.request, again.why, again.state) == (None, "no new logs", first.state)
        new = folder / "new.csv"
        new.write_text(LOG.format(7))
        os.utime(new, (time.time() - 10.0,) * 2)
        second = tick(instance, first.state)
        assert second.request is not None
        assert second.state.pending


def test_changed_task_file_starts_a_run_only_if_the_task_asks_for_it(copy):
    existing = look(copy, SensorState())
    assert (existing.request, existing.why) == (None, "another run has used these logs")
    changed = {"learn.steps": 7}
    for state in (existing.state, SensorState()):
        assert look(copy, state, **changed).request is None
        asked = look(copy, state, **changed, **{"retrain.on_task_change": True})
        assert (asked.request is not None, asked.why) == (True, "the task file changed")


def test_in_process_run_resets_the_threshold(copy):
    three = {"retrain.after_new_recordings": 3}
    note(copy.home, LATEST, TASK, "rules", rules_of(load_task(TASK, three)))
    existing = look(copy, SensorState(), **three)
    assert existing.request is None
    assert look(copy, existing.state, **three).request is None
