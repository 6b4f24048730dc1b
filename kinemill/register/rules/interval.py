"""The win is larger than chance: the whole interval of model / reference is below 1.

The interval is the 95 % bootstrap interval of the ratio of `promote.metric`, drawn over test
episodes (over blocks of time where there are fewer than five), the same draws for both. Of returns
and successes it is that of the difference, start by start, and has to be above 0.
"""

import math

from kinemill.register.metric import claimed, claimed_interval, metric_of
from kinemill.register.rules import NOBODY, RULES, Champion, Contest, Verdict, number


@RULES.register("interval")
def judge(contest: Contest) -> list[Verdict]:
    """Pass when the paired 95 % interval of model / reference is below 1, for each of `beats`.

    Refused: the test split is too small to tell the two apart; more or longer test episodes narrow
    the interval. `promote.interval: false` takes the numbers as they are.
    """
    wanted, rivals = contest.task.promote, metric_of(contest.task).rivals
    return [_against(name, contest) for name in rivals] if wanted.interval else []


def _against(name: str, contest: Contest) -> Verdict:
    rule = f"interval_{name}"
    if name != "champion":
        metric = metric_of(contest.task)
        interval = _known(claimed_interval(contest.verification, metric, name))
        if metric.larger:
            return _above_zero(rule, *interval)
        errors = claimed(contest.verification, metric)
        if name in errors and errors[name] is None:
            return _endless(rule, name)
        return _below_one(rule, *interval)
    if contest.champion is None:
        return Verdict(rule, passed=True, found=NOBODY, wanted=f"{NOBODY}, or surely beaten")
    return _against_champion(rule, contest.champion, contest)


def _against_champion(rule: str, champion: Champion, contest: Contest) -> Verdict:
    if champion.same:
        return Verdict(rule, passed=True, found="this very model", wanted="not worse")
    if champion.measured is None:
        breaking = contest.approval is not None and contest.approval.breaking
        agreed = breaking and bool(champion.differs)
        found = "approved as breaking" if agreed else "the champion was not measured"
        return Verdict(rule, passed=agreed, found=found, wanted="surely beaten")
    if metric_of(contest.task).larger:
        return _above_zero(rule, *champion.interval)
    if champion.measured.error == math.inf:
        return _endless(rule, "champion")
    return _below_one(rule, *champion.interval)


def _endless(rule: str, name: str) -> Verdict:
    return Verdict(rule, passed=True, found=f"{name} diverges", wanted="surely beaten")


def _known(interval: object) -> tuple[float, float]:
    low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
    return number(low), number(high)


def _below_one(rule: str, low: float, high: float) -> Verdict:
    passed = 0.0 <= low <= high < 1.0  # never true for a NaN: too few episodes to draw from
    found = f"{low:.4g} to {high:.4g}" if math.isfinite(high) else "no interval: too few episodes"
    return Verdict(rule, passed, found, "below 1: 95 % interval of model / reference")


def _above_zero(rule: str, low: float, high: float) -> Verdict:
    passed = 0.0 < low <= high < math.inf  # never true for a NaN
    found = f"{low:.4g} to {high:.4g}" if math.isfinite(high) else "no interval"
    return Verdict(rule, passed, found, "above 0: 95 % interval of model - reference")
