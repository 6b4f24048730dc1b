"""The challenger is not significantly worse than any reference, at any horizon or channel.

The rule compares one step, several horizons and whole free-run episodes, for each channel and the
mean, with the strongest reference there and with the champion, whose outputs count as channels too.
The Holm procedure keeps the probability of any false loss at 5 % (see kinemill.verify.losses).
`promote.horizons` and `promote.channels` select the comparisons.
"""

import math
from collections.abc import Sequence

from kinemill.register.gate.metric import metric_of
from kinemill.register.gate.opponents import (
    CHAMPION,
    compared,
    identical_reference,
    is_absent,
    verdict_without_measurement,
)
from kinemill.register.gate.rules import RULES, GateInputs, Verdict
from kinemill.task.promote import FREE_RUN, TRIVIAL
from kinemill.verify.findings import horizon_words
from kinemill.verify.losses import (
    FEWEST,
    Counted,
    Horizons,
    Loss,
    all_losses,
    counts_between_peers,
    peers_of,
)
from kinemill.verify.phrases import amount

_LISTED = 3  # losses listed in a line


@RULES.register("no_worse")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the challenger is not significantly worse than any of `promote.beats`.

    A difference below the tolerance of a channel is none: noise, resolution, and a hundredth of its
    range. A loss to a fitted reference makes a provisional champion only, and so does a loss on one
    channel or at another horizon than verify.horizon and free run.

    Significantly worse means worse by more than `promote.margin` (for the champion the larger of
    that and `promote.max_channel_loss`), or more than twice the error where there is too little
    data for an interval. Whole episodes count where the reference's error is below 0.8 of the
    training std; elsewhere only an error more than three times as large counts. A reference that
    diverges at a horizon is skipped there. A challenger that is a reference is compared with the
    other fitted references at verify.horizon and over whole episodes, averaged over channels.

    Refused: a channel or another horizon is worse. Raise learn.budget of a portfolio; train a
    single model with shorter and longer learn.horizon, or with a larger weight of the channel in
    learn.weights; or exclude what does not matter with promote.horizons and promote.channels.
    """
    metric = metric_of(inputs.task)
    if inputs.task.learn.gives != "dynamics":
        return []
    last = inputs.task.verify.horizon
    horizons = compared(inputs)
    counted = Counted.of(inputs.task.promote, last)
    identical = identical_reference(inputs)
    losses = all_losses(horizons, counted, identical, last)
    peers = peers_of(identical)
    between = (str(last), *(horizon for horizon in counted.horizons if horizon == FREE_RUN))
    at = {name: between if name in peers else counted.horizons for name in metric.opponents}
    lines = [_line(name, inputs, horizons, losses, at[name]) for name in metric.opponents]
    return [line for line in lines if line is not None]


def _line(
    name: str,
    inputs: GateInputs,
    compared_models: dict[str, Horizons],
    losses: dict[str, list[Loss]],
    horizons: Sequence[str],
) -> Verdict | None:
    rule = f"no_worse_{name}"
    if name == identical_reference(inputs) or is_absent(inputs, name):
        return None  # the rule `beats` reports it
    expected = f"nowhere significantly worse: {', '.join(map(horizon_words, horizons))}"
    if name in compared_models:
        if lost := losses[name]:
            last = inputs.task.verify.horizon
            is_peer = name in peers_of(identical_reference(inputs))
            is_doubt = is_peer or all(_is_doubt(loss, name, last) for loss in lost)
            undecided = name != CHAMPION and is_doubt
            return Verdict(rule, False, _format_losses(lost), expected, undecided)
        return _nowhere(rule, compared_models[name], horizons, expected)
    if name == CHAMPION:
        return verdict_without_measurement(rule, inputs, expected)
    return Verdict(rule, False, "was not measured", expected)


def _is_doubt(loss: Loss, name: str, last: int) -> bool:
    """Return whether a loss to a reference is neither a divergence nor one to a trivial model."""
    is_whole = counts_between_peers(loss.horizon, loss.channel, last)
    return loss.why in {"significant", "gross"} and not (is_whole and name in TRIVIAL)


def _format_losses(losses: Sequence[Loss]) -> str:
    """Format the worst losses, and the number of further ones."""
    worst = sorted(losses, key=_rank, reverse=True)
    text = "; ".join(map(_format_loss, worst[:_LISTED]))
    more = len(worst) - _LISTED
    return f"{text}; and {more} more" if more > 0 else text


def _rank(loss: Loss) -> float:
    ratio = loss.comparison.ratio if loss.comparison else math.inf
    return ratio if math.isfinite(ratio) else math.inf


def _format_loss(loss: Loss) -> str:
    where = f"{loss.channel} {horizon_words(loss.horizon)}"
    if loss.comparison is None:
        return f"{where} was not measured"
    if loss.why == "diverges":
        return f"{where} diverges"
    item = loss.comparison
    is_known = math.isfinite(item.high) and item.effective_n >= FEWEST
    interval = f" ({amount(item.low)} to {amount(item.high)})" if is_known else ""
    return f"{where} {amount(item.ratio)} x{interval}"


def _nowhere(rule: str, comparisons: Horizons, horizons: Sequence[str], expected: str) -> Verdict:
    """Report the largest ratio; pass if there is any comparison at all."""
    listed = [
        (item, channel, horizon)
        for horizon in horizons
        for channel, item in comparisons[horizon].items()
    ]
    ratios = [(item.ratio, *where) for item, *where in listed if math.isfinite(item.ratio)]
    if not ratios:
        passed = any(
            math.isfinite(item.error) and item.reference == math.inf for item, *_ in listed
        )
        return Verdict(rule, passed, "the reference diverges wherever it is compared", expected)
    ratio, channel, horizon = max(ratios, key=lambda item: item[0])
    return Verdict(
        rule, True, f"at most {ratio:.3g} x, {channel} {horizon_words(horizon)}", expected
    )
