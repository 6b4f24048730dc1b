"""The challenger's error is smaller, by the margin, than each reference that the task names.

Errors are `promote.metric` on the test split, all at the same horizon and from the same starts:
RMSE over the channel's standard deviation, averaged over channels (no unit), or the RMSE of one
channel (its unit); infinite for both if any channel diverges. The champion is measured afresh, on
the challenger's own test split. Where there never was a champion, none has to be beaten; one that
is gone or broken cannot be.
"""

import math

from kinemill.register.metric import claimed
from kinemill.register.rules import NOBODY, RULES, Champion, Contest, Verdict, number, shown


@RULES.register("beats")
def judge(contest: Contest) -> list[Verdict]:
    """Compare with each of `promote.beats`: model <= (1 - margin) * reference, all finite.

    Refused: train longer, on more logs, or another model (kinemill tune); a smaller promote.margin
    asks for less. A champion that is gone or broken is replaced by hand: kinemill promote.
    """
    return [_against(name, contest) for name in contest.task.promote.beats]


def _against(name: str, contest: Contest) -> Verdict:
    margin, rule = contest.task.promote.margin, f"beats_{name}"
    if name != "champion":
        channel = contest.task.promote.channel
        errors = claimed(contest.verification, channel)
        who = name if channel is None else f"{name}, {channel}"
        return compare(rule, number(errors.get("model")), _reference(errors, name), margin, who)
    if contest.champion is None:
        return Verdict(rule, passed=True, found=NOBODY, wanted=f"{NOBODY}, or beaten")
    return _against_champion(rule, contest.champion, contest)


def _reference(errors: dict[str, object], name: str) -> float:
    """Return a measured reference; null stands for one that diverged, so any model beats it."""
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
        return Verdict(rule, passed=agreed, found=found, wanted=f"less than {who}")
    margin, channel = contest.task.promote.margin, contest.task.promote.channel
    who = who if channel is None else f"{who}, {channel}"
    return compare(rule, champion.rival.error, champion.measured.error, margin, who)


def compare(rule: str, model: float, reference: float, margin: float, who: str = "") -> Verdict:
    """Pass a model that errs less than a reference, by the margin; a tie is no win."""
    bound = (1.0 - margin) * reference
    # Never true for a NaN on either side, nor for what is no error, such as a negative number.
    passed = 0.0 <= model <= bound and model < reference and math.isfinite(model)
    name = who or rule.removeprefix("beats_")
    wanted = f"<= {bound:.6g} ({name}: {reference:.6g}, margin {margin:g})"
    return Verdict(rule, passed, shown(model), wanted)
