"""The model stays within limits in free run and, if the task says so, in long rollouts."""

import math

from kinemill.register.gate.rules import RULES, GateInputs, Verdict, to_json_number

_LISTED = 3  # episodes in a line


@RULES.register("stability")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if no recorded episode diverges in free run, and few long rollouts do.

    Episodes of all splits are simulated from five rows each with their actions. One diverges if a
    state is not finite or 1,000 ranges away from its range in training. `promote.max_diverged` is
    the largest share of the 1,000-step rollouts of verification that leave ten times the range.

    Refused: train with longer rollouts (learn.horizon), more damping, or limits on the channels.
    """
    lines = list[Verdict]()
    if (runs := inputs.runs) is not None:
        names = ", ".join(runs.diverged[:_LISTED])
        value = f"{len(runs.diverged)} of {runs.episodes} episodes diverge{names and f': {names}'}"
        lines.append(Verdict("stability", not runs.diverged, value, "no free run diverges"))
    if (bound := inputs.task.promote.max_diverged) is not None:
        stability = inputs.verification.stability
        share = stability.diverged if stability else math.nan
        expected = f"share that diverges <= {bound:g}"
        passed = 0.0 <= share <= bound
        lines.append(Verdict("stability_long", passed, to_json_number(share), expected))
    return lines
