"""The challenger is not surely worse than any reference, at any horizon, on any channel.

Compared are one step, several horizons and whole episodes on own predictions, each channel and
their mean, each against the strongest reference there and the champion; the procedure of Holm keeps
the chance of one false loss among all of them at 5 % (see kinemill.verify.losses).
`promote.horizons` and `promote.channels` say what counts.
"""

import math
from collections.abc import Sequence

from kinemill.register.metric import metric_of
from kinemill.register.opponents import (
    CHAMPION,
    agreed_to_break,
    compared,
    is_absent,
    own_reference,
)
from kinemill.register.rules import NOBODY, RULES, Champion, GateInputs, Verdict
from kinemill.task.promote import FREE_RUN
from kinemill.verify.losses import Counted, Horizons, Loss, all_losses, peers_of

_SHOWN = 3  # losses spelled in a line


@RULES.register("no_worse")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when no comparison with one of `promote.beats` shows the challenger surely worse.

    Surely worse by more than `promote.margin`, than the champion by more than
    `promote.max_channel_loss` if that is larger; or more than twice the error where there is too
    little data for an interval. Whole episodes count where a reference is nearer to the truth than
    0.8 of the training spread; elsewhere only three times its error does. A reference that diverges
    at a horizon is none there. A challenger that is a reference has to be no worse than the other
    fitted ones at verify.horizon and over whole episodes, averaged over the channels.

    Refused: better at verify.horizon, at the cost of a channel or another horizon. Train over
    shorter and longer learn.horizon, weigh the channel in learn.loss, or say what does not matter:
    promote.horizons, promote.channels.
    """
    metric = metric_of(contest.task)
    if contest.task.learn.gives != "dynamics":
        return []
    last, known = contest.task.verify.horizon, compared(contest)
    counted, own = Counted.of(contest.task.promote, last), own_reference(contest)
    found, peers = all_losses(known, counted, own, last), peers_of(own)
    between = (str(last), *(one for one in counted.horizons if one == FREE_RUN))
    at = {name: between if name in peers else counted.horizons for name in metric.rivals}
    lines = [_line(name, contest, known, found, at[name]) for name in metric.rivals]
    return [line for line in lines if line is not None]


def _line(
    name: str,
    contest: GateInputs,
    known: dict[str, Horizons],
    found: dict[str, list[Loss]],
    horizons: Sequence[str],
) -> Verdict | None:
    rule = f"no_worse_{name}"
    if name == own_reference(contest) or is_absent(contest, name):
        return None  # `beats` says so
    wanted = f"nowhere surely worse: {', '.join(map(at_horizon, horizons))}"
    if name in known:
        if found[name]:
            return Verdict(rule, False, _told_losses(found[name]), wanted)
        return _nowhere(rule, known[name], horizons, wanted)
    if name == CHAMPION:
        return _unmeasured_champion(rule, contest, wanted)
    return Verdict(rule, False, "was not measured", wanted)


def _unmeasured_champion(rule: str, contest: GateInputs, wanted: str) -> Verdict:
    champion: Champion | None = contest.champion
    if champion is None:
        return Verdict(rule, passed=True, found=NOBODY, wanted=f"{NOBODY}, or {wanted}")
    if champion.same:
        return Verdict(rule, passed=True, found="this very model", wanted=wanted)
    agreed = agreed_to_break(champion, contest)
    found = "approved as breaking" if agreed else champion.problem or "was not measured"
    return Verdict(rule, agreed, found, wanted)


def _told_losses(found: Sequence[Loss]) -> str:
    """Spell the worst losses, and how many more there are."""
    worst = sorted(found, key=_rank, reverse=True)
    told = "; ".join(map(_spell, worst[:_SHOWN]))
    more = len(worst) - _SHOWN
    return f"{told}; and {more} more" if more > 0 else told


def _rank(loss: Loss) -> float:
    ratio = loss.comparison.ratio if loss.comparison else math.inf
    return ratio if math.isfinite(ratio) else math.inf


def _spell(loss: Loss) -> str:
    where = f"{loss.channel} {at_horizon(loss.horizon)}"
    if loss.comparison is None:
        return f"{where} was not measured"
    if loss.why == "diverges":
        return f"{where} diverges"
    one = loss.comparison
    interval = f" ({one.low:.3g} to {one.high:.3g})" if math.isfinite(one.high) else ""
    return f"{where} {one.ratio:.3g} x{interval}"


def _nowhere(rule: str, known: Horizons, horizons: Sequence[str], wanted: str) -> Verdict:
    """Say where the model is nearest to being worse; pass if there is any comparison at all."""
    every = [
        (one, channel, horizon) for horizon in horizons for channel, one in known[horizon].items()
    ]
    ratios = [(one.ratio, *where) for one, *where in every if math.isfinite(one.ratio)]
    if not ratios:
        passed = any(math.isfinite(one.error) and one.reference == math.inf for one, *_ in every)
        return Verdict(rule, passed, "the reference diverges wherever it is compared", wanted)
    ratio, channel, horizon = max(ratios, key=lambda one: one[0])
    return Verdict(rule, True, f"at most {ratio:.3g} x, {channel} {at_horizon(horizon)}", wanted)


def at_horizon(key: str) -> str:
    """Spell a horizon: `1` is after 1 step, `free_run` in free run."""
    if key == FREE_RUN:
        return "in free run"
    return f"after {key} step{'s' * (key != '1')}"
