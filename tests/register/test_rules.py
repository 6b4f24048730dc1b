import inspect
import math
from dataclasses import replace

import pytest

from kinemill.register.explaining import advice
from kinemill.register.gate import judge
from kinemill.register.rules import (
    RULES,
    Approval,
    Champion,
    Contest,
    Measured,
    Repeated,
    is_of,
    shown,
)

NAN = math.nan
# Every rule that a task may ask for, asked for.
ALL = {
    "max_channel_loss": 0.1,
    "max_size": 1.0,
    "max_diverged": 0.01,
    "max_data_age": 86400.0,
    "min_test_episodes": 2,
    "approval": True,
}


def _contest(task, nrmse=None, passed=True, p99=0.1, champion=None, **promote):
    changed = task.model_copy(update={"promote": task.promote.model_copy(update=promote)})
    document = {
        "passed": passed,
        "metrics": {"test": {}, "nrmse": nrmse or {}},
        "verification": {"latency_ms": {"p99": p99}},
        "gates": [],
    }
    return Contest(changed, document, champion)


def _errs(error, windows=12, **channels):
    return Measured(error, channels, windows, 3)


def _good(task, **changes):
    """A contest that passes every rule there is."""
    settings = task.verify.model_copy(update={"latency_p99_ms": 1.0})
    wanted = task.promote.model_copy(update=ALL)
    task = task.model_copy(update={"verify": settings, "promote": wanted})
    document = {
        "passed": True,
        "metrics": {"test": {}, "nrmse": {"model": 0.1, "persistence": 0.9, "linear": 0.3}},
        "verification": {"passed": True, "parity": True, "latency_ms": {"p99": 0.5}},
        "gates": [],
        "against": {who: {"interval": [0.2, 0.4]} for who in ("persistence", "linear")},
        "windows": {"count": 12},
        "stability": {"diverged": 0.0},
    }
    champion = Champion(
        4,
        _errs(0.2, position=1.0, velocity=2.0),
        _errs(0.1, position=1.0, velocity=1.0),
        (0.4, 0.6),
    )
    whole = Contest(
        task,
        document,
        champion,
        _errs(0.1),
        size=1e5,
        age=3600.0,
        served=(True, "answered"),
        approval=Approval("ann", "2026-11-20T10:00:00+00:00"),
        repeated=Repeated(0.0, 0.0, 0.0),
    )
    return replace(whole, **changes)


def test_what_passes_every_rule_passes_the_gate(task):
    verdicts = judge(_good(task))
    assert [verdict.rule for verdict in verdicts if not verdict.passed] == []
    assert {name for name in RULES if any(is_of(name, item.rule) for item in verdicts)} == set(
        RULES
    )


@pytest.mark.parametrize("name", list(RULES))
def test_no_rule_passes_what_was_not_measured(name, task):
    good = _good(task)
    for nothing in (None, NAN):
        errors = {"model": nothing, "persistence": NAN, "linear": NAN}
        document = {
            "passed": nothing,
            "metrics": {"nrmse": errors},
            "verification": {"parity": nothing, "latency_ms": {"p99": nothing}},
            "against": {"linear": {"interval": [nothing, nothing]}},
            "stability": {"diverged": nothing},
        }
        unknown = Champion(1, _errs(NAN), _errs(NAN), differs=None)
        contest = Contest(good.task, document, unknown)
        assert [verdict.passed for verdict in RULES[name](contest)].count(True) == 0
        assert RULES[name](contest)
        assert not any(v.passed for v in RULES[name](replace(contest, verification={})))


@pytest.mark.parametrize("name", list(RULES))
def test_every_rule_says_what_it_asks_and_what_to_do_about_a_refusal(name):
    assert "Refused:" in inspect.getdoc(RULES[name])
    assert len(advice(name)) > 20
    assert advice(f"{name}_linear") == advice(name)


def _with(good, **promote):
    task = good.task
    return replace(
        good, task=task.model_copy(update={"promote": task.promote.model_copy(update=promote)})
    )


REFUSALS = {
    "size": {"size": 1.1e6},
    "freshness": {"age": 86401.0},
    "episodes": {"measured": Measured(0.1, {}, 12, 1)},
    "approval": {"approval": None},
    "serves": {"served": (False, "ended with code -11")},
    "measured": {"measured": _errs(0.102)},
}


@pytest.mark.parametrize("rule", list(REFUSALS))
def test_each_rule_refuses_what_is_beyond_its_bound_and_no_other_rule_does(rule, task):
    verdicts = judge(_good(task, **REFUSALS[rule]))
    assert [verdict.rule for verdict in verdicts if not verdict.passed] == [rule]


