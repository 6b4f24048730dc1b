import inspect
import math
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from kinemill.register.gate.evaluation import conclude, evaluate
from kinemill.register.gate.report import advice
from kinemill.register.gate.rules import (
    RULES,
    Approval,
    Champion,
    GateInputs,
    GateRule,
    Measured,
    Paired,
    RowOverlap,
    Verdict,
    enabled_rules,
    to_json_number,
)
from kinemill.register.robot_trials import RobotTrials
from kinemill.register.verdict import is_of
from kinemill.task.bounds import Ratio
from kinemill.task.promote import Promote
from kinemill.verify.check_results import CallLatency, CheckSummary
from kinemill.verify.checklist import Gate
from kinemill.verify.document import ModelKind, Verification
from kinemill.verify.results import (
    AnalysisResults,
    CalibrationCurves,
    ClosedLoop,
    LoopEpisode,
    Metrics,
    ResidualStatistics,
    Stability,
    WindowCounts,
)
from tests.register.conftest import BASELINES, HISTORY, paired

NAN = math.nan


def _example(name):
    """Return a rule with the settings `EXAMPLE` of its own test file, which `_good` passes."""
    file = Path(__file__).parent / "rules" / f"test_{name}.py"
    return RULES[name].model_validate(runpy.run_path(str(file))["EXAMPLE"])


LIMITED = {name: _example(name) for name in RULES if isinstance(RULES[name], type)}
# Every rule that a task may ask for, asked for.
ALL = {
    "rules": LIMITED,
    "max_channel_loss": 0.1,
    "max_size": 1.0,
    "max_diverged": 0.01,
    "min_success": 0.75,
    "coverage": (0.85, 0.95),
    "max_data_age": 86400.0,
    "min_test_episodes": 2,
    "approval": True,
}


def _gate_inputs(task, model=0.1, champion=None, references=BASELINES, **promote):
    """Return a contest of a model with this error at every horizon and channel."""
    changed = task.model_copy(update={"promote": task.promote.model_copy(update=promote)})
    summary = CheckSummary(latency_ms=CallLatency(p99=0.1))
    document = Verification(passed=True, metrics=Metrics({}, {"model": model}), summary=summary)
    values = {name: paired(model, error) for name, error in references.items()}
    return GateInputs(changed, document, champion, references=values)


def _errs(error, windows=12, episodes=3, **channels):
    return Measured(error, channels, windows, episodes, HISTORY)


def _champion(model=0.1, reference=0.2, interval=(0.4, 0.6), **changes):
    fields = {
        "measured": _errs(reference, position=1.0, velocity=2.0),
        "challenger": _errs(model, position=1.0, velocity=1.0),
        "paired": paired(model, reference, interval),
    }
    return Champion(4, **(fields | changes))


def _closed_loop(successes, episodes):
    runs = [LoopEpisode(seed, 1.0, seed < successes, 500) for seed in range(episodes)]
    return ClosedLoop("pendulum", runs, successes, 1.0, 9.0, 5.0)


def _calibrated(*shares):
    """Return an analysis with these coverages of 90 % intervals, and with 0.02 more."""
    coverage = {"position": list(shares), "velocity": [share + 0.02 for share in shares]}
    curves = CalibrationCurves(12, {"0.9": coverage}, {}, {})
    return AnalysisResults({}, ResidualStatistics(0, 0, 0.0, {}), [], curves)


def _good(task, **changes):
    """Return a contest that passes every rule."""
    settings = task.verify.model_copy(update={"latency_p99_ms": 1.0})
    expected = task.promote.model_copy(update=ALL)
    task = task.model_copy(update={"verify": settings, "promote": expected})
    document = Verification(
        passed=True,
        metrics=Metrics({}, {"model": 0.1, **BASELINES}),
        summary=CheckSummary(True, True, True, CallLatency(p99=0.5)),
        windows=WindowCounts(count=12, history=HISTORY),
        stability=Stability(1000, 32, 0.0, {}, None),
        closed_loop=_closed_loop(3, 4),
        analysis=_calibrated(0.9, 0.86),
    )
    whole = GateInputs(
        task,
        document,
        _champion(),
        measured=_errs(0.1),
        references={name: paired(0.1, error) for name, error in BASELINES.items()},
        absent={"physics": "no velocity says what it is the derivative of"},
        size=1e5,
        age=3600.0,
        served=(True, "answered"),
        approval=Approval("ann", "2026-11-20T10:00:00+00:00"),
        overlap=RowOverlap(0.0, 0.0, 0.0),
        trials=RobotTrials(20, 20, (0.83, 1.0), "ann", "2026-11-20T10:00:00+00:00", ""),
    )
    return replace(whole, **changes)


