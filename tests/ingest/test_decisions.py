"""Decisions of people: numbered, never changed, and the last one counts."""

import getpass
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from kinemill.errors import CorruptArtifact
from kinemill.ingest.decisions import DECISIONS, current_decisions, decide

ONE, OTHER = ("a" * 64, "a.csv"), ("b" * 64, "b.csv")


def test_the_last_decision_counts_and_all_are_kept(home):
    decide(home, "arm", *ONE, "release", "looked at it")
    decide(home, "arm", *OTHER, "reject", "")
    decide(home, "arm", *ONE, "withdraw", "")
    assert {name[:1]: made.decision for name, made in current_decisions(home, "arm").items()} == {
        "b": "reject"
    }
    trail = DECISIONS.read(home, "arm")
    assert [(made.number, made.decision, made.because) for made in trail] == [
        (1, "release", "looked at it"),
        (2, "reject", ""),
        (3, "withdraw", ""),
    ]
    age = datetime.now(UTC) - datetime.fromisoformat(trail[0].when)
    assert (trail[0].who, age.total_seconds() < 60) == (getpass.getuser(), True)
    assert not DECISIONS.read(home, "leg")


def test_decisions_made_at_once_are_all_kept(home):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: decide(home, "arm", str(n) * 64, "x", "reject", ""), range(8)))
    assert [made.number for made in DECISIONS.read(home, "arm")] == list(range(1, 9))
    assert len(current_decisions(home, "arm")) == 8


@pytest.mark.parametrize("content", ["{", json.dumps({"format": 2})])
def test_a_decision_that_cannot_be_read_stops_everything(home, content):
    decide(home, "arm", *ONE, "reject", "")
    (home.store / "decisions" / "arm" / "000001.json").write_text(content)
    with pytest.raises(CorruptArtifact):
        current_decisions(home, "arm")
