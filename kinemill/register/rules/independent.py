"""The test split is not what the model was trained on, once more."""

import math

from kinemill.register.rules import RULES, GateInputs, Verdict


@RULES.register("independent")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when at most `promote.max_repeated` of the test rows repeat training rows.

    Near-duplicates of training recordings count, and stretches of recordings that are also trained
    on and return there. Repeated validation rows are shown and do not refuse: no rule measures on
    them. With `dataset.repeats: apart` near-duplicates are shown only.

    Refused: name the near-duplicates on one side of `dataset`, or take whole recordings for the
    test split; `kinemill datasets show` lists them. If the task is the same motion over and over:
    `repeats: apart`.
    """
    if not contest.task.learn.from_logs:
        return []
    bound, own = contest.task.promote.max_repeated, contest.repeated
    apart = contest.task.dataset.repeats == "apart"
    counted = own.repeated if apart else own.repeated + own.near_duplicates
    found = "not measured"
    if math.isfinite(own.test + own.validation):
        found = f"{own.test:.0%} of the test rows, {own.validation:.0%} of the validation rows"
    wanted = f"<= {bound:.0%} of the test rows" + (", near-duplicates aside" if apart else "")
    return [Verdict("independent", counted <= bound, found, wanted)]
