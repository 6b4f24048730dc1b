"""The controller that plans with the model succeeds, if the task sets a share of successes."""

import math

from kinemill.register.gate.rules import RULES, GateInputs, Verdict, to_json_number


@RULES.register("closed_loop")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if at least a share `promote.min_success` of the closed-loop episodes succeeds.

    Without such episodes, the rule trials uses `promote.min_success`.

    With `promote.max_refused`, the planner also has to find a plan within
    `control.uncertainty.max_std` at all but this share of their steps. The episodes are the
    `verify.closed_loop` ones of the verification, in the simulated plant.

    Refused: collect more episodes where the controller fails (kinemill model rollout, or more
    loop.rounds), or give control.controller more samples or a longer horizon.
    """
    promote = inputs.task.promote
    closed = inputs.verification.closed_loop
    episodes = closed.episodes if closed else []
    verdicts: list[Verdict] = []
    if (least := promote.min_success) is not None and has_closed_loop(inputs):
        share = (
            closed.successes / len(episodes)
            if closed and closed.successes is not None and episodes
            else math.nan
        )
        expected = f"share of successes >= {least:g}"
        verdicts.append(
            Verdict("closed_loop", least <= share <= 1.0, to_json_number(share), expected)
        )
    if (most := promote.max_refused) is not None:
        steps = sum(episode.steps for episode in episodes)
        share = sum(episode.refused for episode in episodes) / steps if steps else math.nan
        expected = f"share of steps without a plan <= {most:g}"
        verdicts.append(
            Verdict("closed_loop_refused", 0.0 <= share <= most, to_json_number(share), expected)
        )
    return verdicts


def has_closed_loop(inputs: GateInputs) -> bool:
    """Return whether the verification runs, or must run, episodes in closed loop."""
    control = inputs.task.control
    has_plant = control is not None and control.plant is not None
    is_required = has_plant and inputs.task.verify.closed_loop > 0
    return is_required or inputs.verification.closed_loop is not None
