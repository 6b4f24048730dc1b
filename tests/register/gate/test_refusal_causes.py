"""Causes of a refusal in order: root causes first, then their consequences."""

import inspect

import pytest

from kinemill.register.gate.headline import failed_causes
from kinemill.register.gate.refusal_causes import RANK, is_diverged, ranked
from kinemill.register.gate.report import causes
from kinemill.register.gate.rules import RULES
from kinemill.register.verdict import Verdict, is_of


def gate(**values):
    """Return verdicts by rule and value; None means that the rule passed."""
    return [
        Verdict(rule, passed=value is None, value=value or "passed", expected="it")
        for rule, value in values.items()
    ]


DIVERGED = gate(
    beats_linear="inf",
    interval_linear="no interval",
    measured="not finite over 40 windows: rollouts diverge",
    parity="out of parity, or not compared",
    serves=None,
    size="30 MB",
    verified="failed: rollout parity, finite, finite errors",
)


def test_ranked_rules_exist():
    assert set(RANK) <= set(RULES)


def test_a_diverged_model_has_one_cause_and_its_export_is_not_blamed():
    assert is_diverged(DIVERGED)
    result = causes(DIVERGED)
    assert [(line["rule"], line["follows"]) for line in result] == [
        ("verified", None),
        ("size", None),
        ("parity", "verified"),
        ("measured", "verified"),
        ("beats_linear", "verified"),
        ("interval_linear", "verified"),
    ]
    assert result[0]["fix"].startswith("predictions diverge")
    assert all(line["fix"] is None for line in result if line["follows"])
    assert not any("fault of the export" in str(line["fix"]) for line in result)
    assert [line.rule for line in failed_causes(DIVERGED)] == ["finite", "size"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            {"verified": "failed: precision", "parity": "no", "precision": "loses 1.6 mm"},
            {"precision": None, "parity": None, "verified": "precision"},
        ),
        (
            {"verified": "failed: step parity, metadata", "parity": "no"},
            {"parity": None, "verified": None},
        ),
        (
            {"beats_linear": "1", "interval_linear": "1", "no_worse_linear": "4.25 times"},
            {"no_worse_linear": None, "beats_linear": "no_worse_linear"}
            | {"interval_linear": "no_worse_linear"},
        ),
        (
            {"beats_linear": "1", "interval_persistence": "1"},
            {"beats_linear": None, "interval_persistence": None},
        ),
        ({"evidence": "1", "serves": "no"}, {"serves": None, "evidence": None}),
        (
            {"interface": "dt", "beats_champion": "cannot be compared: dt of the champion 0.1"},
            {"interface": None, "beats_champion": "interface"},
        ),
    ],
)
def test_a_line_that_follows_from_another_names_it(lines, expected):
    assert {cause.rule: cause.follows for cause in ranked(gate(**lines))} == expected


def test_evidence_explains_an_interval_and_no_other_doubt():
    """More test data narrow an interval; they make no model better, and no copy independent."""
    rules = ("evidence", "beats_linear", "interval_persistence", "independent", "trials")
    doubts = [Verdict(rule, False, "0.1", "it", undecided=True) for rule in rules]
    assert {cause.rule: cause.follows for cause in ranked(doubts)} == dict.fromkeys(rules) | {
        "interval_persistence": "evidence"
    }


def test_each_cause_of_its_own_comes_with_the_advice_of_its_rule():
    result = causes(gate(latency="3 ms"))
    _, _, advice = (inspect.getdoc(RULES["latency"]) or "").partition("Refused:")
    assert result[0]["fix"] == " ".join(advice.split())
    assert is_of("latency", result[0]["rule"])
