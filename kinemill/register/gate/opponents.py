"""Models that a challenger has to beat, and its comparisons with them."""

import math
from collections.abc import Mapping

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
    pairs: dict[str, Paired] = {
        name: inputs.references[name]
        for name in metric_of(inputs.task).opponents
        if name in inputs.references and name != identical_reference(inputs)
    }
    return {name: paired.horizons for name, paired in (pairs | _champion(inputs)).items()}


def headlines(inputs: GateInputs) -> Mapping[str, Paired]:
    """Return the comparisons that a verdict uses, by name of the opponent."""
    pairs = {
        name: inputs.references[name]
        for name in to_beat(inputs)
        if name in inputs.references and name != identical_reference(inputs)
    }
    return pairs | _champion(inputs)


def _champion(inputs: GateInputs) -> dict[str, Paired]:
    """Return the comparison with the champion under its name, if it exists and counts."""
    champion = inputs.champion
    if champion is None or champion.paired is None or CHAMPION not in to_beat(inputs):
        return {}
    return {CHAMPION: champion.paired}


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
