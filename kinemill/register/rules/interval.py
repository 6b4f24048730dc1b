"""The whole confidence interval of model / reference is below 1: the win is significant.

The interval is the 95 % interval of the ratio of `promote.metric` on the same rows, over blocks of
rows or whole episodes (see kinemill.verify.significance). Of returns and successes it is that of
the difference, start by start, and has to be above 0.
"""

import math

from kinemill.register.metric import metric_of
from kinemill.register.opponents import CHAMPION, agreed_to_break, is_absent, own_reference, to_beat
from kinemill.register.rules import NOBODY, RULES, GateInputs, Paired, Verdict
from kinemill.register.test_size import is_enough
from kinemill.verify.comparison import Comparison


@RULES.register("interval")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when the paired 95 % interval of model / reference is below 1, for each of `beats`.

    A smaller error without any interval, for want of test data, makes a champion provisional at
    most.

    Refused: the test split is too small to tell the two apart; more or longer test episodes narrow
    the interval. `promote.interval: false` takes the numbers as they are.
    """
    if not contest.task.promote.interval:
        return []
    return [_against(name, contest) for name in to_beat(contest) if not _is_waived(name, contest)]


def _is_waived(name: str, contest: GateInputs) -> bool:
    """Tell whether there is no such reference, or the challenger is it; `beats` says so."""
    return name == own_reference(contest) or is_absent(contest, name)


def _against(name: str, contest: GateInputs) -> Verdict:
    rule = f"interval_{name}"
    if name == CHAMPION:
        return _against_champion(rule, contest)
    found = contest.references.get(name)
    if found is None:
        return Verdict(rule, False, "was not measured", f"{name} surely beaten")
    return _sure(contest, rule, found, name)


def _against_champion(rule: str, contest: GateInputs) -> Verdict:
    champion = contest.champion
    if champion is None:
        return Verdict(rule, passed=True, found=NOBODY, wanted=f"{NOBODY}, or surely beaten")
    if champion.same:
        return Verdict(rule, passed=True, found="this very model", wanted="not worse")
    if champion.paired is None:
        agreed = agreed_to_break(champion, contest)
        found = "approved as breaking" if agreed else "the champion was not measured"
        return Verdict(rule, passed=agreed, found=found, wanted="surely beaten")
    if champion.provisional and is_enough(contest):
        return _not_surely_worse(contest, rule, champion.paired)
    return _sure(contest, rule, champion.paired, CHAMPION)


def _sure(contest: GateInputs, rule: str, found: Paired, name: str) -> Verdict:
    if metric_of(contest.task).larger:
        return _above_zero(rule, *found.interval)
    if found.reference == math.inf:
        passed = math.isfinite(found.model)
        return Verdict(rule, passed, f"{name} diverges", "surely beaten")
    return _below_one(rule, found)


def _not_surely_worse(contest: GateInputs, rule: str, found: Paired) -> Verdict:
    (low, high), larger = found.interval, metric_of(contest.task).larger
    passed = high >= 0.0 if larger else 0.0 <= low <= 1.0
    if not larger and found.reference == math.inf:
        passed = math.isfinite(found.model)
    wanted = "not surely worse: the champion is provisional"
    return Verdict(rule, passed, _told(low, high, found.headline), wanted)


def _below_one(rule: str, found: Paired) -> Verdict:
    low, high = found.interval
    passed = 0.0 <= low <= high < 1.0  # never true for a NaN: too little to tell by
    undecided = math.isnan(high) and 0.0 <= found.model < found.reference < math.inf
    wanted = "below 1: 95 % interval of model / reference"
    return Verdict(rule, passed, _told(low, high, found.headline), wanted, undecided)


def _above_zero(rule: str, low: float, high: float) -> Verdict:
    passed = 0.0 < low <= high < math.inf  # never true for a NaN
    wanted = "above 0: 95 % interval of model - reference"
    return Verdict(rule, passed, _told(low, high, None), wanted)


def _told(low: float, high: float, found: Comparison | None) -> str:
    """Say the interval, what it stands on, and how small a difference it could have shown."""
    amount = f"{found.effective_n:.2g} independent {found.unit}" if found is not None else ""
    if not math.isfinite(high):
        return f"no interval: {amount or 'too few episodes'}"
    told = f"{low:.4g} to {high:.4g}"
    if found is None:
        return told
    told += f", {amount}"
    if math.isfinite(found.detectable):
        told += f"; a difference of {100.0 * found.detectable:.2g} % would have been found"
    return told
