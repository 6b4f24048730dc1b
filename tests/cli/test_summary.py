"""The tables of a run, also of a model whose rollouts do not stay finite."""

from dataclasses import replace

import pytest

from kinemill.cli.output import interval, quantity
from kinemill.cli.summary import candidates_table, first_not_finite, run_summary, spell_gate
from kinemill.register.run_summary import EpisodeCounts, RunDocument
from kinemill.register.verdict import Verdict
from kinemill.task.portfolio import CandidateResult
from kinemill.verify.check_results import CallLatency, CheckSummary
from kinemill.verify.document import Verification
from kinemill.verify.results import ChannelError, Metrics
from tests.verify.documents import NAN, accuracy

DIVERGED = RunDocument(
    task="arm",
    status="refused",
    episodes=EpisodeCounts(accepted=3),
    dataset="0123456789abcdef",
    metrics=Metrics(
        test={"angle": ChannelError("rad", {"model": NAN, "persistence": 0.5, "linear": 0.25})},
        nrmse={"model": NAN, "persistence": 1.5, "linear": 0.75},
    ),
    verification=CheckSummary(latency_ms=CallLatency(0.1, float("inf"))),
    version=2,
    gate=[Verdict("verified", passed=False, value="failed", expected="passed")],
    seconds={"model": 1.0},
)


def grown(*errors):
    return accuracy(angle=list(errors))


VERIFIED = Verification(
    accuracy={"model": grown(0.1, 0.2, NAN, NAN), "linear": grown(0.1, 0.1, 0.1, 0.25)}
)


def test_a_model_that_diverges_is_reported_with_the_step_from_which_on(capsys):
    run_summary(DIVERGED, VERIFIED)
    message = capsys.readouterr().out
    assert "predictions of angle are not finite from 3 steps ahead on" in message
    lines = [" ".join(line.split()) for line in message.splitlines()]
    assert "angle rad not finite 0.25 0.5" in lines
    assert "angle rad 0.1 / 0.1 0.2 / 0.1 not finite / 0.25" in lines
    assert "latency p50 0.1 ms, p99 not finite ms" in lines
    assert "gate refused: verified" in lines
    assert lines[-2:] == ["what helps kinemill model why arm:2", "browser kinemill ui"]


def test_a_provisional_champion_is_not_called_refused(capsys):
    line = Verdict("evidence", passed=False, value="1 test episode", expected=">= 5")
    champion = {"gate": [line], "alias": "champion", "provisional": "1 test episode of 5"}
    run_summary(replace(DIVERGED, status="done", **champion), VERIFIED)
    lines = [" ".join(one.split()) for one in capsys.readouterr().out.splitlines()]
    assert "version 2 provisional @champion" in lines
    assert "gate provisional: there is too little test data" in lines
    load = "from kinemill import runtime; runtime.load('models:/arm@champion')"
    assert lines[-4:] == [
        f'use it python -c "{load}"',
        "export it kinemill model export arm --to FOLDER",
        "all rules kinemill model why arm:2",
        "browser kinemill ui",
    ]


@pytest.mark.parametrize(
    ("gate", "spelled"),
    [
        ({}, "not decided"),
        ({"verified": True}, "passed"),
        ({"verified": True, "approval": False}, "waits for approval"),
        ({"verified": False, "parity": False, "serves": True}, "refused: verified, parity"),
        (dict.fromkeys("abcde", False), "refused: a, b and 3 more"),
    ],
)
def test_a_decision_names_the_rules_that_refused(gate, spelled):
    assert spell_gate([Verdict(rule, passed, "", "") for rule, passed in gate.items()]) == spelled


def test_a_finite_model_is_said_to_diverge_nowhere():
    assert first_not_finite({"model": grown(0.1, 0.2)}) is None
    assert first_not_finite({}) is None  # a policy has no rollouts of its own


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_spelled_as_such(value):
    assert quantity(value) == "not finite"
    assert interval([0.5, value]) == "no interval"


def test_a_number_has_three_digits_unless_asked():
    assert (quantity(0.123456), quantity(12345.6, 2)) == ("0.123", "12,346")
    assert interval([0.5, 2.0]) == "95 % interval 0.5 to 2"


def test_a_channel_that_never_moves_is_named_below_the_errors(capsys):
    note = "at rest in the training rows, left out of nrmse"
    test = {
        "angle": ChannelError("rad", {"model": 0.1}),
        "lift": ChannelError("m", {"model": 0.0}, note),
    }
    run_summary(replace(DIVERGED, metrics=Metrics(test, {"model": 0.1})), VERIFIED)
    assert f"\nlift: {note}\n" in capsys.readouterr().out


def test_candidates_table_lists_the_best_round_of_each_candidate(capsys):
    first = CandidateResult("narx", "narx", 3, score=0.1, parameters=9, held_out=0.3)
    linear = CandidateResult("linear", "arx", 0, score=0.2)
    failed = CandidateResult("gru", "gru", 1, failure="diverged")
    candidates_table([first, linear, replace(first, round=1, score=0.3), failed], "1 failed")
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line[0] for line in lines[-6:]] == ["narx", "linear", "score:", "free", "held", "1"]
    assert lines[-6][1:3] == ["0.3", "0.1"]
    candidates_table([failed], "")
    assert capsys.readouterr().out == ""
