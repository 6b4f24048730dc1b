"""The challenger's error is smaller than the error of each reference, by the margin.

The error is `promote.metric` on the test split, at the same horizon and on the same rows for all.
The gate measures it: RMSE over the channel's standard deviation in training, averaged over channels
(no unit), or the RMSE of one channel (its unit); infinite if a rollout diverges. For policies the
metric is the mean return or the success rate from the same starts, and more is better. The champion
is measured on the challenger's test split or trials. The rule passes if there never was a champion,
and fails if the champion was deleted or cannot be loaded.
"""

import math
from dataclasses import replace

from kinemill.register.gate.metric import metric_of
from kinemill.register.gate.opponents import (
    CHAMPION,
    identical_reference,
    is_absent,
    is_doubt,
    to_beat,
    verdict_without_measurement,
)
from kinemill.register.gate.rules import (
    RULES,
    Champion,
    GateInputs,
    Paired,
    Verdict,
    to_json_number,
)
from kinemill.register.gate.sample_size import is_enough
from kinemill.task.promote import SUCCESS
from kinemill.verify.phrases import percent


@RULES.register("beats")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Compare with each of `promote.beats`: model <= (1 - margin) * reference, all finite.

    For returns and success rates: model >= reference + margin * |reference|, limited to
    `promote.ceiling`, and model > reference. A challenger that is itself a reference must beat
    persistence, constant velocity and the champion. With enough test data, a provisional champion
    is replaced by a challenger that is not worse. A first model that is not significantly worse
    than these two becomes provisional champion, and a first policy that imitates not significantly
    worse than any of its references.

    Refused: train longer, on more logs, or another model (kinemill model tune), or set a smaller
    promote.margin.
    Where a policy has the champion's return, no action is needed. Replace a champion that was
    deleted or is broken manually: kinemill model promote.
    """
    return [_against(name, inputs) for name in to_beat(inputs)]


def _against(name: str, inputs: GateInputs) -> Verdict:
    rule = f"beats_{name}"
    metric = metric_of(inputs.task)
    if name == CHAMPION:
        return _against_champion(rule, inputs)
    if name == identical_reference(inputs):
        return Verdict(rule, True, f"the model is this reference, {name}", "beaten, or this one")
    who = name if metric.channel is None else f"{name}, {metric.channel}"
    paired = inputs.references.get(name)
    if paired is not None:
        line = _compared(inputs, rule, paired, who)
        return replace(line, undecided=not line.passed and is_doubt(inputs, name, paired))
    if is_absent(inputs, name):
        paired = f"no reference on this data: {inputs.absent[name]}"
        return Verdict(rule, True, paired, "beaten, where it exists")
    return Verdict(rule, False, "was not measured", f"better than {who}")


def _compared(inputs: GateInputs, rule: str, paired: Paired, who: str) -> Verdict:
    margin = inputs.task.promote.margin
    metric = metric_of(inputs.task)
    if metric.larger:
        ceiling = 1.0 if metric.name == SUCCESS else inputs.task.promote.ceiling
        most = math.inf if ceiling is None else ceiling
        who = f"{metric.name} of {who}"
        return compare_more(rule, paired.model, paired.reference, margin, who, most)
    return compare(rule, paired, margin, who)


def _against_champion(rule: str, inputs: GateInputs) -> Verdict:
    champion = inputs.champion
    if champion is None or champion.same or champion.paired is None:
        return verdict_without_measurement(rule, inputs, "beaten")
    channel = inputs.task.promote.channel
    who = champion.name if channel is None else f"{champion.name}, {channel}"
    if champion.provisional and is_enough(inputs):
        return _not_worse(inputs, rule, champion, champion.paired)
    return _compared(inputs, rule, champion.paired, who)


def _not_worse(inputs: GateInputs, rule: str, champion: Champion, paired: Paired) -> Verdict:
    """Pass a challenger that is as good as a provisional champion, by the margin."""
    margin = inputs.task.promote.margin
    model = paired.model
    reference = paired.reference
    who = f"provisional {champion.name}: {reference:.4g}"
    if metric_of(inputs.task).larger:
        bound = reference - margin * abs(reference)
        passed = bound <= model and math.isfinite(model)
        expected = f">= {bound:.4g} ({who}, less {percent(margin)})"
        return Verdict(rule, passed, to_json_number(model), expected)
    bound = (1.0 + margin) * reference
    passed = 0.0 <= model <= bound and math.isfinite(model)
    expected = f"<= {bound:.4g} ({who}, plus {percent(margin)})"
    return Verdict(rule, passed, to_json_number(model), expected)


def compare(rule: str, paired: Paired, margin: float, who: str) -> Verdict:
    """Pass a model whose error is smaller than the reference's, by the margin; a tie fails."""
    model = paired.model
    reference = paired.reference
    bound = (1.0 - margin) * reference
    # False for NaN on either side and for negative numbers, which are not errors.
    passed = 0.0 <= model <= bound and model < reference and math.isfinite(model)
    is_tie = model == reference < math.inf
    text = f"{model:.4g}, equal to {who}: no measurable gain" if is_tie else to_json_number(model)
    if passed and paired.headline is not None and math.isfinite(reference):
        # Errors below the sensor resolution count as equal.
        passed = paired.headline.ratio <= 1.0 - margin
        text = text if passed else f"{model:.4g}, which the sensor does not resolve"
    expected = f"<= {bound:.4g} ({who}: {reference:.4g}, less {percent(margin)})"
    return Verdict(rule, passed, text, expected)


def compare_more(
    rule: str, model: float, reference: float, margin: float, who: str, most: float
) -> Verdict:
    """Pass a policy with a larger return than the reference, by the margin; a tie fails.

    Args:
        rule: name of the line.
        model: return or success rate of the policy.
        reference: that of the reference.
        margin: relative, to the size of the reference.
        who: name of the reference.
        most: the largest possible value; more is not required.
    """
    required = reference + margin * abs(reference)
    # A reference above the largest value shows that the largest value is wrong.
    bound = min(required, most) if reference <= most else required
    # False for NaN on either side.
    passed = bound <= model and model > reference and math.isfinite(model)
    sign = ">=" if bound > reference else ">"
    at_maximum = ", the maximum" * (reference == most)
    expected = f"{sign} {bound:.4g} ({who}: {reference:.4g}{at_maximum}, plus {percent(margin)})"
    tie = f"{model:.4g}, not better: equal to the {who}, no measurable gain"
    return Verdict(rule, passed, tie if model == reference else to_json_number(model), expected)
