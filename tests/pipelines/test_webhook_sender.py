"""Messages of the ledger's records to webhooks."""

import os
import time

from kinemill.register.ledger import Change, Ledger, NewVersion
from kinemill_dagster.pipelines import webhook_sender
from kinemill_dagster.pipelines.registry_events import NewEvents, new_events
from kinemill_dagster.pipelines.webhook_sender import messages_of
from tests.pipelines.test_registry_events import EVENTS, write_ledger


def sent(*changes):
    ledger, result = Ledger("arm"), []
    for change in changes:
        ledger.add(change)
        result += [(one.entity, one.action, one.data) for one in messages_of(ledger, change)]
    return result


def created(number):
    return NewVersion(number, f"run{number}", f"models:/m-{number}")


def test_the_first_version_announces_the_model_as_well():
    first, second = sent(
        Change(created=created(1), tags={1: {"a": "b"}}, descriptions={1: "text"}),
        Change(created=created(2)),
    )[1:]
    assert first[:2] == ("model_version", "created")
    assert first[2] == {
        "name": "arm",
        "version": "1",
        "source": "models:/m-1",
        "run_id": "run1",
        "tags": {"a": "b"},
        "description": "text",
    }
    assert second[2]["version"] == "2"
    (model,) = sent(Change(created=created(1)))[:1]
    assert (model[0], model[2]["name"]) == ("registered_model", "arm")


def test_aliases_that_move_and_end():
    change = Change(aliases={"champion": 1, "challenger": None})
    assert sent(Change(created=created(1)), change)[2:] == [
        ("model_version_alias", "created", {"name": "arm", "alias": "champion", "version": "1"}),
        ("model_version_alias", "deleted", {"name": "arm", "alias": "challenger"}),
    ]


def test_a_record_is_announced_once_unless_it_is_old(home):
    write_ledger(home, "arm", EVENTS[:2])
    old = home.ledgers / "arm" / "000001.json"
    os.utime(old, (time.time() - 3 * 86400.0,) * 2)
    reported, events = {}, NewEvents()
    for _ in range(2):
        new_events(home, "arm", reported, events)
    assert [one.data["version"] for one in events.messages] == ["2", "2"]  # version and champion


def test_no_process_starts_without_a_webhook(home, monkeypatch):
    monkeypatch.setattr(webhook_sender.subprocess, "Popen", None)  # a call fails
    write_ledger(home, "arm", EVENTS[:1])
    events = NewEvents()
    new_events(home, "arm", {}, events)
    assert events.messages
    webhook_sender.send(home, events.messages)
    assert not home.mlflow_db.exists()  # a look creates no database
