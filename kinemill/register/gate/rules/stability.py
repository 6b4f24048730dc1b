"""Long rollouts stay within physical limits, if the task sets a limit on divergence."""

import math

from kinemill.register.gate.rules import RULES, GateInputs, Verdict, to_json_number


@RULES.register("stability")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if at most a share `promote.max_diverged` of the long rollouts diverges.

    Refused: train with longer rollouts (learn.horizon), more damping, or limits on the channels.
    """
    bound = inputs.task.promote.max_diverged
    if bound is None:
        return []
    stability = inputs.verification.stability
    share = stability.diverged if stability else math.nan
    expected = f"share that diverges <= {bound:g}"
    return [Verdict("stability", 0.0 <= share <= bound, to_json_number(share), expected)]
