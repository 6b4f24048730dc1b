"""The test split does not copy the training data."""

import math

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("independent")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if at most `promote.max_repeated` of the test rows are copies of training rows.

    A motion that was run again, with new noise, is no copy: such rows test how well the model
    repeats it, and their share is reported. Copied validation rows are only reported as well. A
    model that passes all other rules becomes provisional champion, unless there is an established
    champion.

    Refused: take copies of training rows out of `dataset.test`; `kinemill data datasets show` lists
    near-duplicates in different splits.
    """
    if not inputs.task.learn.from_logs:
        return []
    bound = inputs.task.promote.max_repeated
    overlap = inputs.overlap
    is_measured = math.isfinite(overlap.copies + overlap.validation)
    value = "not measured"
    if is_measured:
        value = (
            f"{overlap.copies:.0%} of the test rows, {overlap.validation:.0%} of the validation "
            f"rows; {overlap.repetitions:.0%} of the test rows repeat a trained motion"
        )
    passed = overlap.copies <= bound
    expected = f"copies: <= {bound:.0%} of the test rows"
    return [Verdict("independent", passed, value, expected, is_measured and not passed)]
