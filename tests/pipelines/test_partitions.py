"""Partitions of recordings and episodes in Dagster: status, backfill, automation, same dataset."""

import os
import shutil
import signal
import subprocess
import sys
import time

import dagster as dg
import pytest

from kinemill.errors import BadInput
from kinemill.ingest import partitions
from kinemill.ingest.membership import members
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.validate import evaluation
from kinemill_dagster.pipelines.chain import chain_job, definitions_of
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.pipelines.run import make_until
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.run_coordinator import OwnedRunCoordinator
from kinemill_dagster.resources.tags import RANGE_END, RANGE_START
from tests.conftest import ROOT, leave_out_expectations
from tests.dagster_internals import StaleStatus, stale_status
from tests.pipelines.automation.ticks import Ticks
from tests.pipelines.conftest import TASK, TINY, Workspace

pytestmark = pytest.mark.usefixtures("no_expectations")
PARTITIONED = TINY.replace(
    "{time: timestamp, min_file_age: 0}",
    "{time: timestamp, min_file_age: 0, partition_by: robot, meta: {name: '(?P<robot>[a-z]+)/'}}",
)
SETS = {
    "left": ["run-0000.csv", "run-0001.csv"],
    "right": ["run-0002.csv", "run-0003.csv", "broken-truncated.csv"],
    "": ["run-0004.csv"],
}


def place(folder, text=None):
    """Return the home and the tasks of a folder; `text` is that of a new task."""
    if text is not None:
        (folder / "tasks").mkdir()
        (folder / "tasks" / f"{TASK}.yaml").write_text(text)
    return Workspace(Home(folder / "home"), folder / "tasks")


def fill(logs):
    for robot, names in SETS.items():
        for name in names:
            drop(logs / name, robot)


@pytest.fixture
def robots(tmp_path, monkeypatch, logs):
    """The home of a task with partitions; `left` and `right` are robots, one log has none."""
    made = place(tmp_path, PARTITIONED)
    made.enter(monkeypatch)
    fill(logs)
    return made.home


@pytest.fixture(scope="module")
def finished(tmp_path_factory, logs):
    """The robots after a run over all partitions, and the dataset; nobody may change them."""
    made = place(tmp_path_factory.mktemp("partitions"), PARTITIONED)
    with pytest.MonkeyPatch.context() as patch:
        made.enter(patch)
        leave_out_expectations(patch)
        fill(logs)
        return made, make_until("dataset", TASK, {})


@pytest.fixture
def dataset(finished):
    """The dataset of a run over all partitions."""
    return finished[1]


@pytest.fixture
def copied(finished, tmp_path, monkeypatch):
    """A copy of the home after a run over all partitions."""
    shutil.copytree(finished[0].tasks.parent, tmp_path / "copy")
    made = place(tmp_path / "copy")
    made.enter(monkeypatch)
    return made.home


def drop(log, robot):
    folder = Home.resolve().logs(TASK) / robot
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / log.name
    shutil.copy(log, path)
    os.utime(path, (time.time() - 10.0,) * 2)


def run_partition(key, assets=("recordings", "episodes")):
    """Run one partition, as a backfill of Dagster does."""
    with open_instance(Home.resolve()) as instance:
        instance.add_dynamic_partitions(f"{TASK}_robot", [key])
        job = chain_job(load_task(TASK))
        keys = [dg.AssetKey([TASK, asset]) for asset in assets]
        return job.execute_in_process(instance=instance, asset_selection=keys, partition_key=key)


def displayed(asset):
    """Return number of materializations, and data version, by partition, as Dagster's pages do."""
    with open_instance(Home.resolve()) as instance:
        expected = dg.AssetRecordsFilter(dg.AssetKey([TASK, asset]))
        records = instance.fetch_materializations(expected, limit=100).records
        events = [record.asset_materialization for record in reversed(records)]
        assert instance.get_materialized_partitions(dg.AssetKey([TASK, asset])) == {
            event.partition for event in events
        }
    versions = {}
    for event in events:
        count, _ = versions.get(event.partition, (0, ""))
        versions[event.partition] = (count + 1, event.tags["dagster/data_version"])
    return versions


