"""The improvement is significant: the interval of model / reference is below 1.

The confidence interval is the paired 95 % interval of the ratio of `promote.metric`, over blocks of
rows or whole episodes (see kinemill.verify.significance). For returns and success rates it is the
interval of the difference per start, and has to be above 0.
"""

import math
from dataclasses import replace

from kinemill.register.gate.metric import metric_of
from kinemill.register.gate.opponents import (
    CHAMPION,
    identical_reference,
    is_absent,
    is_doubt,
    to_beat,
    verdict_without_measurement,
)
from kinemill.register.gate.rules import RULES, GateInputs, Paired, Verdict
from kinemill.register.gate.sample_size import is_enough
from kinemill.verify.comparison import Comparison
from kinemill.verify.phrases import is_interval_stated, percent, samples, shortage_words


@RULES.register("interval")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the paired 95 % interval of model / reference is below 1, for each of `beats`.

    A smaller error whose interval reaches 1 makes a provisional champion only.

    Refused: the test split is too small to show a difference; more or longer test episodes narrow
    the interval. `promote.interval: false` compares without an interval.
    """
    if not inputs.task.promote.interval:
        return []
    return [_against(name, inputs) for name in to_beat(inputs) if not _is_waived(name, inputs)]


def _is_waived(name: str, inputs: GateInputs) -> bool:
    """Return whether the reference is absent or is the challenger; `beats` reports that."""
    return name == identical_reference(inputs) or is_absent(inputs, name)


def _against(name: str, inputs: GateInputs) -> Verdict:
    rule = f"interval_{name}"
    if name == CHAMPION:
        return _against_champion(rule, inputs)
    paired = inputs.references.get(name)
    if paired is None:
        return Verdict(rule, False, "was not measured", f"{name} significantly beaten")
    return _sure(inputs, rule, paired, name)


def _against_champion(rule: str, inputs: GateInputs) -> Verdict:
    champion = inputs.champion
    if champion is None or champion.same or champion.paired is None:
        return verdict_without_measurement(rule, inputs, "significantly beaten")
    if champion.provisional and is_enough(inputs):
        return _not_significantly_worse(inputs, rule, champion.paired)
    return _sure(inputs, rule, champion.paired, CHAMPION)


def _sure(inputs: GateInputs, rule: str, paired: Paired, name: str) -> Verdict:
    if metric_of(inputs.task).larger:
        return _compare_returns(rule, paired, champion=name == CHAMPION)
    if paired.reference == math.inf:
        passed = math.isfinite(paired.model)
        return Verdict(rule, passed, f"{name} diverges", "significantly beaten")
    line = _compare_errors(rule, paired, champion=name == CHAMPION)
    doubtful = name != CHAMPION and is_doubt(inputs, name, paired)
    return replace(line, undecided=not line.passed and (line.undecided or doubtful))


def _not_significantly_worse(inputs: GateInputs, rule: str, paired: Paired) -> Verdict:
    (low, high), larger = paired.interval, metric_of(inputs.task).larger
    passed = high >= 0.0 if larger else 0.0 <= low <= 1.0
    if not larger and paired.reference == math.inf:
        passed = math.isfinite(paired.model)
    expected = "not significantly worse: the champion is provisional"
    return Verdict(rule, passed, _text(low, high, paired.headline), expected)


def _compare_errors(rule: str, paired: Paired, *, champion: bool) -> Verdict:
    low, high = paired.interval
    passed = 0.0 <= low <= high < 1.0  # false for NaN: too little data
    better = 0.0 <= paired.model < paired.reference < math.inf
    # A champion is replaced for a gain that was shown, or where the data can show none.
    undecided = not passed and better and (math.isnan(high) or not champion)
    expected = "below 1: 95 % interval of model / reference"
    return Verdict(rule, passed, _text(low, high, paired.headline), expected, undecided)


def _compare_returns(rule: str, paired: Paired, *, champion: bool) -> Verdict:
    low, high = paired.interval
    passed = 0.0 < low <= high < math.inf  # false for NaN
    undecided = not passed and not champion and paired.model > paired.reference
    expected = "above 0: 95 % interval of model - reference"
    return Verdict(rule, passed, _text(low, high, None), expected, undecided)


def _text(low: float, high: float, comparison: Comparison | None) -> str:
    """Format the interval, its sample size and the smallest difference that it can show."""
    is_counted = comparison is not None and math.isfinite(comparison.effective_n)
    amount = samples(comparison.effective_n, comparison.unit) if comparison and is_counted else ""
    if not math.isfinite(high):
        return f"no interval: {amount or 'too few episodes'}"
    if low == high == 1.0:
        return "exactly 1: the errors are equal"
    text = f"{low:.3g} to {high:.3g}"
    if comparison is None:
        return text
    if not is_interval_stated(comparison):
        return f"not known: {shortage_words(comparison)}" if amount else "not known"
    if not math.isfinite(comparison.detectable):
        return f"{text}, from {amount}"
    return f"{text}, from {amount}, enough to show a difference of {percent(comparison.detectable)}"
