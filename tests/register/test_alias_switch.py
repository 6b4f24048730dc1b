"""Decisions that are killed at any point: the champion resolves, and the audit log is complete."""

from collections import Counter
from functools import partial

import pytest

from kinemill import runtime
from kinemill.errors import CorruptArtifact
from kinemill.register import audit, fetch_bundle, promotion
from kinemill.register.audit_log import CHAMPION_CHANGES, read_events
from kinemill.register.versions import versions_of
from kinemill.store import fault_injection
from kinemill.task import load_task
from kinemill.tracking import open_tracking
from tests.register.conftest import Claims

WHY = "because of test"


@pytest.fixture(autouse=True)
def _served_here(monkeypatch):
    monkeypatch.setattr(promotion, "run_stored_cases", lambda folder: (True, "answered"))


def waiting(chain, gain):
    """Register a version that waits for approval."""
    task = load_task(chain.task.path, {"promote.approval": True})
    registration = chain.register(0.01, gain=gain, champion=0.1, task=task)
    assert registration.decision == "waiting"
    return partial(
        promotion.approve,
        task,
        chain.home,
        f":{registration.version}",
        why=WHY,
        evidence=Claims(0.01),
    )


# A registration that is killed at these points is in test_kills.py.
ACTIONS = {
    "promote": lambda chain: partial(promotion.promote, chain.task, chain.home, ":1", why=WHY),
    "rollback": lambda chain: partial(promotion.rollback, chain.task, chain.home, why=WHY),
    "approve": lambda chain: waiting(chain, 0.9),
}
POINTS = ("recorded", "promoted", "applied")
LAST = {"approve": 2}  # decisions recorded before the one that changes the champion


def sound(chain):
    """Check all invariants of a registry after a command that may have been killed."""
    assert runtime.load(fetch_bundle("models:/cart@champion", chain.home)).history == 3
    result = audit(chain.home, "cart")
    champion = None
    for event in result.events:
        assert event.status in {"done", "interrupted"}
        assert event.previous == champion
        assert event.who
        assert event.why
        if event.what in CHAMPION_CHANGES and event.status == "done":
            champion = event.version
    client = open_tracking(chain.home).client
    assert int(client.get_model_version_by_alias("cart", "champion").version) == champion
    assert result.champion == champion
    previous = {e.version: e.previous for e in result.events if e.what == "champion"}
    for version in versions_of(chain.home, "cart"):
        if version.decision == "champion":
            assert version.previous_champion == previous[version.number]
    return result.events


@pytest.mark.parametrize(
    ("action", "point"),
    [
        *(("promote", point) for point in POINTS),
        ("approve", "promoted"),
        ("rollback", "promoted"),
        *(
            pytest.param(action, point, marks=pytest.mark.ci)
            for action in ("approve", "rollback")
            for point in ("recorded", "applied")
        ),
    ],
)
def test_decision_killed_at_a_point_is_closed_by_the_next_command(
    with_champion, monkeypatch, action, point
):
    chain = with_champion(3)
    act = ACTIONS[action](chain)
    before = len(audit(chain.home, "cart").events)
    monkeypatch.setattr(fault_injection, "_passed", Counter())
    number = 1 if point == "promoted" else LAST.get(action, 1)
    monkeypatch.setenv(fault_injection.VARIABLE, f"error:register.{point}:{number}")
    with pytest.raises(OSError, match=f"register.{point}"):
        act()
    monkeypatch.delenv(fault_injection.VARIABLE)
    assert read_events(chain.home, "cart")[-1].status == "open"
    events = sound(chain)
    assert len(events) == before + LAST.get(action, 1)
    assert events[-1].what in CHAMPION_CHANGES
    # Before the alias moved, the old champion stays; afterwards the new one.
    expected = "interrupted" if point == "recorded" else "done"
    assert events[-1].status == expected
    assert audit(chain.home, "cart").champion == (3 if point == "recorded" else events[-1].version)


def test_promotion_that_cannot_be_recorded_changes_nothing(with_champion, monkeypatch):
    chain = with_champion(3)
    before = audit(chain.home, "cart")
    monkeypatch.setattr("kinemill.register.audit_log.publish_json", _full)
    with pytest.raises(OSError, match="no room"):
        promotion.promote(chain.task, chain.home, ":1", why=WHY)
    monkeypatch.undo()
    assert audit(chain.home, "cart") == before


def _full(*_):
    raise OSError("no room")


def test_damaged_audit_log_names_its_record(with_champion):
    chain = with_champion(2)
    record = chain.home.audit_logs / "cart" / "000002.json"
    for content in ("no json", "[]", '{"format": 1}', '{"format": 7}'):
        record.write_text(content)
        with pytest.raises(CorruptArtifact, match=r"000002\.json"):
            audit(chain.home, "cart")
    record.unlink()
    with pytest.raises(CorruptArtifact, match=r"000002\.json"):
        audit(chain.home, "cart")
