"""After a registration ends at any point, the champion resolves, and a rerun completes it once."""

import re
import signal
from collections import Counter

import pytest

from kinemill import runtime
from kinemill.register import fetch_bundle, list_versions
from kinemill.register.alias_switch import audit
from kinemill.store import fault_injection
from tests.conftest import ROOT
from tests.register.registrations import start_registration

POINTS = ["uploaded", "created", "decided", "recorded", "promoted", "applied"]
BETTER = {"nrmse": 0.05, "gain": 0.6, "champion": 0.1}


def test_these_are_all_the_places():
    text = "".join(path.read_text() for path in (ROOT / "kinemill" / "register").glob("*.py"))
    assert sorted(re.findall(r'fault_point\("register\.(\w+)"\)', text)) == sorted(POINTS)


def _resolves(chain):
    folder = fetch_bundle("models:/cart@champion", chain.home)
    assert runtime.load(folder).history == 3


def _is_finished_once(chain):
    again = chain.register(**BETTER)
    versions = list_versions("cart", chain.home).versions
    aliases = {version.version: version.aliases for version in versions}
    assert aliases == {2: ["champion"], 1: []}
    assert (again.version, again.alias, again.decision) == (2, "champion", "champion")
    assert chain.register(**BETTER).status == "unchanged"
    result = audit(chain.home, "cart")
    done = [event for event in result.events if event.status == "done"]
    assert [(e.what, e.version, e.previous) for e in done] == [
        ("champion", 1, None),
        ("champion", 2, 1),
    ]
    # A decision that died before the alias moved is evaluated again.
    assert {event.status for event in result.events} <= {"done", "interrupted"}


@pytest.mark.parametrize("point", POINTS)
def test_a_full_disk_anywhere_leaves_a_champion_and_a_rerun_finishes_once(
    with_champion, point, monkeypatch
):
    chain = with_champion()
    monkeypatch.setattr(fault_injection, "_passed", Counter())
    monkeypatch.setenv(fault_injection.VARIABLE, f"error:register.{point}:1")
    with pytest.raises(OSError, match=f"register.{point}:1"):
        chain.register(**BETTER)
    _resolves(chain)
    monkeypatch.delenv(fault_injection.VARIABLE)
    _is_finished_once(chain)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=pytest.mark.ci if point == "decided" else pytest.mark.slow)
        for point in POINTS
    ],
)
def test_killed_anywhere_it_leaves_a_champion_and_a_rerun_finishes_once(
    with_champion, point, monkeypatch
):
    chain = with_champion()
    produced = chain.produce(0.05, gain=0.6)
    monkeypatch.setenv(fault_injection.VARIABLE, f"register.{point}:1")
    assert start_registration(chain, produced, 0.05, 0.1).wait() == -signal.SIGKILL
    monkeypatch.delenv(fault_injection.VARIABLE)
    _resolves(chain)
    _is_finished_once(chain)
