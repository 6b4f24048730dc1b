"""Decisions of the registry as events of the champion asset."""

import json
from dataclasses import asdict

import dagster as dg
import pytest
from kinemill.register.ledger import Change, NewVersion, append

from kinemill.errors import CorruptArtifact
from kinemill.register import tags
from kinemill.register.alias_switch import Event
from kinemill.register.pulls import deployed, record_pull
from kinemill_dagster.pipelines.registry_events import (
    NewEvents,
    new_events,
    new_pulls,
    registry_events,
)

EVENTS = [
    ("champion", 1, None, 1),
    ("champion", 2, 1, 2),
    ("canary", 3, 2, 2),
    ("rollback", 1, 2, 1),
]


def write_ledger(home, task, events):
    for number, (what, version, previous, champion) in enumerate(events):
        event = Event("2026-03-01T00:00:00Z", "ada", what, version, previous, "because")
        created = NewVersion(version, "r", "s") if what != "rollback" else None
        note = {f"{tags.EVENT}{task}.{number}.{version}": json.dumps(asdict(event))}
        append(home, task, Change(created=created, aliases={"champion": champion}, notes=note))


def read_new(home, task, reported):
    events = NewEvents()
    new_events(home, task, reported, events)
    return events.assets


def test_every_decision_is_reported_once_with_the_champion_after_it(home):
    write_ledger(home, "arm", EVENTS[:3])
    reported = {}
    first = read_new(home, "arm", reported)
    assert [one.metadata["event"].value for one in first] == ["champion", "champion", "canary"]
    assert [one.tags["dagster/data_version"] for one in first] == ["1", "2", "2"]
    assert {one.asset_key for one in first} == {dg.AssetKey(["arm", "champion"])}
    assert first[2].metadata["page"].value == "/kinemill/tasks/arm/3"
    assert first[2].metadata["user"].value == "ada"
    assert read_new(home, "arm", reported) == []
    write_ledger(home, "arm", EVENTS[3:])
    (rolled_back,) = read_new(home, "arm", reported)
    assert rolled_back.description == "rollback: version 1"


def test_a_damaged_ledger_hides_no_other(home):
    write_ledger(home, "arm", EVENTS[:1])
    write_ledger(home, "leg", EVENTS[:2])
    (home.ledgers / "arm" / "000001.json").write_text("{}")
    sensor = registry_events(["arm", "leg"])
    with dg.build_sensor_context() as context:
        result = sensor(context)
    assert [one.asset_key.path[0] for one in result.asset_events] == ["leg", "leg"]
    with dg.build_sensor_context(cursor=result.cursor) as context:
        assert isinstance(sensor(context), dg.SkipReason)


def test_every_pull_is_an_event_of_the_robots_and_lists_what_they_hold(home):
    reported = {}
    record_pull(home, "arm", "left", 1, "ada")
    record_pull(home, "arm", "left", 1, "ada")  # the same version again is nothing new
    record_pull(home, "arm", "right", 1, "bob")
    first = list(new_pulls(home, "arm", reported))
    assert [one.description for one in first] == ["left: version 1", "right: version 1"]
    assert {one.asset_key for one in first} == {dg.AssetKey(["arm", "robots"])}
    assert first[1].metadata["user"].value == "bob"
    assert first[1].metadata["page"].value == "/kinemill/tasks/arm/1"
    assert list(new_pulls(home, "arm", reported)) == []
    record_pull(home, "arm", "left", 2, "ada")
    (updated,) = new_pulls(home, "arm", reported)
    rows = [one.data for one in updated.metadata["robots"].records]
    assert [(row["robot"], row["version"]) for row in rows] == [("left", "2"), ("right", "1")]
    versions = [one.tags["dagster/data_version"] for one in [*first, updated]]
    assert len(set(versions)) == 3


def test_the_sensor_reports_pulls_once_beside_decisions(home):
    write_ledger(home, "arm", EVENTS[:1])
    record_pull(home, "arm", "left", 1, "ada")
    sensor = registry_events(["arm"])
    with dg.build_sensor_context() as context:
        result = sensor(context)
    assert [one.asset_key.path[1] for one in result.asset_events] == ["champion", "robots"]
    with dg.build_sensor_context(cursor=result.cursor) as context:
        assert isinstance(sensor(context), dg.SkipReason)


def test_a_damaged_list_of_pulls_names_its_line(home):
    record_pull(home, "arm", "left", 1, "ada")
    path = home.root / "pulls" / "arm.jsonl"
    path.write_text(path.read_text() + "{}\n{cut")
    with pytest.raises(CorruptArtifact, match=r"arm\.jsonl:2: is not a record of a pull"):
        deployed(home, "arm")


def test_a_line_that_is_being_written_is_read_later(home):
    record_pull(home, "arm", "left", 1, "ada")
    path = home.root / "pulls" / "arm.jsonl"
    whole = path.read_text()
    path.write_text(whole + whole[:20])
    assert [one.version for one in deployed(home, "arm").values()] == [1]