def _refused(gate_inputs):
    return [verdict.rule for verdict in evaluate(gate_inputs) if not verdict.passed]


def test_what_passes_every_rule_passes_the_gate(task):
    verdicts = evaluate(_good(task))
    assert [verdict.rule for verdict in verdicts if not verdict.passed] == []
    seen = {name for name in RULES if any(is_of(name, item.rule) for item in verdicts)}
    assert seen == set(RULES)


@pytest.mark.parametrize("name", list(RULES))
def test_no_rule_passes_what_was_not_measured(name, task):
    good = _good(task)
    nothing = {"p_worse": NAN, "effective_n": NAN, "detectable": NAN}
    unknown = {
        "nothing": {},
        "NaN": {"linear": paired(NAN, NAN, (NAN, NAN), **nothing), "persistence": Paired(NAN, NAN)},
        "a model of NaN": {"linear": paired(NAN, 0.3, (NAN, NAN), **nothing)},
        "a reference of NaN": {"linear": paired(0.1, NAN, (NAN, NAN), **nothing)},
        "a pair without horizons": {"linear": Paired(NAN, 0.3)},
    }
    for references in unknown.values():
        unknown_errors = {"measured": _errs(NAN), "challenger": _errs(NAN)}
        pair = references.get("linear")
        champion = Champion(1, **unknown_errors, paired=pair, differs=None)
        unverified = Verification(closed_loop=_closed_loop(0, 0))
        no_trials = RobotTrials(0, 0, (NAN, NAN), "", "", "")
        inputs = GateInputs(
            good.task, unverified, champion, references=references, trials=no_trials
        )
        verdicts = (LIMITED.get(name) or RULES[name])(inputs)
        assert [verdict.passed for verdict in verdicts].count(True) == 0
        assert verdicts
        assert conclude(inputs, evaluate(inputs)).decision == "refused"


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


# What a champion refuses that cannot be measured.
UNMEASURED = ["beats_champion", "channels", "interface", "interval_champion", "no_worse_champion"]
REFUSALS = {
    "size": {"size": 1.1e6},
    "freshness": {"age": 86401.0},
    "evidence": {"measured": Measured(0.1, {}, 12, 1, HISTORY)},
    "approval": {"approval": None},
    "serves": {"served": (False, "ended with code -11")},
    "measured": {"measured": _errs(0.102)},
}


@pytest.mark.parametrize("rule", list(REFUSALS))
def test_each_rule_refuses_what_is_beyond_its_bound_and_no_other_rule_does(rule, task):
    verdicts = evaluate(_good(task, **REFUSALS[rule]))
    assert [verdict.rule for verdict in verdicts if not verdict.passed] == [rule]


def test_fewer_windows_than_the_gate_itself_finds_are_no_verification(task):
    good = _good(task)
    for values in ({"count": 11, "history": HISTORY}, {"count": 12, "history": 4}, {"count": 12}):
        windows = WindowCounts(**values)
        other = replace(good, verification=replace(good.verification, windows=windows))
        assert _refused(other) == ["measured"]


@pytest.mark.parametrize(("successes", "episodes"), [(2, 4), (0, 0)])
def test_a_model_that_its_controller_fails_with_is_refused(task, successes, episodes):
    good = _good(task)
    verified = replace(good.verification, closed_loop=_closed_loop(successes, episodes))
    other = replace(good, verification=verified)
    assert _refused(other) == ["closed_loop"]
    assert _refused(_with(other, min_success=None)) == []


@pytest.mark.parametrize(("refused", "passes"), [(0, True), (100, True), (101, False)])
def test_a_planner_that_finds_no_plan_at_too_many_steps_is_refused(task, refused, passes):
    """100 steps without a plan in 4 episodes of 500 steps are 5 %."""
    good = _with(_good(task), max_refused=0.05)
    loop = _closed_loop(3, 4)
    runs = [replace(loop.episodes[0], refused=refused), *loop.episodes[1:]]
    verified = replace(good.verification, closed_loop=replace(loop, episodes=runs))
    other = replace(good, verification=verified)
    assert _refused(other) == ([] if passes else ["closed_loop_refused"])
    nothing = replace(good.verification, closed_loop=None)
    assert "closed_loop_refused" in _refused(replace(good, verification=nothing))


@pytest.mark.parametrize(
    ("shares", "worst"),
    [((0.9, 0.83, 0.9), 0.84), ((0.9, 0.95), 0.96), ((NAN, 0.9), None), ((0.9, NAN), None)],
)
def test_intervals_that_cover_too_little_or_too_much_are_refused(task, shares, worst):
    good = _good(task)
    verified = replace(good.verification, analysis=_calibrated(*shares))
    other = replace(good, verification=verified)
    (verdict,) = [one for one in evaluate(other) if not one.passed]
    assert verdict.rule == "coverage"
    assert verdict.value == (to_json_number(NAN) if worst is None else pytest.approx(worst))
    assert _refused(_with(other, coverage=None)) == []


