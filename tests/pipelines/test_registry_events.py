"""Events of the registry on the champion asset."""

import platform

import dagster as dg
import pytest

from kinemill.register.audit_log import MOVED, Event, append_event, append_status
from kinemill.tracking import open_tracking, runs, start_run
from kinemill_dagster.pipelines.registry_events import new_events, registry_events

EVENTS = [("champion", 1, None), ("champion", 2, 1), ("refused", 3, 2), ("rolled back", 1, 2)]


@pytest.fixture(autouse=True)
def served(monkeypatch):
    monkeypatch.setenv("KINEMILL_DAGSTER_URL", "http://127.0.0.1:3000")


def write_log(home, task, events):
    for what, version, previous in events:
        append_event(home, task, Event("2026-03-01", "ada", what, version, previous, "because"))


def read_new(home, champion, reported):
    return list(new_events(home, "arm", champion, reported))


@pytest.fixture
def registered(tracked_home):
    """Return a home with version 1 and 2 of `arm` in MLflow, as another client makes them."""
    client = open_tracking(tracked_home).client
    client.create_registered_model("arm")
    for number in ("1", "2"):
        client.create_model_version("arm", source=f"s3://models/{number}")
    return tracked_home


def test_event_is_reported_once_with_the_champion_after_it(home):
    write_log(home, "arm", EVENTS[:3])
    reported = {}
    first = read_new(home, 2, reported)
    assert [one.metadata["event"].value for one in first] == ["champion", "champion", "refused"]
    assert [one.tags["dagster/data_version"] for one in first] == ["1", "2", "2"]
    assert {one.asset_key for one in first} == {dg.AssetKey(["arm", "champion"])}
    assert first[2].metadata["page"].value == "/kinemill/tasks/arm/3"
    assert first[2].metadata["user"].value == "ada"
    assert read_new(home, 2, reported) == []
    write_log(home, "arm", EVENTS[3:])
    (rolled_back,) = read_new(home, 1, reported)
    assert rolled_back.description == "rolled back: version 1"


def test_champion_moved_in_mlflow_is_reported_once(registered, monkeypatch):
    client = open_tracking(registered).client
    sensor, cursor = registry_events(["arm", "leg"]), None
    for number in ("1", "2", None):
        if number:
            client.set_registered_model_alias("arm", "champion", number)
        else:
            client.delete_registered_model_alias("arm", "champion")
        with dg.build_sensor_context(cursor=cursor) as context:
            result = sensor(context)
        (event,) = result.asset_events
        assert event.description == f"{MOVED}: version {number or 'none'}"
        assert event.tags["dagster/data_version"] == str(number)
        cursor = result.cursor
        with dg.build_sensor_context(cursor=cursor) as context:
            assert isinstance(sensor(context), dg.SkipReason)


def test_interrupted_decision_is_closed_and_reported(registered):
    client = open_tracking(registered).client
    client.set_registered_model_alias("arm", "champion", "1")
    write_log(registered, "arm", EVENTS[:1])
    append_event(registered, "arm", Event("", "ada", "promoted", 2, 1, "because", "open"))
    events = list(new_events(registered, "arm", 1, {}))
    assert [event.metadata["event"].value for event in events] == [
        "champion",
        "promoted (interrupted)",
    ]
    append_event(registered, "arm", Event("", "ada", "promoted", 2, 1, "because", "open"))
    append_status(registered, "arm", "done")
    assert events[-1].metadata["champion"].value == 1


def test_damaged_audit_log_does_not_hide_other_tasks(registered, monkeypatch):
    client = open_tracking(registered).client
    client.create_registered_model("leg")
    client.create_model_version("leg", source="s3://models/3")
    client.set_registered_model_alias("leg", "champion", "1")
    write_log(registered, "arm", EVENTS[:1])
    (registered.audit_logs / "arm" / "000001.json").write_text("{}")
    with dg.build_sensor_context() as context:
        result = registry_events(["arm", "leg"])(context)
    assert [event.asset_key.path[0] for event in result.asset_events] == ["leg"]


def test_mlflow_run_of_a_dead_process_is_ended(tracked_home, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_owner", lambda: f"{platform.node()}:{2**22 + 1}:0")
        dead = start_run(tracked_home, "arm", "key")
    live = start_run(tracked_home, "arm", "other")
    with dg.build_sensor_context() as context:
        registry_events(["arm"])(context)
    client = open_tracking(tracked_home).client
    assert [client.get_run(run).info.status for run in (dead, live)] == ["KILLED", "RUNNING"]
