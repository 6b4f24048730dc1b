"""The challenger's error is smaller, by the margin, than that of each reference the task names.

Errors are `promote.metric` on the test split, all at the same horizon and from the same rows, as
the gate measures them itself: RMSE over the channel's standard deviation in training, averaged over
channels (no unit), or the RMSE of one channel (its unit); infinite for both if any diverges. Of
policies it is the mean return, or the share of successes, from the same starts, and more is
better. The champion is measured afresh, on the challenger's own test split or trials. Where there
never was a champion, none has to be beaten; one that is gone or broken cannot be.
"""

import math

from kinemill.register.metric import metric_of
from kinemill.register.opponents import CHAMPION, agreed_to_break, is_absent, own_reference, to_beat
from kinemill.register.rules import NOBODY, RULES, Champion, GateInputs, Paired, Verdict, shown
from kinemill.register.test_size import is_enough
from kinemill.task.promote import SUCCESS


@RULES.register("beats")
def judge(contest: GateInputs) -> list[Verdict]:
    """Compare with each of `promote.beats`: model <= (1 - margin) * reference, all finite.

    Of returns and successes: model >= reference + margin * |reference|, or all that there can be,
    which is `promote.ceiling`; and more than the reference. A challenger that is a reference itself
    has to beat persistence, constant velocity and the champion. Than a provisional champion, enough
    test data provided, it may only not be worse.

    Refused: train longer, on more logs, or another model (kinemill tune); a smaller promote.margin
    asks for less. Where a reference is better, let it be the model: promote.allow_reference. Where
    a policy brings as much as the champion there is nothing to do. A champion that is gone or
    broken is replaced by hand: kinemill promote.
    """
    return [_against(name, contest) for name in to_beat(contest)]


def _against(name: str, contest: GateInputs) -> Verdict:
    rule, metric = f"beats_{name}", metric_of(contest.task)
    if name == CHAMPION:
        return _against_champion(rule, contest)
    if name == own_reference(contest):
        return Verdict(rule, True, f"the model is this reference, {name}", "beaten, or this one")
    who = name if metric.channel is None else f"{name}, {metric.channel}"
    found = contest.references.get(name)
    if found is not None:
        return _compared(contest, rule, found, who)
    if is_absent(contest, name):
        found = f"no reference on this data: {contest.absent[name]}"
        return Verdict(rule, True, found, "beaten, where it is one")
    return Verdict(rule, False, "was not measured", f"better than {who}")


def _compared(contest: GateInputs, rule: str, found: Paired, who: str) -> Verdict:
    margin, metric = contest.task.promote.margin, metric_of(contest.task)
    if metric.larger:
        ceiling = 1.0 if metric.name == SUCCESS else contest.task.promote.ceiling
        most = math.inf if ceiling is None else ceiling
        about = f"{metric.name} of {who}", most
        return compare_more(rule, found.model, found.reference, margin, about)
    return compare(rule, found, margin, who)


def _against_champion(rule: str, contest: GateInputs) -> Verdict:
    champion = contest.champion
    if champion is None:
        return Verdict(rule, passed=True, found=NOBODY, wanted=f"{NOBODY}, or beaten")
    who = f"champion version {champion.version}"
    if champion.same:
        return Verdict(rule, passed=True, found=f"{who} is this very model", wanted="not worse")
    if champion.paired is None:
        agreed = agreed_to_break(champion, contest)
        found = champion.problem or "was not measured"
        if agreed:
            found = f"{found}; approved as breaking"
        return Verdict(rule, passed=agreed, found=found, wanted=f"better than {who}")
    channel = contest.task.promote.channel
    who = who if channel is None else f"{who}, {channel}"
    if champion.provisional and is_enough(contest):
        return _not_worse(contest, rule, champion, champion.paired)
    return _compared(contest, rule, champion.paired, who)


def _not_worse(contest: GateInputs, rule: str, champion: Champion, found: Paired) -> Verdict:
    """Pass what is as good as a provisional champion, by the margin: it was never established."""
    margin, model, reference = contest.task.promote.margin, found.model, found.reference
    who = f"provisional champion version {champion.version}: {reference:.6g}, margin {margin:g}"
    if metric_of(contest.task).larger:
        bound = reference - margin * abs(reference)
        passed = bound <= model and math.isfinite(model)
        return Verdict(rule, passed, shown(model), f">= {bound:.6g} ({who})")
    bound = (1.0 + margin) * reference
    passed = 0.0 <= model <= bound and math.isfinite(model)
    return Verdict(rule, passed, shown(model), f"<= {bound:.6g} ({who})")


def compare(rule: str, found: Paired, margin: float, who: str) -> Verdict:
    """Pass a model whose error is smaller than a reference's, by the margin; a tie is no win."""
    model, reference = found.model, found.reference
    bound = (1.0 - margin) * reference
    # Never true for a NaN on either side, nor for what is no error, such as a negative number.
    passed = 0.0 <= model <= bound and model < reference and math.isfinite(model)
    told = shown(model)
    if passed and found.headline is not None and math.isfinite(reference):
        # Errors below what the sensor resolves are equal, whatever their digits.
        passed = found.headline.ratio <= 1.0 - margin
        told = told if passed else f"{model:.6g}, which the sensor does not resolve"
    wanted = f"<= {bound:.6g} ({who}: {reference:.6g}, margin {margin:g})"
    return Verdict(rule, passed, told, wanted)


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
