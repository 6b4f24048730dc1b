"""No channel has a larger error than the champion's by more than the task allows.

Errors are RMSE at the horizon per channel, in its unit, of both models on the same windows.
"""

import math

from kinemill.register.gate.opponents import verdict_without_measurement
from kinemill.register.gate.rules import RULES, GateInputs, Measured, Verdict


@RULES.register("channels")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the RMSE of each channel is <= (1 + promote.max_channel_loss) * the champion's.

    Refused: one channel became worse; kinemill model compare shows by how much. Increase the
    weight of the channel in learn.weights.
    """
    allowed = inputs.task.promote.max_channel_loss
    champion = inputs.champion
    if allowed is None:
        return []
    expected = f"<= {1.0 + allowed:g} x champion, each channel"
    if champion and not champion.same and champion.challenger and champion.measured:
        return [_worst(champion.measured, champion.challenger, allowed, expected)]
    return [verdict_without_measurement("channels", inputs, expected)]


def _worst(champion: Measured, challenger: Measured, allowed: float, expected: str) -> Verdict:
    ratios = {
        name: _ratio(challenger.channels.get(name, math.nan), reference)
        for name, reference in champion.channels.items()
    }
    passed = bool(ratios) and all(0.0 <= ratio <= 1.0 + allowed for ratio in ratios.values())
    worst = max(ratios, key=lambda name: _rank(ratios[name])) if ratios else "no channel"
    return Verdict("channels", passed, f"{worst} {ratios.get(worst, math.nan):.4g}", expected)


def _ratio(model: float, reference: float) -> float:
    if not math.isfinite(model):
        return math.nan
    if reference == 0.0:
        return 1.0 if model == 0.0 else math.inf
    return model / reference


def _rank(ratio: float) -> float:
    return math.inf if math.isnan(ratio) else ratio
