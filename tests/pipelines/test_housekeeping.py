"""Keeping a home on which the chain ran: room, backups, and what is told of it."""

import os
import sqlite3
import time
from contextlib import closing

import dagster as dg
import pytest

from kinemill.maintenance.backups import back_up
from kinemill.maintenance.gc import Limits, collect
from kinemill.maintenance.restore import restore
from kinemill.register import fetch_bundle
from kinemill.register.lineage import recordings_of
from kinemill.runtime import load
from kinemill.store import get_or_build, publish_json
from kinemill.store.home import Home
from kinemill.task.protocols import NullReporter
from kinemill.tracking import open_tracking
from kinemill_dagster.pipelines.housekeeping import orchestrator
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.pipelines.run import run_chain
from kinemill_dagster.resources.io import latest
from tests.pipelines.conftest import TASK

pytestmark = pytest.mark.e2e
DAY = 86400.0


def gc(home, **expected):
    with orchestrator(home) as runs:
        return collect(home, Limits(**expected), runs, NullReporter())


def a_run(home, status, age=0.0, run_id="0" * 32):
    """Note a run that Dagster knows of and nothing was made in, and a reference of it."""
    with open_instance(home) as instance:
        run = dg.DagsterRun(job_name=TASK, run_id=run_id, status=dg.DagsterRunStatus.NOT_STARTED)
        instance.add_run(run)
        with closing(sqlite3.connect(home.dagster / "history" / "runs.db")) as database, database:
            made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - age))
            database.execute(
                "UPDATE runs SET status = ?, create_timestamp = ?, update_timestamp = ?, "
                "end_time = ? WHERE run_id = ?",
                (status.value, made, made, time.time() - age, run_id),
            )
    publish_json(home.dagster / "refs" / "runs" / run_id / TASK / "known.note.json", 0)


@pytest.mark.ci
def test_collection_keeps_the_champion_its_data_and_the_cache_of_the_next_run(copy):
    home = copy.home
    result = gc(home, unused=0.0, logs=0.0)
    assert {item["kind"] for item in result["gone"]} <= {"piece", "training log"}
    why = {item["name"]: item["why"] for item in result["kept"]}
    for asset in ("dataset", "model", "verification", "training_set", "episodes", "recordings"):
        assert why[latest(home, TASK, asset).path] == f"{TASK} version 1, champion"
    assert run_chain(TASK).status == "unchanged"
    assert recordings_of(home, TASK)["total"] >= 4
    assert load(fetch_bundle(f"models:/{TASK}@champion", home)).interface.task == TASK


def test_collection_deletes_old_runs_but_those_of_the_latest_artifacts(copy):
    home = copy.home
    a_run(home, dg.DagsterRunStatus.SUCCESS, 40 * DAY)
    previous = {path.name for path in (home.dagster / "refs" / "runs").iterdir()}
    result = gc(home, logs=30.0)
    assert [item["name"] for item in result["gone"] if item["kind"] == "run"] == ["0" * 32]
    assert {path.name for path in (home.dagster / "refs" / "runs").iterdir()} == previous - {
        "0" * 32
    }
    with open_instance(home) as instance:
        assert instance.get_run_by_id("0" * 32) is None
        key = dg.AssetKey([TASK, "registered_model"])
        assert instance.get_latest_materialization_event(key) is not None


def test_collection_keeps_artifacts_used_since_a_live_run_began(copy):
    home = copy.home
    unused = get_or_build(home, "page", TASK, {}, lambda folder: {}).ref
    os.utime(home.root / unused.path, (time.time() - 5 * DAY,) * 2)
    a_run(home, dg.DagsterRunStatus.STARTED, 6 * DAY)
    kinds = {item["kind"] for item in gc(home, unused=0.0, dry=True)["gone"]}
    assert "page" not in kinds
    with open_instance(home) as instance:
        instance.delete_run("0" * 32)
    kinds = {item["kind"] for item in gc(home, unused=0.0, dry=True)["gone"]}
    assert "page" in kinds


@pytest.mark.ci
def test_restored_home_has_its_champion_and_its_run_is_unchanged(copy, tmp_path, monkeypatch):
    back_up(copy.home, tmp_path / "pool", NullReporter())
    there = Home(tmp_path / "elsewhere")
    restore(there, tmp_path / "pool", NullReporter())
    copy.home.root.rename(tmp_path / "gone")  # nothing may reach back
    monkeypatch.setenv("KINEMILL_HOME", str(there.root))
    assert run_chain(TASK).status == "unchanged"
    assert load(fetch_bundle(f"models:/{TASK}@champion", there)).interface.task == TASK
    client = open_tracking(there).client
    assert int(client.get_model_version_by_alias(TASK, "champion").version) == 1
    with open_instance(there) as instance:
        assert len(instance.get_runs()) == 2