def test_a_model_without_uncertainty_covers_nothing(task):
    good = _good(task)
    analysis = replace(good.verification.analysis, calibration=None)
    for absent in (analysis, None):
        other = replace(good, verification=replace(good.verification, analysis=absent))
        assert _refused(other) == ["coverage"]


def test_one_channel_may_not_pay_for_the_others(task):
    good = _good(task)
    champion = replace(good.champion, challenger=_errs(0.1, position=1.11, velocity=0.5))
    (verdict,) = [v for v in evaluate(replace(good, champion=champion)) if not v.passed]
    assert (verdict.rule, verdict.value) == ("channels", "position 1.11")
    for odd in ({"velocity": 0.5}, {"position": NAN, "velocity": 0.5}):
        broken = replace(good, champion=replace(champion, challenger=_errs(0.1, **odd)))
        assert [v.rule for v in evaluate(broken) if not v.passed] == ["channels"]


@pytest.mark.parametrize(
    ("interval", "passed"),
    [((0.4, 0.99), True), ((0.4, 1.0), False), ((0.9, 1.1), False), ((NAN, NAN), False)],
)
def test_a_win_within_the_interval_of_chance_is_none(task, interval, passed):
    inputs = replace(_good(task), champion=_champion(interval=interval))
    refused = _refused(inputs)
    assert refused == ([] if passed else ["interval_champion"])
    assert _refused(_with(inputs, interval=False)) == []


def test_a_model_that_predicts_what_the_champion_predicts_is_called_equal(task):
    inputs = _good(task)
    equal = paired(0.1, 0.1, (1.0, 1.0))
    inputs = replace(inputs, champion=replace(inputs.champion, paired=equal))
    values = {line.rule: line.value for line in evaluate(inputs)}
    assert values["beats_champion"] == "0.1, equal to champion version 4: no measurable gain"
    assert values["interval_champion"] == "exactly 1: the errors are equal"


def test_another_interface_needs_a_person_who_says_that_it_breaks(task):
    good = _good(task)
    champion = Champion(4, problem="cannot be compared: dt ...", differs=("dt ...",))
    other = replace(good, champion=champion)
    assert _refused(other) == UNMEASURED
    breaking = replace(other, approval=Approval("ann", "2026", breaking=True))
    assert [v.rule for v in evaluate(breaking) if not v.passed] == []


def test_another_history_breaks_nobody_where_one_of_the_two_is_a_reference(task):
    line = "history of the champion 40, of the challenger 10"
    good = _good(task)
    differs = replace(good.champion, differs=(line,))
    assert _refused(replace(good, champion=differs)) == ["interface"]
    champion = replace(good, champion=replace(differs, reference=True))
    challenges = replace(
        good,
        champion=differs,
        verification=replace(good.verification, model=ModelKind("arx", 40, "linear")),
    )
    for inputs in (champion, challenges):
        assert _refused(inputs) == []
        (verdict,) = [one for one in evaluate(inputs) if one.rule == "interface"]
        assert verdict.value == f"{line}; the history of a reference may differ"
    other = replace(differs, reference=True, differs=(line, "dt ..."))
    assert _refused(replace(good, champion=other)) == ["interface"]


def test_a_broken_or_absent_champion_cannot_be_beaten_not_even_by_breaking(task):
    deleted = Champion(4, problem="version 4: was champion, and its alias is gone", differs=None)
    inputs = _good(task, champion=deleted, approval=Approval("ann", "2026", breaking=True))
    assert _refused(inputs) == UNMEASURED


def test_the_first_model_ever_has_all_but_a_champion_to_beat(task):
    inputs = _good(task, champion=None)
    assert [v.rule for v in evaluate(inputs) if not v.passed] == []
    equal = inputs.references | {"linear": paired(0.3, 0.3)}
    refused = ["beats_linear", "interval_linear"]
    assert _refused(replace(inputs, references=equal)) == refused


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
        (-float("inf"), 1.0, False),
    ],
)
def test_the_margin_is_relative_and_only_finite_models_beat(task, model, reference, passed):
    inputs = _gate_inputs(
        task, model, references={"linear": reference}, beats=["linear"], margin=0.02
    )
    (verdict,) = RULES["beats"](inputs)
    assert verdict.passed is passed


