"""Decisions of the registry as events of the champion asset."""

import json
from dataclasses import asdict

import dagster as dg

from kinemill.register import tags
from kinemill.register.alias_switch import Event
from kinemill.register.ledger import Change, NewVersion, append
from kinemill_dagster.pipelines.registry_events import NewEvents, new_events, registry_events

EVENTS = [
    ("champion", 1, None, 1),
    ("champion", 2, 1, 2),
    ("refused", 3, 2, 2),
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
    assert [one.metadata["event"].value for one in first] == ["champion", "champion", "refused"]
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