def counts(asset, key):
    """Return the metadata of the latest materialization of a partition."""
    with open_instance(Home.resolve()) as instance:
        expected = dg.AssetRecordsFilter(dg.AssetKey([TASK, asset]), asset_partitions=[key])
        (record,) = instance.fetch_materializations(expected, limit=1).records
        return {key: entry.value for key, entry in record.asset_materialization.metadata.items()}


def stale():
    """Return the assets and partitions up to the dataset that the pages do not show as fresh."""
    graph = definitions_of([load_task(TASK)]).resolve_asset_graph()
    with open_instance(Home.resolve()) as instance:
        keys = instance.get_dynamic_partitions(f"{TASK}_robot")
        shown_on_pages = [("dataset", None)]
        shown_on_pages += [(asset, key) for asset in ("recordings", "episodes") for key in keys]
        return [
            (asset, key)
            for asset, key in shown_on_pages
            if stale_status(instance, graph, dg.AssetKey([TASK, asset]), key) != StaleStatus.FRESH
        ]


def test_run_over_all_partitions_gives_each_a_status(copied):
    for asset in ("recordings", "episodes"):
        assert {key: count for key, (count, _) in displayed(asset).items()} == {
            "left": 1,
            "right": 1,
            "unknown": 1,
        }
    assert not stale()
    assert counts("recordings", "left")["recordings"] == 2
    assert counts("episodes", "unknown")["recordings"] == 1
    assert counts("episodes", "left")["episodes"] >= 2


def test_dataset_without_partitions_is_the_same(finished, dataset, tmp_path, monkeypatch):
    plain = place(tmp_path, PARTITIONED.replace(" partition_by: robot,", ""))
    shutil.copytree(finished[0].home.logs(TASK), plain.home.logs(TASK))
    plain.enter(monkeypatch)
    assert make_until("dataset", TASK, {}).digest == dataset.digest


@pytest.mark.ci
def test_unchanged_run_keeps_data_versions_and_a_new_log_changes_the_counts_of_its_partition(
    copied, dataset, logs
):
    versions = {key: version for key, (_, version) in displayed("episodes").items()}
    assert make_until("dataset", TASK, {}).digest == dataset.digest
    assert {key: version for key, (_, version) in displayed("episodes").items()} == versions
    drop(logs / "broken-nan-stretch.csv", "right")
    assert make_until("dataset", TASK, {}).digest != dataset.digest
    assert counts("recordings", "right")["recordings"] == 4
    assert counts("recordings", "left")["recordings"] == 2


def test_backfill_of_several_partitions_is_one_run(copied):
    with open_instance(copied) as instance:
        job = chain_job(load_task(TASK))
        keys = [dg.AssetKey([TASK, asset]) for asset in ("recordings", "episodes")]
        tags = {RANGE_START: "left", RANGE_END: "right"}
        result = job.execute_in_process(instance=instance, asset_selection=keys, tags=tags)
        assert result.success
        made = result.asset_materializations_for_node(f"{TASK}__episodes")
    assert sorted(event.partition for event in made) == ["left", "right"]
    graph = job.asset_layer.asset_graph
    policy = graph.get(dg.AssetKey([TASK, "episodes"])).backfill_policy
    assert policy == dg.BackfillPolicy.single_run()


