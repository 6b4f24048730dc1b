"""No channel became worse than the champion's by more than the task allows.

Errors are RMSE at the horizon by channel, in its unit, of both on the same windows.
"""

import math

from kinemill.register.opponents import agreed_to_break
from kinemill.register.rules import NOBODY, RULES, Champion, GateInputs, Measured, Verdict


@RULES.register("channels")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when the RMSE of each channel is <= (1 + promote.max_channel_loss) * the champion's.

    Refused: better on average, at the cost of one channel; kinemill compare shows by how much, and
    learn.loss weights say what matters.
    """
    allowed, champion = contest.task.promote.max_channel_loss, contest.champion
    if allowed is None:
        return []
    wanted = f"<= {1.0 + allowed:g} x champion, each channel"
    if champion is None:
        return [Verdict("channels", passed=True, found=NOBODY, wanted=wanted)]
    if champion.same:
        return [Verdict("channels", passed=True, found="this very model", wanted=wanted)]
    if champion.measured is None or champion.rival is None:
        return [_unknown(champion, contest, wanted)]
    return [_worst(champion.measured, champion.rival, allowed, wanted)]


def _unknown(champion: Champion, contest: GateInputs, wanted: str) -> Verdict:
    agreed = agreed_to_break(champion, contest)
    found = "approved as breaking" if agreed else champion.problem or "was not measured"
    return Verdict("channels", agreed, found, wanted)


def _worst(champion: Measured, rival: Measured, allowed: float, wanted: str) -> Verdict:
    ratios = {
        name: _ratio(rival.channels.get(name, math.nan), reference)
        for name, reference in champion.channels.items()
    }
    passed = bool(ratios) and all(0.0 <= ratio <= 1.0 + allowed for ratio in ratios.values())
    worst = max(ratios, key=lambda name: _rank(ratios[name])) if ratios else "no channel"
    return Verdict("channels", passed, f"{worst} {ratios.get(worst, math.nan):.4g}", wanted)


def _ratio(model: float, reference: float) -> float:
    if not math.isfinite(model):
        return math.nan
    if reference == 0.0:
        return 1.0 if model == 0.0 else math.inf
    return model / reference


def _rank(ratio: float) -> float:
    return math.inf if math.isnan(ratio) else ratio
