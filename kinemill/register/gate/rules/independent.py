"""The test split does not repeat the training data."""

import math

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("independent")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if at most `promote.max_repeated` of the test rows repeat training rows.

    Counted are near-duplicates of training recordings, and rows that repeat training rows of the
    same recording. Repeated validation rows are reported only, since no rule uses them. With
    `dataset.repeats: apart` near-duplicates are reported only.

    Refused: put near-duplicates on the same side in `dataset`, or use whole recordings for the
    test split; `kinemill data datasets show` lists them. If the task is one repeated motion, set
    `repeats: apart`.
    """
    if not inputs.task.learn.from_logs:
        return []
    bound, repeated = inputs.task.promote.max_repeated, inputs.repeated
    apart = inputs.task.dataset.repeats == "apart"
    counted = repeated.repeated if apart else repeated.repeated + repeated.near_duplicates
    found = "not measured"
    if math.isfinite(repeated.test + repeated.validation):
        found = (
            f"{repeated.test:.0%} of the test rows, "
            f"{repeated.validation:.0%} of the validation rows"
        )
    wanted = f"<= {bound:.0%} of the test rows" + (", near-duplicates aside" if apart else "")
    return [Verdict("independent", counted <= bound, found, wanted)]
