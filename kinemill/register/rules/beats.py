"""The challenger's error is smaller, by the margin, than each reference that the task names.

Errors are `promote.metric` on the test split, all at the same horizon and from the same starts:
RMSE over the channel's standard deviation, averaged over channels (no unit), or the RMSE of one
channel (its unit); infinite for both if any channel diverges. Of policies it is the mean return, or
the share of successes, from the same starts, and more is better. The champion is measured afresh,
on the challenger's own test split or trials. Where there never was a champion, none has to be
beaten; one that is gone or broken cannot be.
"""

import math

from kinemill.register.metric import Metric, claimed, metric_of
from kinemill.register.rules import NOBODY, RULES, Champion, Contest, Verdict, number, shown
from kinemill.spec.promoting import SUCCESS


@RULES.register("beats")
def judge(contest: Contest) -> list[Verdict]:
    """Compare with each of `promote.beats`: model <= (1 - margin) * reference, all finite.

    Of returns and successes: model >= reference + margin * |reference|, or all that there can be,
    which is `promote.ceiling`; and more than the reference.

    Refused: train longer, on more logs, or another model (kinemill tune); a smaller promote.margin
    asks for less. Where a policy brings as much as the champion there is nothing to do. A champion
    that is gone or broken is replaced by hand: kinemill promote.
    """
    return [_against(name, contest) for name in metric_of(contest.task).rivals]


def _against(name: str, contest: Contest) -> Verdict:
    metric, rule = metric_of(contest.task), f"beats_{name}"
    if name != "champion":
        found = claimed(contest.verification, metric)
        who = name if metric.channel is None else f"{name}, {metric.channel}"
        reference = _reference(found, name, metric)
        return _compared(contest, rule, number(found.get("model")), reference, who)
    if contest.champion is None:
        return Verdict(rule, passed=True, found=NOBODY, wanted=f"{NOBODY}, or beaten")
    return _against_champion(rule, contest.champion, contest)


def _compared(contest: Contest, rule: str, model: float, reference: float, who: str) -> Verdict:
    margin, metric = contest.task.promote.margin, metric_of(contest.task)
    if metric.larger:
        ceiling = 1.0 if metric.name == SUCCESS else contest.task.promote.ceiling
        most = math.inf if ceiling is None else ceiling
        return compare_more(rule, model, reference, margin, (f"{metric.name} of {who}", most))
    return compare(rule, model, reference, margin, who)


def _reference(errors: dict[str, object], name: str, metric: Metric) -> float:
    """Return a measured reference; null stands for one that diverged, so any model beats it."""
    if metric.larger:
        return number(errors.get(name))  # of returns there is nothing that null could stand for
    return math.inf if name in errors and errors[name] is None else number(errors.get(name))


def _against_champion(rule: str, champion: Champion, contest: Contest) -> Verdict:
    who = f"champion version {champion.version}"
    if champion.same:
        return Verdict(rule, passed=True, found=f"{who} is this very model", wanted="not worse")
    if champion.measured is None or champion.rival is None:
        breaking = contest.approval is not None and contest.approval.breaking
        agreed = breaking and bool(champion.differs)
        found = champion.problem or "was not measured"
        if agreed:
            found = f"{found}; approved as breaking"
        return Verdict(rule, passed=agreed, found=found, wanted=f"better than {who}")
    channel = contest.task.promote.channel
    who = who if channel is None else f"{who}, {channel}"
    return _compared(contest, rule, champion.rival.error, champion.measured.error, who)


def compare(rule: str, model: float, reference: float, margin: float, who: str = "") -> Verdict:
    """Pass a model that errs less than a reference, by the margin; a tie is no win."""
    bound = (1.0 - margin) * reference
    # Never true for a NaN on either side, nor for what is no error, such as a negative number.
    passed = 0.0 <= model <= bound and model < reference and math.isfinite(model)
    name = who or rule.removeprefix("beats_")
    wanted = f"<= {bound:.6g} ({name}: {reference:.6g}, margin {margin:g})"
    return Verdict(rule, passed, shown(model), wanted)


def compare_more(
    rule: str, model: float, reference: float, margin: float, about: tuple[str, float]
) -> Verdict:
    """Pass a policy that brings more than a reference, by the margin; a tie is no win.

    Args:
        rule: name of the line.
        model: what it brings.
        reference: what the other one does.
        margin: relative, to the size of the reference.
        about: whose what it is, and how much there can be at most; more is not asked for.
    """
    who, most = about
    asked = reference + margin * abs(reference)
    bound = min(asked, most) if reference <= most else asked  # a reference above disproves it
    # Never true for a NaN on either side.
    passed = bound <= model and model > reference and math.isfinite(model)
    sign, all_of_it = ">=" if bound > reference else ">", ", all there is" * (reference == most)
    wanted = f"{sign} {bound:.6g} ({who}: {reference:.6g}{all_of_it}, margin {margin:g})"
    tie = f"{model:.6g}, not better: as much as the {who}, nothing measurable to gain"
    return Verdict(rule, passed, tie if model == reference else shown(model), wanted)
