import pytest

from kinemill.register.gate import judge
from kinemill.register.rules import RULES, Champion, Contest, shown


def _contest(task, nrmse=None, passed=True, p99=0.1, champion=None, **promote):
    changed = task.model_copy(update={"promote": task.promote.model_copy(update=promote)})
    document = {
        "passed": passed,
        "metrics": {"test": {}, "nrmse": nrmse or {}},
        "verification": {"latency_ms": {"p99": p99}},
        "gates": [],
    }
    return Contest(changed, document, champion)


@pytest.mark.parametrize("name", list(RULES))
def test_no_rule_passes_what_was_not_measured(name, task):
    settings = task.verify.model_copy(update={"latency_p99_ms": 1.0})
    bounded = task.model_copy(update={"verify": settings})
    for nothing in (None, float("nan")):
        errors = {"model": nothing, "persistence": nothing, "linear": nothing}
        contest = _contest(bounded, errors, None, nothing, Champion(1, error=nothing))
        assert [verdict.passed for verdict in RULES[name](contest)].count(True) == 0
        assert RULES[name](contest)


@pytest.mark.parametrize(
    ("model", "reference", "passed"),
    [
        (0.98, 1.0, True),
        (0.9800001, 1.0, False),
        (0.0, 0.0, True),
        (float("inf"), float("inf"), False),
        (0.5, float("nan"), False),
        (0.5, float("inf"), True),  # the reference diverged
        (0.5, None, True),  # as verification.json spells that
        (-float("inf"), 1.0, False),
    ],
)
def test_the_margin_is_relative_and_only_finite_models_beat(task, model, reference, passed):
    errors = {"model": model, "linear": reference}
    (verdict,) = RULES["beats"](_contest(task, errors, beats=["linear"], margin=0.02))
    assert verdict.passed is passed


def test_only_the_named_references_are_asked_about(task):
    errors = {"model": 0.1, "linear_sincos": 1.0}
    verdicts = judge(_contest(task, errors, beats=["linear_sincos"], champion=Champion(1)))
    assert [item.rule for item in verdicts] == ["beats_linear_sincos", "verified"]


def test_a_champion_that_is_the_very_same_model_is_no_obstacle(task):
    contest = _contest(task, {"model": 0.1}, beats=["champion"], champion=Champion(4, same=True))
    (verdict,) = RULES["beats"](contest)
    assert (verdict.passed, verdict.found) == (True, "champion version 4 is this very model")


def test_what_is_not_finite_is_shown_as_text(task):
    assert [shown(value) for value in (0.5, float("nan"), float("inf"))] == [0.5, "nan", "inf"]
