"""The controller that plans with the model succeeds, if the task sets a share of successes."""

import math

from kinemill.register.gate.rules import RULES, GateInputs, Verdict, to_json_number


@RULES.register("closed_loop")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if at least a share `promote.min_success` of the closed-loop episodes succeeds.

    The episodes are the `verify.closed_loop` ones of the verification, in the simulated plant.

    Refused: collect more episodes where the controller fails (kinemill model rollout, or more
    loop.rounds), or give control.controller more samples or a longer horizon.
    """
    bound = inputs.task.promote.min_success
    if bound is None:
        return []
    closed = inputs.verification.closed_loop
    share = closed.successes / len(closed.episodes) if closed and closed.episodes else math.nan
    expected = f"share of successes >= {bound:g}"
    return [Verdict("closed_loop", bound <= share <= 1.0, to_json_number(share), expected)]
