"""The first line about a model, for every kind of result."""

from dataclasses import replace
from pathlib import Path

import pytest

from kinemill.register.verdict import Verdict
from kinemill.store import from_json_value
from kinemill.verify.checklist import Gate
from kinemill.verify.document import Verification
from kinemill.verify.findings import cells_of, worse_findings
from kinemill.verify.headline import GateDecision, causes, decision_text, headline, performance
from tests.verify.documents import NAN, accuracy, against, comparison, document
from tests.verify.documents import line as channel_line


def line(rule, result="2", passed=False):
    return Verdict(rule, passed, result, "1")


def decided(assessment, decision):
    """The headline as the registry composes it."""
    return replace(decision_text(decision), performance=performance(assessment))


def test_a_model_that_beats_all_is_told_in_units_beside_the_best_reference():
    message = decided(document(), GateDecision("champion", address="arm:3", champion=2))
    assert message.tone == "good"
    assert message.text == (
        "This MLP has an RMSE of 0.01 rad (angle) and 0.01 rad/s (velocity) 0.5 s ahead, 50 % less "
        "error than the best reference, the linear model with 40 rows of history (95 % interval 37 "
        "to 60 % less). "
        "arm:3 is champion instead of version 2: it passed every rule of the gate."
    )


def test_before_the_gate_nothing_is_promised():
    message = headline(document())
    assert message.tone == "warning"
    assert message.text.endswith("passed; the gate has not decided.")


def test_a_reference_that_is_better_at_one_step_on_one_channel_is_named():
    worse = {
        "1": {
            "nrmse": comparison(0.9, 0.8, 1.1),
            "angle": comparison(1.2, 1.1, 1.3),
            "velocity": comparison(0.9, 0.8, 1.1),
        }
    }
    result = document(against={"linear": against(0.5, 0.4, 0.63, worse)})
    message = headline(result)
    assert message.tone == "bad"
    assert message.text.endswith(
        "Do not rely on it: a reference is better in 1 of 4 comparisons, most on angle 1 step "
        "ahead (20 % more error than the linear model, 95 % interval 10 to 30 % more)."
    )


@pytest.mark.parametrize(
    "counted",
    [
        {"horizons": ["25"], "channels": None, "margin": 0.02},
        {"horizons": ["1", "25"], "channels": ["velocity"], "margin": 0.02},
    ],
)
def test_what_the_task_leaves_out_is_not_shown_as_worse(counted):
    lost = {"1": {"nrmse": comparison(0.9, 0.8, 1.0), "angle": comparison(3, 2, 4)}}
    opponents = {"linear": against(0.5, 0.4, 0.63, lost)}
    assert [cell.channel for cell in worse_findings(document(against=opponents))] == ["angle"]
    result = document(against=opponents, counted=counted)
    assert worse_findings(result) == []
    assert cells_of(result)["1", "angle"].state == "uncounted"


def test_the_worst_of_several_defeats_is_named_and_the_others_are_counted():
    free = {"free_run": {"nrmse": comparison(7.1, 5.0, 9.0), "angle": comparison(3.0, 2.0, 4.0)}}
    result = document(against={"persistence": against(0.1, 0.08, 0.12, free)})
    locations = [(finding.horizon, finding.channel) for finding in worse_findings(result)]
    assert locations == [("free_run", "nrmse"), ("free_run", "angle")]
    assert headline(result).verdict == (
        "Do not rely on it: a reference is better in 2 of 3 comparisons, most in free run (7.1 "
        "times the error of persistence, 95 % interval 5 to 9 times)."
    )


def test_interval_that_includes_one_is_stated_without_a_verdict():
    result = document(error=0.196, against={"linear": against(0.98, 0.9, 1.07)})
    text = headline(result).text
    assert "2 % less error than the best reference, the linear model" in text
    assert "(95 % interval 10 % less to 7 % more)" in text


def test_a_reference_that_is_the_model_is_not_its_own_rival():
    result = document(
        error=0.2,
        others={"persistence": 1.0, "linear": 0.2},
        model={"kind": "arx", "reference": "linear", "history": 40},
        against={"persistence": against(0.2, 0.15, 0.25), "linear": against(1.0, 1.0, 1.0)},
    )
    text = decided(result, GateDecision("champion", address="arm:1")).text
    assert text.startswith("This linear model with 40 rows of history has an RMSE of")
    assert "80 % less error than the best reference, persistence" in text


def test_a_model_that_diverges_is_told_from_which_step_on():
    model = accuracy(angle=[0.1, NAN], velocity=[0.1, 0.2])
    result = document(error=None, accuracy={"model": model}, against={})
    message = headline(result)
    assert message.tone == "bad"
    assert message.text == (
        "This MLP diverges: predictions of angle are not finite from 2 steps ahead. Do not use it."
    )


def test_files_that_failed_a_check_are_not_to_be_used():
    gates = [Gate("step parity", False, "", ""), Gate("finite", True, "", "")]
    message = headline(document(passed=False, gates=gates))
    assert message.tone == "bad"
    assert message.text.endswith("Do not use it: step parity failed.")


def test_no_reference_is_finite():
    result = document(others={"persistence": None}, against={})
    assert "no reference stays finite on this data" in headline(result).text


