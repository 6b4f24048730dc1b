"""The challenger's error is smaller, by the margin, than each reference that the task names.

Errors are `promote.metric` on the test split, all at the same horizon and from the same starts:
RMSE over the channel's standard deviation, averaged over channels (no unit).
"""

import math

from kinemill.register.rules import RULES, Champion, Contest, Verdict, number, shown


@RULES.register("beats")
def judge(contest: Contest) -> list[Verdict]:
    """Compare with each of `promote.beats`: model <= (1 - margin) * reference, all finite."""
    return [_against(name, contest) for name in contest.task.promote.beats]


def _against(name: str, contest: Contest) -> Verdict:
    errors = contest.verification["metrics"]["nrmse"]
    model, rule = number(errors.get("model")), f"beats_{name}"
    if name != "champion":
        return _compare(rule, model, _reference(errors, name), contest.task.promote.margin)
    champion = contest.champion
    if champion is None:
        return Verdict(rule, passed=True, found="no champion", wanted="no champion, or beaten")
    return _against_champion(rule, model, champion, contest)


def _reference(errors: dict[str, object], name: str) -> float:
    """Return a measured reference; null stands for one that diverged, so any model beats it."""
    return math.inf if name in errors and errors[name] is None else number(errors.get(name))


def _against_champion(rule: str, model: float, champion: Champion, contest: Contest) -> Verdict:
    who = f"champion version {champion.version}"
    if champion.same:
        return Verdict(rule, passed=True, found=f"{who} is this very model", wanted="not worse")
    if champion.problem is not None:
        return Verdict(rule, passed=False, found=champion.problem, wanted=f"less than {who}")
    return _compare(rule, model, number(champion.error), contest.task.promote.margin, who)


def _compare(rule: str, model: float, reference: float, margin: float, who: str = "") -> Verdict:
    bound = (1.0 - margin) * reference
    passed = math.isfinite(model) and model <= bound  # never true for a NaN on either side
    name = who or rule.removeprefix("beats_")
    wanted = f"<= {bound:.6g} ({name}: {reference:.6g}, margin {margin:g})"
    return Verdict(rule, passed, shown(model), wanted)