def test_fewer_windows_than_the_gate_itself_finds_are_no_verification(task):
    good = _good(task)
    fewer = replace(good, verification=good.verification | {"windows": {"count": 11}})
    assert [v.rule for v in judge(fewer) if not v.passed] == ["measured"]


def test_one_channel_may_not_pay_for_the_others(task):
    good = _good(task)
    champion = replace(good.champion, rival=_errs(0.1, position=1.11, velocity=0.5))
    (verdict,) = [v for v in judge(replace(good, champion=champion)) if not v.passed]
    assert (verdict.rule, verdict.found) == ("channels", "position 1.11")
    for odd in ({"velocity": 0.5}, {"position": NAN, "velocity": 0.5}):
        broken = replace(good, champion=replace(champion, rival=_errs(0.1, **odd)))
        assert [v.rule for v in judge(broken) if not v.passed] == ["channels"]


@pytest.mark.parametrize(
    ("interval", "passed"),
    [((0.4, 0.99), True), ((0.4, 1.0), False), ((0.9, 1.1), False), ((NAN, NAN), False)],
)
def test_a_win_within_the_interval_of_chance_is_none(task, interval, passed):
    good = _good(task)
    champion = replace(good.champion, interval=interval)
    refused = [v.rule for v in judge(replace(good, champion=champion)) if not v.passed]
    assert refused == ([] if passed else ["interval_champion"])
    assert judge(_with(replace(good, champion=champion), interval=False))


def test_another_interface_needs_a_person_who_says_that_it_breaks(task):
    good = _good(task)
    champion = Champion(4, problem="cannot be compared: dt ...", differs=("dt ...",))
    other = replace(good, champion=champion)
    refused = ["beats_champion", "channels", "interface", "interval_champion"]
    assert [v.rule for v in judge(other) if not v.passed] == refused
    breaking = replace(other, approval=Approval("ann", "2026", breaking=True))
    assert [v.rule for v in judge(breaking) if not v.passed] == []


def test_a_broken_or_absent_champion_cannot_be_beaten_not_even_by_breaking(task):
    gone = Champion(4, problem="version 4: was champion, and its alias is gone", differs=None)
    contest = _good(task, champion=gone, approval=Approval("ann", "2026", breaking=True))
    refused = ["beats_champion", "channels", "interface", "interval_champion"]
    assert [v.rule for v in judge(contest) if not v.passed] == refused


def test_the_first_model_ever_has_all_but_a_champion_to_beat(task):
    contest = _good(task, champion=None)
    assert [v.rule for v in judge(contest) if not v.passed] == []
    worse = contest.verification | {"metrics": {"nrmse": {"model": 0.1, "linear": 0.1}}}
    refused = [v.rule for v in judge(replace(contest, verification=worse)) if not v.passed]
    assert refused == ["beats_persistence", "beats_linear"]


@pytest.mark.parametrize(
    ("model", "reference", "passed"),
    [
        (0.98, 1.0, True),
        (0.9800001, 1.0, False),
        (0.0, 0.0, False),  # a tie
        (0.0, 1.0, True),
        (-0.5, 1.0, False),  # no error is negative: somebody turned the metric round
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
    asked = ["beats_linear_sincos", "interval_linear_sincos"]
    assert [item.rule for item in verdicts if item.rule[:2] in ("be", "in")] == [
        asked[0],
        "independent",
        "interface",
        asked[1],
    ]


def test_a_champion_that_is_the_very_same_model_is_no_obstacle(task):
    contest = _contest(task, {"model": 0.1}, beats=["champion"], champion=Champion(4, same=True))
    (verdict,) = RULES["beats"](contest)
    assert (verdict.passed, verdict.found) == (True, "champion version 4 is this very model")


def test_what_is_not_finite_is_shown_as_text(task):
    assert [shown(value) for value in (0.5, float("nan"), float("inf"))] == [0.5, "nan", "inf"]


@pytest.mark.parametrize(
    ("repeats", "shares", "passed"),
    [
        ("together", Repeated(0.3, 0.2, 1.0), True),  # validation alone refuses nothing
        ("together", Repeated(0.3, 0.21, 0.0), False),
        ("together", Repeated(0.51, 0.0, 0.0), False),
        ("apart", Repeated(1.0, 0.5, 0.0), True),  # the same motion over and over, as stated
        ("apart", Repeated(0.0, 0.51, 0.0), False),
        ("together", Repeated(NAN, 0.0, 0.0), False),
    ],
)
def test_a_test_split_that_repeats_the_training_rows_measures_memory(task, repeats, shares, passed):
    kept = task.dataset.model_copy(update={"repeats": repeats})
    contest = replace(_good(task.model_copy(update={"dataset": kept})), repeated=shares)
    (line,) = RULES["independent"](contest)
    assert line.passed is passed
    assert "of the test rows" in str(line.wanted)
    assert "repeats: apart" in advice("independent")
