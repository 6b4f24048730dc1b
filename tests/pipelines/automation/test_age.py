"""An old champion requests a training if logs arrived since it was trained."""

import time
from datetime import datetime

import pytest

from kinemill.errors import TaskError
from kinemill.register import tags
from kinemill.register.versions import champion_of
from kinemill.store import publish_json
from kinemill.task import load_task
from kinemill.tracking import open_tracking
from kinemill_dagster.pipelines.automation.age import next_training
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
    return champion_of(workspace.home, TASK)


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


def test_champion_age_is_read_from_the_registry(workspace, champion):
    assert (champion.number, champion.tags[tags.DATASET]) == (1, "old")
    assert abs(datetime.fromisoformat(champion.created).timestamp() - time.time()) < 60.0
    assert champion_of(workspace.home, "another_task") is None


def test_old_champion_with_new_logs_requests_one_run(workspace, champion, dataset):
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
def test_young_champion_or_one_without_new_logs_requests_no_run(
    workspace, champion, dataset, days, made, why
):
    if made:
        dataset(made)
    assert look(workspace, days).skip_message == why


def test_missing_champion_or_disabled_age_requests_no_run(workspace):
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
def test_age_with_a_unit_is_parsed(workspace, spelled, seconds):
    assert load_task(TASK, {"retrain.max_age": spelled}).retrain.max_age == seconds


@pytest.mark.parametrize("spelled", ["a month", "30 fortnights", 0, -1])
def test_age_without_a_known_unit_is_refused(workspace, spelled):
    with pytest.raises(TaskError, match=r"retrain\.max_age"):
        load_task(TASK, {"retrain.max_age": spelled})