@pytest.mark.parametrize(("low", "high", "count"), [(2.8e-7, 1.5e5, 2.0), (0.05, 9.0, 4.0)])
def test_interval_that_says_nothing_is_replaced_by_the_sample_size(low, high, count):
    result = document(against={"linear": against(2.49, low, high, effective_n=count)})
    text = headline(result).text
    assert "2.49 times the error of the best reference, the linear model" in text
    assert f"({count:.0f} test episodes are too few to say how much of it is chance)" in text


def test_error_that_is_in_few_of_the_test_episodes_is_told_as_such():
    some = against(0.56, 0.2, 1.6, effective_n=2.3, episodes=5)
    assert (
        "(2 of 5 test episodes have most of the error: too few to say how much of it is chance)"
        in headline(document(against={"linear": some})).text
    )


def test_too_few_episodes_give_no_interval():
    some = against(0.5, effective_n=1.0, detectable=NAN, p_worse=NAN)
    assert (
        "(1 test episode is too few to say how much of it is chance)"
        in headline(document(against={"linear": some})).text
    )


@pytest.mark.parametrize(
    ("decision", "tone", "words"),
    [
        (
            GateDecision(
                "champion", [line("evidence")], "1 test episode of 5; record more", "arm:1"
            ),
            "warning",
            "until a better or better tested version replaces it: 1 test episode of 5; record "
            "more.",
        ),
        (
            GateDecision("refused", [line("beats_linear"), line("interval_linear")], "", "arm:1"),
            "bad",
            "arm:1 is refused: it is not better than the linear model.",
        ),
        (GateDecision("waiting", address="arm:2"), "warning", "kinemill model approve arm:2."),
        (
            GateDecision("refused", [line("parity"), line("precision")], "", "arm:2", 1),
            "bad",
            "arm:2 is refused: the exported files do not match the trained model and float32 is "
            "not precise enough for it; version 1 stayed champion.",
        ),
        (
            GateDecision("refused", [line("no_worse_linear_sincos")], "", "arm:2"),
            "bad",
            "is refused: it is worse than the linear model with sin/cos features in a channel or "
            "at a horizon.",
        ),
        (
            GateDecision("champion", address="arm:2", former=True),
            "warning",
            "was champion; another",
        ),
        (
            GateDecision("refused", [line("latency")], address="arm:2", override=True),
            "bad",
            "arm:2 is champion although the gate refused it: it is too slow.",
        ),
    ],
)
def test_what_the_registry_decided_is_the_second_sentence(decision, tone, words):
    message = decided(document(), decision)
    assert message.tone == tone
    assert words in message.text


def test_a_reference_that_was_not_measured_is_not_called_better():
    failed = [line("no_worse_physics", "was not measured")]
    assert causes(failed) == "it was not compared with the fitted physics model"
    failed = [line("no_worse_champion", "cannot be compared: dt of the champion 0.1")]
    assert causes(failed) == "it was not compared with the champion"


def test_causes_beyond_two_are_counted():
    failed = [line("beats_linear"), line("interval_physics"), line("latency"), line("size")]
    assert causes(failed) == (
        "it is not better than the linear model, the test data do not show that it is better than "
        "the fitted physics model and 2 more reasons"
    )


def test_references_with_the_same_cause_are_named_together():
    failed = [line("no_worse_linear"), line("no_worse_champion"), line("latency")]
    assert causes(failed) == (
        "it is worse than the linear model and the champion in a channel or at a horizon and it is "
        "too slow"
    )


def test_of_many_channels_those_that_compare_worst_are_named():
    test = {f"q{i}": channel_line("rad", model=0.1 * i, linear=1.0) for i in range(1, 8)}
    test["q8"] = channel_line("rad", "constant", model=0.0, linear=0.0)
    nrmse = {"model": 0.1, "linear": 0.2}
    result = document(metrics={"test": test, "nrmse": nrmse})
    assert "0.7 rad (q7), 0.6 rad (q6), 0.5 rad (q5) and 4 more channels" in headline(result).text


def test_an_evaluation_on_other_logs_decides_nothing():
    message = headline(document(passed=None))
    assert message.tone == "good"
    assert message.text.endswith("60 % less).")
    assert message.verdict == ""


def test_a_policy_is_told_by_its_return_and_success():
    result = {
        "form": "policy",
        "metrics": {
            "test": {},
            "nrmse": {},
            "return": {"model": 487.0, "random": 22.0, "champion": 480.0},
            "success": {"model": 0.95, "random": 0.0},
        },
        "gains": {"random": {"returns": [450.0, 480.0]}},
        "windows": {"episodes": 100},
        "passed": True,
    }
    result = from_json_value(result, Verification, Path("verification.json"))
    assert decided(result, GateDecision("champion", address="walker:1")).text == (
        "This policy has a mean return of 487 over 100 episodes (random actions 22; the champion "
        "480; 95 % interval of the gain over random 450 to 480) and succeeds in 95 % of them "
        "(random actions 0 %). walker:1 is champion: it passed every rule of the gate."
    )


def test_a_policy_from_logs_is_told_by_its_actions():
    result = document(others={"repeat": 0.5, "linear": 0.2}, form="policy")
    text = headline(result).text
    assert text.startswith("This policy differs from logged actions by 0.01 rad (angle)")
    assert "50 % less error than the best reference, the linear model" in text


def test_a_document_without_numbers_has_no_first_line():
    assert headline(Verification(passed=True)).text.startswith("All checks")


def test_a_version_whose_registration_was_interrupted_is_not_called_refused():
    message = decision_text(GateDecision(None, address="arm:2"))
    assert (message.tone, message.verdict[:34]) == ("warning", "arm:2: the gate has not decided; t")
