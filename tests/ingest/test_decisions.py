"""Decisions of people: numbered, never changed, and the last one counts."""

import getpass
from datetime import UTC, datetime

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
    expected = [(1, "release", "looked at it"), (2, "reject", ""), (3, "withdraw", "")]
    assert [(made.number, made.decision, made.because) for made in trail] == expected
    age = datetime.now(UTC) - datetime.fromisoformat(trail[0].when)
    assert (trail[0].who, age.total_seconds() < 60) == (getpass.getuser(), True)
    assert not DECISIONS.read(home, "leg")
