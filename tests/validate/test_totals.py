"""Totals over recordings: what leaves is subtracted, and what cannot be is said."""

import random

from kinemill.catalog.evaluations import Evaluation
from kinemill.catalog.history import set_digest
from kinemill.store import ArtifactRef, digest
from kinemill.validate.evaluation import Details
from kinemill.validate.totals import Totals


def item(number, value=None):
    value = float(number) if value is None else value
    row = Evaluation(
        digest(number),
        f"{number}.csv",
        digest([number]),
        ArtifactRef("", ""),
        released=number % 3 == 0,
        episodes=number % 2,
        rows=10 * (number % 2),
        dropped_rows=number,
        sketches=1,
        faulty=number % 5 == 0,
        held_back=number % 2 == 0,
    )
    measured = [{"rate": {"lag": value}}]
    statistics = {"angle:std": [1.0]}
    own = set_digest([bytes.fromhex(digest([number, "episodes"]))])
    findings = {"limits": 2} if number % 5 == 0 else {}
    dropped = {"limits": number} if findings else {}
    return row, Details([], dropped, findings, measured, None, statistics, own)


def test_totals_of_a_set_do_not_depend_on_how_it_came():
    items = [item(number) for number in range(1, 40)]
    whole = Totals().changed([], items)
    assert (whole["recordings"], whole["quarantined"], whole["rows"]) == (39, 19, 200)
    assert whole.checks["physics_limits"] == (14, 140, 7)
    assert whole.spans == {"rate/lag": (1.0, 39.0)}
    shuffled = random.Random(1).sample(items, len(items))
    grown = Totals()
    for one in shuffled:
        grown = grown.changed([], [one, item(100, 20.0)]).changed([item(100, 20.0)], [])
    for part in ("counts", "checks", "dropped", "episodes"):
        assert getattr(grown, part) == getattr(whole, part)


def test_the_totals_say_when_the_next_extreme_is_unknown():
    whole = Totals().changed([], [item(number) for number in range(1, 9)])
    assert whole.changed([item(4)], []).is_exact
    left = whole.changed([item(8)], [])
    assert not left.is_exact
    assert not left.changed([], [item(9)]).is_exact
    assert Totals().changed([], [item(number) for number in range(1, 8)]).counts == left.counts
