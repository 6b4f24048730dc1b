"""What the age of a champion asks for: a training, where logs came since it was trained."""

import time

import dagster as dg
import pytest

from kinemill.errors import TaskError
from kinemill.register import tags
from kinemill.register.age import champion_term
from kinemill.store import publish_json
from kinemill.task import load_task
from kinemill.tracking import open_tracking
from kinemill_dagster.pipelines.chain import definitions_of
from kinemill_dagster.pipelines.staleness_sensor import ages, next_training
from kinemill_dagster.resources.tags import OWNER, PRIORITY, WHY
from tests.pipelines.conftest import TASK

DAY = 86400.0
MONTH = {"retrain.max_age": "30 days"}


@pytest.fixture
def champion(workspace, empty_database):
    """A champion, version 1, of dataset `old`, registered now."""
    workspace.home.root.mkdir(parents=True)
    workspace.home.mlflow_db.write_bytes(empty_database.read_bytes())
    client = open_tracking(workspace.home).client
    client.create_registered_model(TASK)
    source = (workspace.home.artifacts / "model").as_uri()
    client.create_model_version(TASK, source, tags={tags.DATASET: "old"})
    client.set_registered_model_alias(TASK, "champion", "1")
    return champion_term(workspace.home, TASK)


@pytest.fixture
def dataset(workspace):
    """Say which dataset the chain made last."""

    def made(digest):
        file = workspace.home.dagster / "refs" / "latest" / TASK / "dataset.json"
        publish_json(file, {"path": f"store/dataset/{digest}", "digest": digest})

    return made


def look(workspace, days, **overrides):
    task = load_task(TASK, {**MONTH, **overrides})
    return next_training(task, workspace.home, time.time() + days * DAY)


def test_the_registry_says_who_reigns_since_when_and_from_what(workspace, champion):
    assert (champion.version, champion.dataset) == (1, "old")
    assert abs(champion.since - time.time()) < 60.0
    assert champion_term(workspace.home, "another_task") is None


def test_an_old_champion_is_trained_again_once_for_the_logs_that_came(workspace, champion, dataset):
    dataset("new")
    request = look(workspace, 31)
    assert request.run_key == f"{TASK}-age-1-new"
    assert request.tags[WHY] == "champion version 1 is 31.0 days old"
    assert (request.tags[OWNER], request.tags[PRIORITY]) == ("kinemill", "-1")
    assert look(workspace, 40).run_key == request.run_key  # which Dagster starts once


@pytest.mark.parametrize(
    ("days", "made", "why"),
    [
        (29, "new", "champion version 1 is 29.0 days old, of 30"),
        (31, "old", "champion version 1 is 31.0 days old, but there are no new logs"),
        (31, None, "champion version 1 is 31.0 days old, but there are no new logs"),
    ],
)
def test_a_young_one_or_one_that_knows_all_logs_stays(
    workspace, champion, dataset, days, made, why
):
    if made:
        dataset(made)
    assert look(workspace, days).skip_message == why


def test_without_a_champion_or_switched_off_nothing_is_asked_for(workspace):
    assert look(workspace, 99).skip_message == f"{TASK} has no champion yet"
    off = look(workspace, 99, **{"retrain.max_age": None})
    assert off.skip_message == "retrain.max_age is off"


@pytest.mark.parametrize(
    ("spelled", "seconds"),
    [
        ("30 days", 30 * DAY),
        ("1 day", DAY),
        ("12 hours", DAY / 2),
        ("2 weeks", 14 * DAY),
        (60, 60.0),
    ],
)
def test_ages_are_spelled_with_their_unit(workspace, spelled, seconds):
    assert load_task(TASK, {"retrain.max_age": spelled}).retrain.max_age == seconds


@pytest.mark.parametrize("spelled", ["a month", "30 fortnights", 0, -1])
def test_other_ages_are_refused(workspace, spelled):
    with pytest.raises(TaskError, match=r"retrain\.max_age"):
        load_task(TASK, {"retrain.max_age": spelled})


def watchers(**overrides):
    defs = definitions_of([load_task(TASK, overrides)])
    names = {sensor.name for sensor in defs.sensors or []}
    names |= {schedule.name for schedule in defs.schedules or []}
    return {name.removeprefix(f"{TASK}_") for name in names if name.startswith(TASK)}


def test_a_task_switches_each_of_them_on_and_off(workspace):
    assert watchers() == {"arrivals", "drift"}
    assert watchers(**{"retrain.on_arrival": False}) == {"drift"}
    assert watchers(**{"retrain.on_drift": False}) == {"arrivals"}
    every = watchers(**MONTH, **{"retrain.cron": "0 3 * * *"})
    assert every == {"arrivals", "drift", "age", "nightly"}


def test_a_run_under_way_is_waited_for(workspace, champion, dataset, monkeypatch):
    dataset("new")
    task = load_task(TASK, {"retrain.max_age": 1e-6})
    job = definitions_of([task]).resolve_job_def(TASK)
    monkeypatch.setattr("kinemill_dagster.pipelines.staleness_sensor.load_task", lambda _: task)
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        with dg.build_sensor_context(instance=instance) as context:
            assert "current run" in ages(task)(context).skip_message
            instance.report_run_canceled(run)
            assert ages(task)(context).run_key == f"{TASK}-age-1-new"
