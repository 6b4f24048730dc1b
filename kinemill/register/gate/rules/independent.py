"""The test split does not repeat the training data."""

import math

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("independent")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if at most `promote.max_repeated` of the test rows repeat training rows.

    Near-duplicates of training recordings count, and rows that repeat training rows of the same
    recording. Repeated validation rows are only reported. With `dataset.near_duplicates: apart`,
    near-duplicates are only reported as well. Machines that repeat one motion have such data, so a
    model that passes all other rules becomes provisional champion, unless there is an established
    champion.

    Refused: put near-duplicates on the same side in `dataset`, or use whole recordings for the
    test split; `kinemill data datasets show` lists them. If the task is one repeated motion, set
    `near_duplicates: apart`.
    """
    if not inputs.task.learn.from_logs:
        return []
    bound = inputs.task.promote.max_repeated
    overlap = inputs.overlap
    apart = inputs.task.dataset.near_duplicates == "apart"
    counted = overlap.same_recording if apart else overlap.same_recording + overlap.near_duplicates
    value = "not measured"
    if math.isfinite(overlap.test + overlap.validation):
        value = (
            f"{overlap.test:.0%} of the test rows, {overlap.validation:.0%} of the validation rows"
        )
    expected = f"<= {bound:.0%} of the test rows" + (", near-duplicates aside" if apart else "")
    passed = counted <= bound
    undecided = not passed and math.isfinite(counted)
    return [Verdict("independent", passed, value, expected, undecided)]
