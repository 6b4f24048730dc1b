"""The improvement is significant: the interval of model / reference is below 1.

The confidence interval is the paired 95 % interval of the ratio of `promote.metric`, over blocks of
rows or whole episodes (see kinemill.verify.significance). For returns and success rates it is the
interval of the difference per start, and has to be above 0.
"""

import math

from kinemill.register.gate.metric import metric_of
from kinemill.register.gate.opponents import (
    CHAMPION,
    is_absent,
    is_break_approved,
    own_reference,
    to_beat,
)
from kinemill.register.gate.rules import NO_CHAMPION, RULES, GateInputs, Paired, Verdict
from kinemill.register.gate.sample_size import is_enough
from kinemill.verify.comparison import Comparison


@RULES.register("interval")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the paired 95 % interval of model / reference is below 1, for each of `beats`.

    A smaller error with too little test data for an interval makes a provisional champion only.

    Refused: the test split is too small to show a difference; more or longer test episodes narrow
    the interval. `promote.interval: false` compares without an interval.
    """
    if not inputs.task.promote.interval:
        return []
    return [_against(name, inputs) for name in to_beat(inputs) if not _is_waived(name, inputs)]


def _is_waived(name: str, inputs: GateInputs) -> bool:
    """Return whether the reference is absent or is the challenger; `beats` reports that."""
    return name == own_reference(inputs) or is_absent(inputs, name)


def _against(name: str, inputs: GateInputs) -> Verdict:
    rule = f"interval_{name}"
    if name == CHAMPION:
        return _against_champion(rule, inputs)
    found = inputs.references.get(name)
    if found is None:
        return Verdict(rule, False, "was not measured", f"{name} significantly beaten")
    return _sure(inputs, rule, found, name)


def _against_champion(rule: str, inputs: GateInputs) -> Verdict:
    champion = inputs.champion
    if champion is None:
        return Verdict(
            rule, passed=True, found=NO_CHAMPION, wanted=f"{NO_CHAMPION}, or significantly beaten"
        )
    if champion.same:
        return Verdict(rule, passed=True, found="the same model", wanted="not worse")
    if champion.paired is None:
        agreed = is_break_approved(champion, inputs)
        found = "approved as breaking" if agreed else "the champion was not measured"
        return Verdict(rule, passed=agreed, found=found, wanted="significantly beaten")
    if champion.provisional and is_enough(inputs):
        return _not_significantly_worse(inputs, rule, champion.paired)
    return _sure(inputs, rule, champion.paired, CHAMPION)


def _sure(inputs: GateInputs, rule: str, found: Paired, name: str) -> Verdict:
    if metric_of(inputs.task).larger:
        return _above_zero(rule, *found.interval)
    if found.reference == math.inf:
        passed = math.isfinite(found.model)
        return Verdict(rule, passed, f"{name} diverges", "significantly beaten")
    return _below_one(rule, found)


def _not_significantly_worse(inputs: GateInputs, rule: str, found: Paired) -> Verdict:
    (low, high), larger = found.interval, metric_of(inputs.task).larger
    passed = high >= 0.0 if larger else 0.0 <= low <= 1.0
    if not larger and found.reference == math.inf:
        passed = math.isfinite(found.model)
    wanted = "not significantly worse: the champion is provisional"
    return Verdict(rule, passed, _text(low, high, found.headline), wanted)


def _below_one(rule: str, found: Paired) -> Verdict:
    low, high = found.interval
    passed = 0.0 <= low <= high < 1.0  # false for NaN: too little data
    undecided = math.isnan(high) and 0.0 <= found.model < found.reference < math.inf
    wanted = "below 1: 95 % interval of model / reference"
    return Verdict(rule, passed, _text(low, high, found.headline), wanted, undecided)


def _above_zero(rule: str, low: float, high: float) -> Verdict:
    passed = 0.0 < low <= high < math.inf  # false for NaN
    wanted = "above 0: 95 % interval of model - reference"
    return Verdict(rule, passed, _text(low, high, None), wanted)


def _text(low: float, high: float, found: Comparison | None) -> str:
    """Format the interval, the effective sample size and the smallest detectable difference."""
    amount = f"{found.effective_n:.2g} independent {found.unit}" if found is not None else ""
    if not math.isfinite(high):
        return f"no interval: {amount or 'too few episodes'}"
    text = f"{low:.4g} to {high:.4g}"
    if found is None:
        return text
    text += f", {amount}"
    if math.isfinite(found.detectable):
        text += f"; a difference of {100.0 * found.detectable:.2g} % is detectable"
    return text
