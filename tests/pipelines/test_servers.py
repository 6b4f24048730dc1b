"""The real webserver, daemon and MLflow pages, as `kinemill ui` starts them, on a home that ran."""

import json
import shutil
import signal
import urllib.request

import pytest

from kinemill_dagster.assets import CHAIN
from kinemill_dagster.resources.processes import living
from tests.pipelines.conftest import TASK
from tests.pipelines.serving import REPOSITORY, serve_copy
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
NODES = """
query($g: AssetGroupSelector!) { assetNodes(group: $g) {
  assetKey { path } staleStatus dataVersion
  assetMaterializations(limit: 1) { metadataEntries { label } } } }
"""
TICKS = """
query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) {
  ... on Sensor { sensorState { ticks(limit: 1) { status } } } } }
"""


@pytest.fixture(scope="module")
def served(first_run, tmp_path_factory):
    """`kinemill ui` on a copy of the home on which the chain ran."""
    with serve_copy(first_run[0], tmp_path_factory.mktemp("served")) as active:
        yield active


def champion(served):
    """The version that MLflow's own pages name champion."""
    url = f"{served.urls['MLflow']}/api/2.0/mlflow/registered-models/alias"
    with urllib.request.urlopen(f"{url}?name={TASK}&alias=champion", timeout=30) as response:
        return int(json.load(response)["model_version"]["version"])


@pytest.fixture(scope="module")
def arrived(served):
    """One log more in the drop folder: the runs that the sensor started."""

    def done(count):
        runs = [run for run in served.runs() if is_sensed(run)]
        return runs if len(runs) == count and all(r["status"] in ENDED for r in runs) else None

    selector = {**REPOSITORY, "sensorName": "retraining"}
    until(lambda: served.ask(TICKS, s=selector)["sensorOrError"]["sensorState"]["ticks"], "a tick")
    assert done(0) == []  # the chain has used the logs that were there
    from kinemill.control.sim import write_logs

    aside = served.workspace.tasks.parent / "more"
    write_logs(aside, "cart_pole", episodes=6, seconds=3.0, workers=1)
    target = served.workspace.home.logs(TASK) / "run-0005.csv"
    shutil.copy(aside / target.name, target.with_suffix(".part"))
    target.with_suffix(".part").rename(target)
    return until(lambda: done(1), "the run for the log that arrived")


def is_sensed(run):
    return any(tag["key"] == "dagster/run_key" for tag in run["tags"])


def test_sensor_starts_a_run_for_new_logs_alone(served, arrived):
    assert [run["status"] for run in arrived] == ["SUCCESS"]
    assert champion(served) == 2


def test_chain_launched_over_graphql_succeeds_and_is_fresh(served, arrived):
    previous = _versions(served)
    run = served.launch()
    until(lambda: served.status(run) in ENDED, "the launched run")
    assert served.status(run) == "SUCCESS"
    assert _versions(served) == previous
    assert set(previous) == set(CHAIN.values())
    assert {stale for stale, _ in previous.values()} == {"FRESH"}
    assert champion(served) == 2


def _versions(served):
    nodes = served.ask(NODES, g={**REPOSITORY, "groupName": TASK})["assetNodes"]
    return {
        node["assetKey"]["path"][1]: (node["staleStatus"], node["dataVersion"])
        for node in nodes
        if node["assetKey"]["path"][1] in CHAIN.values()
    }


def test_ctrl_c_ends_every_process(served):
    family = served.family()
    assert len(family) >= 4  # webserver, its code server, daemon, MLflow, and more
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(timeout=180) == 130
    assert living(family) == []
