"""Decisions that are killed at any point: the champion resolves, and the audit is complete."""

import multiprocessing
import random
import time
from collections import Counter
from functools import partial

import pytest

from kinemill import runtime
from kinemill.register import audit, fetch_bundle, promotion
from kinemill.register.alias_switch import PROMOTED
from kinemill.register.versions import find_version, versions_of
from kinemill.store import fault_injection
from kinemill.task import load_task
from kinemill.tracking import open_tracking
from tests.register.conftest import Claims
from tests.register.test_rebuild import hang_up

WHY = "because of test"
CHAMPION_CHANGES = (*PROMOTED, "rolled back")


@pytest.fixture(autouse=True)
def _served_here(monkeypatch):
    monkeypatch.setattr(promotion, "serve_zero_window", lambda folder: (True, "answered"))


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


ACTIONS = {
    "promote": lambda chain: partial(promotion.promote, chain.task, chain.home, ":1", why=WHY),
    "rollback": lambda chain: partial(promotion.rollback, chain.task, chain.home, why=WHY),
    "approve": lambda chain: waiting(chain, 0.9),
    "gate": lambda chain: partial(chain.register, 0.01, gain=0.9, champion=0.1),
}
LAST = {"approve": 3, "gate": 3}  # passings of `recorded` before the decision itself is on disk


def sound(chain):
    """Check all invariants of a registry after a command that may have been killed."""
    assert runtime.load(fetch_bundle("models:/cart@champion", chain.home)).history == 3
    result = audit(chain.home, "cart")
    assert result.gaps == []
    champion = None
    for event in result.events:
        assert event.previous == champion
        assert event.who
        assert event.why
        champion = event.version if event.what in CHAMPION_CHANGES else champion
    client = open_tracking(chain.home).client
    assert int(client.get_model_version_by_alias("cart", "champion").version) == champion
    assert result.champion == champion
    previous = {e.version: e.previous for e in result.events if e.what == "champion"}
    for version in versions_of(chain.home, "cart"):
        if version.decision == "champion":
            recorded = int(version.tags["kinemill.previous_champion"])
            assert recorded == (previous[version.number] or 0)
    return result.events


@pytest.mark.parametrize("point", ["recorded", "noted", "promoted"])
@pytest.mark.parametrize("action", list(ACTIONS))
def test_what_was_recorded_when_a_command_died_is_completed_by_the_next(
    with_champion, monkeypatch, action, point
):
    chain = with_champion(3)
    act, existing = ACTIONS[action](chain), len(audit(chain.home, "cart").events)
    monkeypatch.setattr(fault_injection, "_passed", Counter())
    number = 1 if point == "promoted" else LAST.get(action, 1)
    monkeypatch.setenv(fault_injection.VARIABLE, f"error:register.{point}:{number}")
    with pytest.raises(OSError, match=f"register.{point}"):
        act()
    monkeypatch.delenv(fault_injection.VARIABLE)
    events = sound(chain)
    assert len(events) > existing
    assert events[-1].why.endswith(WHY) or action in LAST
    assert events[-1].what in CHAMPION_CHANGES


def test_before_the_record_nothing_has_happened(with_champion, monkeypatch):
    chain = with_champion(3)
    existing = audit(chain.home, "cart")
    monkeypatch.setattr("kinemill.register.ledger.publish_json", _full)
    with pytest.raises(OSError, match="no room"):
        promotion.promote(chain.task, chain.home, ":1", why=WHY)
    monkeypatch.undo()
    assert audit(chain.home, "cart") == existing


def _full(*_):
    raise OSError("no room")


def random_action(chain, draw, number):
    """Return a command that changes the registry in its current state."""
    tracking = open_tracking(chain.home)
    champion = find_version(tracking.home, "cart", "@champion").number
    decided = [v.number for v in versions_of(tracking.home, "cart") if v.decision == "champion"]
    others = [one for one in decided if one != champion] or [champion]
    other = f":{draw.choice(others)}"
    why = f"{WHY} {number}"
    choices = [
        partial(promotion.promote, chain.task, chain.home, other, why=why),
        partial(promotion.rollback, chain.task, chain.home, to=other, why=why),
        partial(chain.register, 0.01, gain=2.0 + number, champion=0.1),
    ]
    if number % 5 == 0:
        return waiting(chain, 2.0 + number)
    return draw.choice(choices)


@pytest.mark.slow
def test_100_kills_at_random_moments_leave_a_champion_and_a_whole_audit(with_champion):
    chain, draw = with_champion(3), random.Random(0)
    seconds, killed, cut, number = 1.0, 0, 0, 0
    fork = multiprocessing.get_context("fork")
    while killed < 100:
        number += 1
        act = random_action(chain, draw, number)
        existing = len(sound(chain))
        hang_up(chain.home)  # connections do not survive a fork
        process, began = fork.Process(target=act), time.monotonic()
        process.start()
        process.join(draw.uniform(0.0, 1.2 * seconds))
        process.kill()
        process.join()
        if process.exitcode == 0:  # it was over before the kill came
            seconds = 0.8 * seconds + 0.2 * (time.monotonic() - began)
            continue
        killed += 1
        cut += len(sound(chain)) > existing
    assert 10 < cut < 90, f"of {number} commands, {cut} of {killed} died after the record"