@pytest.mark.parametrize(("model", "passed"), [(0.1, False), (0.0999, True)])
def test_tie_at_margin_0_keeps_the_reference(task, model, passed):
    inputs = _gate_inputs(task, model, references={"linear": 0.1}, beats=["linear"], margin=0.0)
    assert [verdict.passed for verdict in RULES["beats"](inputs)] == [passed]


def test_only_the_named_references_are_asked_about(task):
    verdicts = evaluate(_gate_inputs(task, beats=["linear_sincos"], champion=Champion(1)))
    named = ("beats", "interval", "no_worse")
    assert [item.rule for item in verdicts if any(is_of(name, item.rule) for name in named)] == [
        f"{name}_linear_sincos" for name in named
    ]


def test_a_champion_that_is_the_very_same_model_is_no_obstacle(task):
    inputs = _gate_inputs(task, beats=["champion"], champion=Champion(4, same=True))
    (verdict,) = RULES["beats"](inputs)
    assert (verdict.passed, verdict.value) == (True, "champion version 4 is the same model")


def test_what_is_not_finite_is_shown_as_text(task):
    assert [to_json_number(value) for value in (0.5, NAN, math.inf)] == [0.5, "nan", "inf"]


@pytest.mark.parametrize(
    ("shares", "passed"),
    [
        (RowOverlap(0.5, 0.0, 1.0), True),  # validation alone refuses nothing
        (RowOverlap(0.51, 0.0, 0.0), False),
        (RowOverlap(0.0, 1.0, 0.0), True),  # the same motion over and over
        (RowOverlap(NAN, 0.0, 0.0), False),
    ],
)
def test_independent_with_copies_of_training_rows_fails_and_with_repetitions_passes(
    task, shares, passed
):
    (line,) = RULES["independent"](replace(_good(task), overlap=shares))
    assert line.passed is passed
    assert line.expected == "copies: <= 50% of the test rows"
    if shares.repetitions:
        assert "100% of the test rows repeat a trained motion" in str(line.value)
    assert "dataset.test" in advice("independent")


def _failing(good, name, failed_line, what):
    document, line = good.verification, Gate(name, False, failed_line, "at most 0.002 m")
    summary = replace(document.summary, **{what: False})
    return replace(good, verification=replace(document, summary=summary, gates=[line]))


def test_a_loss_of_precision_is_refused_in_units_and_says_what_to_do(task):
    lost = "float32 loses 0.0016 m of position over 25 steps; the error of the model is 0.002 m"
    (line,) = RULES["precision"](_failing(_good(task), "precision", lost, "precision"))
    assert (line.passed, line.value, line.expected) == (False, lost, "at most 0.002 m")
    assert "export.precision: float64" in advice("precision")
    assert "fewer lags" in advice("precision")


def test_out_of_parity_says_whether_the_trained_model_is_finite(task):
    spoilt = "the trained model gives numbers that are not finite"
    (line,) = RULES["parity"](_failing(_good(task), "step parity", spoilt, "parity"))
    assert (line.passed, line.value) == (False, f"other outputs: step parity: {spoilt}")
    for cause in ("bug in the export", "training diverged", "precision"):
        assert cause in advice("parity")


class Flash(GateRule):
    """Pass if the files fit. Refused: use fewer layers."""

    megabytes: Ratio

    def __call__(self, inputs):
        return [Verdict("flash", inputs.size / 1e6 <= self.megabytes, inputs.size, "fits")]


@pytest.mark.parametrize(("megabytes", "passed"), [(None, []), (0.5, [True]), (0.001, [False])])
def test_rule_with_settings_applies_if_the_task_sets_it(task, monkeypatch, megabytes, passed):
    monkeypatch.setitem(RULES._loaded, "flash", Flash)
    rules = {"flash": {"megabytes": megabytes}} if megabytes else {}
    promote = Promote.model_validate({"rules": rules})
    assert Promote.model_validate(promote.model_dump()) == promote
    inputs = replace(_good(task.model_copy(update={"promote": promote})), size=100_000)
    enabled = enabled_rules(promote.rules)
    verdicts = [verdict for rule in enabled if isinstance(rule, Flash) for verdict in rule(inputs)]
    assert [verdict.passed for verdict in verdicts] == passed


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"size": {"megabytes": 1}}, "'size' takes no settings; rules with settings: flash"),
        ({"flas": {}}, "unknown name; did you mean 'flash'?"),
        ({"flash": {"megabites": 1}}, "megabites"),
    ],
)
def test_wrong_settings_of_rules_are_refused(monkeypatch, rules, message):
    monkeypatch.setitem(RULES._loaded, "flash", Flash)
    with pytest.raises(ValidationError, match=re.escape(message)):
        Promote.model_validate({"rules": rules})
