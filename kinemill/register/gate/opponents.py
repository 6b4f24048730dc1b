"""Models that a challenger has to beat, and its comparisons with them."""

import math
from collections.abc import Iterable, Mapping

from kinemill.register.gate.inputs import NO_CHAMPION, GateInputs, Paired
from kinemill.register.gate.metric import metric_of
from kinemill.register.verdict import Verdict
from kinemill.task.promote import REFERENCES, TRIVIAL
from kinemill.verify.losses import GROSS, Horizons

CHAMPION = "champion"


def identical_reference(inputs: GateInputs) -> str | None:
    """Return the reference that the challenger is identical to, if the task allows that.

    The gate compares predictions, not names: see `Paired.itself`.
    """
    if not inputs.task.promote.allow_reference:
        return None
    references = inputs.references.items()
    return next(
        (name for name, paired in references if paired.itself and name not in TRIVIAL), None
    )


def to_beat(inputs: GateInputs) -> list[str]:
    """Return the names of the models to beat: `promote.beats`, champion included.

    A challenger that is a reference has to beat the trivial references and the champion. It was
    selected among the other references on validation data, so it only must not be worse than them.
    """
    opponents = metric_of(inputs.task).opponents
    identical = identical_reference(inputs)
    if identical is None:
        return list(opponents)
    return [name for name in opponents if name not in REFERENCES or name in (*TRIVIAL, identical)]


def is_absent(inputs: GateInputs, name: str) -> bool:
    """Return whether this reference does not exist for this data, but another one does."""
    others = [
        opponent for opponent in metric_of(inputs.task).opponents if opponent in inputs.references
    ]
    return name in inputs.absent and bool(others)


def compared(inputs: GateInputs) -> dict[str, Horizons]:
    """Return the comparisons with each of `promote.beats`, champion included, at all horizons."""
    pairs = _pairs(inputs, metric_of(inputs.task).opponents)
    return {name: paired.horizons for name, paired in pairs.items()}


def headlines(inputs: GateInputs) -> Mapping[str, Paired]:
    """Return the comparisons that a verdict uses, by name of the opponent."""
    return _pairs(inputs, to_beat(inputs))


def _pairs(inputs: GateInputs, names: Iterable[str]) -> dict[str, Paired]:
    """Return the comparisons with those of some opponents that were measured, by name."""
    identical = identical_reference(inputs)
    measured = dict(inputs.references)
    if inputs.champion is not None and inputs.champion.paired is not None:
        measured[CHAMPION] = inputs.champion.paired
    return {name: measured[name] for name in names if name in measured and name != identical}


def verdict_without_measurement(rule: str, inputs: GateInputs, expected: str) -> Verdict:
    """Return the verdict on a missing, identical or unmeasured champion."""
    champion = inputs.champion
    if champion is None:
        return Verdict(rule, True, NO_CHAMPION, f"{NO_CHAMPION}, or {expected}")
    if champion.same:
        return Verdict(rule, True, f"{champion.name} is the same model", expected)
    value = champion.problem or "was not measured"
    # A user approved an interface that differs from the champion's.
    if inputs.approval is not None and inputs.approval.breaking and champion.differs:
        return Verdict(rule, True, f"{value}; approved as breaking", expected)
    return Verdict(rule, False, value, expected)


def is_doubt(inputs: GateInputs, name: str, paired: Paired) -> bool:
    """Return whether a model may serve although it does not beat this reference.

    Persistence and constant velocity show whether a dynamics model predicts at all, and all
    references of a policy whether it imitates: harm is an error that is significantly larger.
    """
    if not math.isfinite(paired.model) or metric_of(inputs.task).larger:
        return False
    if name not in TRIVIAL and inputs.task.learn.gives != "policy":
        return True
    low = paired.interval[0]
    significant = paired.headline is not None and not paired.headline.is_equal and low > 1.0
    gross = math.isnan(low) and paired.model > GROSS * paired.reference
    return not (significant or gross)
