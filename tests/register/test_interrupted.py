"""Registrations that were killed, or run at the same time, are completed exactly once."""

import json

import pytest

from kinemill.register import list_versions, show
from kinemill.tracking import open_tracking
from tests.register.registrations import facts, start_registration


class Killed(BaseException):
    """Simulates the end of the process during a registration."""


def test_killed_after_the_switch_the_written_verdict_stands(chain, monkeypatch):
    chain.register(0.1)
    client = type(open_tracking(chain.home).client)

    def die(*args, **kwargs):
        raise Killed

    # The last thing after `champion` moved.
    monkeypatch.setattr(client, "delete_registered_model_alias", die)
    with pytest.raises(Killed):
        chain.register(0.05, gain=0.6, champion=0.1)
    monkeypatch.undo()
    # Measured again it would have to beat itself; what was written before the switch stands.
    registration = chain.register(0.05, gain=0.6, champion=0.0)
    assert facts(registration) == (2, "champion", "unchanged")
    assert registration.previous_champion == 1
    (verdict,) = [item for item in registration.gate if item.rule == "beats_champion"]
    assert "<= 0.098" in verdict.expected
    assert show("cart", chain.home, "@champion").aliases == ["champion"]


@pytest.mark.ci
def test_two_models_and_one_of_them_twice_registered_at_once_take_turns(chain):
    produced = chain.produce(0.1)
    processes = [start_registration(chain, produced, 0.1, 0.2) for _ in range(2)]
    here = chain.register(0.1, gain=0.7, champion=0.2)
    document = [json.loads(process.communicate(timeout=300)[0])[1] for process in processes]
    assert sorted([*document, here.status]) == ["done", "done", "unchanged"]
    versions = list_versions("cart", chain.home).versions
    assert [item.version for item in versions] == [2, 1]
    assert [item.aliases for item in versions] == [["champion"], []]