@pytest.mark.ci
def test_backfill_of_a_partition_reads_no_other_and_the_dataset_joins_them(
    robots, dataset, monkeypatch
):
    evaluated = []
    original = evaluation.evaluate_recording
    monkeypatch.setattr(
        "kinemill.validate.evaluation.evaluate_recording",
        lambda task, home, recording, rules: (
            evaluated.append(recording.name),
            original(task, home, recording, rules),
        )[1],
    )
    assert run_partition("right").success
    assert set(displayed("recordings")) == set(displayed("episodes")) == {"right"}
    assert {member.name for member in members(robots, TASK).values()} == {
        f"right/{name}" for name in SETS["right"]
    }
    assert set(evaluated) == {f"right/{name}" for name in SETS["right"]}
    for key in ("left", "unknown"):
        assert run_partition(key).success
    with open_instance(robots) as instance:
        selection = [dg.AssetKey([TASK, "dataset"])]
        job = chain_job(load_task(TASK))
        assert job.execute_in_process(instance=instance, asset_selection=selection).success
    assert not stale()
    assert latest(robots, TASK, "dataset").digest == dataset.digest


def test_bad_log_of_a_partition_stops_no_other(copied):
    path = copied.logs(TASK) / "broken" / "bad.csv"
    path.parent.mkdir()
    path.write_text("timestamp,qpos_cart\n0,1\n")
    os.utime(path, (time.time() - 10.0,) * 2)
    assert run_partition("broken").success
    assert counts("episodes", "broken")["quarantined"] == 1
    assert "bad.csv" in str(counts("episodes", "broken")["reasons"])
    make_until("dataset", TASK, {})
    assert counts("episodes", "left")["quarantined"] == 0
    assert set(displayed("episodes")) == {"left", "right", "unknown", "broken"}


def test_too_many_partitions_fail_before_dagster_gets_any(robots, monkeypatch):
    monkeypatch.setattr(partitions, "MAX_KEYS", 2)
    with pytest.raises(BadInput, match=r"into 3 partitions.*at most 2"):
        make_until("dataset", TASK, {})
    with open_instance(robots) as instance:
        assert instance.get_dynamic_partitions(f"{TASK}_robot") == []


@pytest.mark.ci
def test_killed_run_is_continued_to_the_same_dataset(robots, dataset, tmp_path):
    # Importing the tests sets the folder of tasks.
    tasks = f"import os; os.environ['KINEMILL_TASKS'] = {str(tmp_path / 'tasks')!r}"
    script = f"from tests.pipelines.test_partitions import *; {tasks}; run_partition('right')"
    environment = {**os.environ, "KINEMILL_FAULT": "ingest.recorded:1"}
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert run_partition("right").success
    assert {key: count for key, (count, _) in displayed("recordings").items()} == {"right": 1}
    assert make_until("dataset", TASK, {}).digest == dataset.digest
    assert set(displayed("episodes")) == {"left", "right", "unknown"}


def test_new_logs_request_one_run_over_all_partitions(robots):
    ticks = Ticks([load_task(TASK)])
    (request,) = ticks.tick().run_requests
    assert request.partition_key is None  # the run reads all, see below
    assert ticks.tick().run_requests == []


def test_launched_run_without_a_partition_reads_all(robots):
    coordinator = OwnedRunCoordinator()
    with open_instance(robots) as instance:
        coordinator.register_instance(instance)
        job = chain_job(load_task(TASK))
        run = instance.create_run_for_job(job)
        tags = coordinator._task_tags(run, TASK)
        assert tags.items() >= {RANGE_START: "left", RANGE_END: "unknown"}.items()
        assert instance.get_dynamic_partitions(f"{TASK}_robot") == ["left", "right", "unknown"]


def test_downstream_assets_have_no_partitions_and_depend_on_all(robots):
    graph = definitions_of([load_task(TASK)]).resolve_asset_graph()
    partitioned = {
        key.path[1] for key in graph.get_all_asset_keys() if graph.get(key).is_partitioned
    }
    assert partitioned == {"recordings", "episodes"}
    dataset = graph.get(dg.AssetKey([TASK, "dataset"]))
    assert dg.AssetKey([TASK, "episodes"]) in dataset.parent_keys
