"""The automation sensor: one run per task and request, with the reason on Dagster's pages."""

import os
import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from kinemill.store import ArtifactRef, publish_json
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill_dagster.assets import stages_of
from kinemill_dagster.pipelines.automation.sensor import automation_sensors
from kinemill_dagster.pipelines.automation.tick import open_tick
from kinemill_dagster.pipelines.chain import definitions_of
from kinemill_dagster.pipelines.instance import open_instance
from tests.pipelines.conftest import TINY

LOG = "timestamp,qpos_cart,qpos_pole,qvel_cart,qvel_pole,ctrl_cart\n0.0,0,0,0,0,{}\n"


class Evaluations:
    """Evaluations of the automation sensor of some tasks, one after the other."""

    def __init__(self, tasks):
        self.repository = definitions_of(tasks).get_repository_def()
        self.instance, self.cursor = dg.DagsterInstance.ephemeral(), None

    def tick(self):
        sensor = self.repository.get_sensor_def("automation")
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=self.repository
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
        return data


@pytest.fixture
def robots(workspace, tmp_path, monkeypatch):
    """Three tasks: `two` runs on schedule, and `three` starts from the champion of `one`."""
    folder = tmp_path / "robots"
    folder.mkdir()
    texts = {
        "one": TINY,
        "two": TINY.replace("retrain: {cron: null}", "retrain: {cron: '0 3 * * *'}"),
        "three": TINY.replace(
            "  history: 3\n", "  history: 3\n  start_from: models:/one@champion\n"
        ),
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text.replace("task: tiny", f"task: {name}"))
    monkeypatch.setenv("KINEMILL_TASKS", str(folder))
    return [load_task(name) for name in texts]


def drop(task, name="a.csv", content=1):
    folder = Home.resolve().logs(task)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(LOG.format(content))
    os.utime(path, (time.time() - 10.0,) * 2)


def test_each_task_gets_a_run_of_its_own_with_tags_and_reason(robots):
    evaluations = Evaluations(robots)
    assert evaluations.tick().run_requests == []
    drop("one")
    drop("three")
    data = evaluations.tick()
    assert [one.tags["kinemill/task"] for one in data.run_requests] == ["one", "three"]
    assert all(one.tags["kinemill/why"] == "1 new logs" for one in data.run_requests)
    for request, task in zip(data.run_requests, (robots[0], robots[2]), strict=True):
        keys = [dg.AssetKey([task.name, asset]) for asset in stages_of(task).values()]
        assert request.asset_selection == keys
        assert request.run_key.startswith(f"{task.name}-")
    assert [event.asset_key.path for event in data.asset_events] == [
        ["one", "logs"],
        ["three", "logs"],
    ]
    again = evaluations.tick()
    assert again.run_requests == []
    assert "one: no new logs" in again.skip_message


def test_the_pages_get_an_evaluation_of_the_condition_that_was_true(robots):
    evaluations = Evaluations(robots)
    evaluations.tick()
    drop("one")
    (displayed,) = [
        one
        for one in evaluations.tick().automation_condition_evaluations
        if one.key == dg.AssetKey(["one", "recordings"])
    ]
    assert displayed.true_subset.size == 1
    assert "NewLogs" in str(displayed.condition_snapshot.name) + str(displayed.child_evaluations)


def test_a_new_champion_upstream_starts_the_task_that_starts_from_it(robots):
    evaluations = Evaluations(robots)
    evaluations.tick()
    champion = dg.AssetKey(["one", "champion"])
    names = []
    for version in ("1", "2", "2"):
        event = dg.AssetMaterialization(champion, tags={"dagster/data_version": version})
        evaluations.instance.report_runless_asset_event(event)
        names.append([one.tags["kinemill/task"] for one in evaluations.tick().run_requests])
        names.append([one.tags["kinemill/task"] for one in evaluations.tick().run_requests])
    assert names == [["three"], [], ["three"], [], [], []]
    model = evaluations.repository.asset_graph.get(dg.AssetKey(["three", "model"]))
    assert champion in model.parent_keys


def test_the_schedule_starts_a_task_that_has_recordings(robots):
    defs, instance = definitions_of(robots), dg.DagsterInstance.ephemeral()
    recordings = dg.AssetKey(["two", "recordings"])
    evening = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
    cursor, requested = None, []
    for hours, has_recordings in ((0, False), (6, False), (30, True), (31, True)):
        if has_recordings:
            publish_ref(Home.resolve(), "two", "recordings")
        with open_tick(instance):
            result = dg.evaluate_automation_conditions(
                defs, instance, cursor=cursor, evaluation_time=evening + timedelta(hours=hours)
            )
        cursor = result.cursor
        requested.append(result.get_num_requested(recordings))
    assert requested == [0, 0, 1, 0]


def publish_ref(home, task, asset):
    file = home.dagster / "refs" / "latest" / task / f"{asset}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    publish_json(file, ArtifactRef("0" * 64, "store/x").to_json())


def test_the_threshold_runs_to_the_dataset_first(robots):
    file = robots[0].path
    file.write_text(
        file.read_text().replace("{cron: null}", "{cron: null, after_new_recordings: 5}")
    )
    evaluations = Evaluations([load_task("one")])
    evaluations.tick()
    drop("one")
    (request,) = evaluations.tick().run_requests
    assert [key.path[1] for key in request.asset_selection] == ["recordings", "episodes", "dataset"]


def test_a_broken_task_file_stops_no_other_task(robots):
    evaluations = Evaluations(robots)
    evaluations.tick()
    robots[0].path.write_text("task: one\ndt: -1\n")
    drop("three")
    (request,) = evaluations.tick().run_requests
    assert request.tags["kinemill/task"] == "three"


def test_two_hundred_tasks_have_one_sensor(robots):
    tasks = [robots[0].model_copy(update={"name": f"robot_{number}"}) for number in range(201)]
    first, second = automation_sensors(tasks)
    assert (first.name, second.name) == ("automation", "automation_2")
    assert first.minimum_interval_seconds == 10
    assert automation_sensors(tasks[:10])[0].minimum_interval_seconds == 5


def test_ticks_of_a_server_share_one_instance(robots, monkeypatch):
    """Opening one reads all migrations of three databases, which costs more than an idle tick."""
    opened, from_ref = [], dg.DagsterInstance.from_ref
    repository = definitions_of(robots).get_repository_def()
    sensor, results = repository.get_sensor_def("automation"), []
    with open_instance(Home.resolve()) as instance:
        count = lambda ref: opened.append(ref) or from_ref(ref)  # noqa: E731
        monkeypatch.setattr(dg.DagsterInstance, "from_ref", count)
        for _ in range(3):
            with dg.build_sensor_context(
                instance_ref=instance.get_ref(), repository_def=repository, sensor_name="automation"
            ) as context:
                results.append(sensor.evaluate_tick(context))
            drop("one")
    assert [len(one.run_requests) for one in results] == [0, 1, 1]
    assert len(opened) == 1
