"""What the verification claims is what the registered files do on this dataset's test split.

Measured again by the gate itself: a verification of other files, of another dataset version, of
fewer rows, or with a number that is not there or not an error, does not stand.
"""

import math

from kinemill.register.metric import claimed, claimed_count, claimed_history, metric_of
from kinemill.register.rules import RULES, GateInputs, Measured, Verdict, number

TOLERANCE = 0.01  # relative; another processor rounds otherwise, and rollouts amplify that


@RULES.register("measured")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when the registered files, measured again, have the verified error on the same windows.

    The windows are the same if there are as many of them and as many rows are known in each: that
    is the longest history of the model and all references.

    Refused: the verification is of other files, rows or data than are registered; kinemill run
    with the same logs makes it anew. If it stays so, the model answers differently each time.
    Where the error is not finite, train with a longer learn.horizon or a smaller model.
    """
    document, metric = contest.verification, metric_of(contest.task)
    model = number(claimed(document, metric).get("model"))
    said = Measured(
        model, {}, claimed_count(document, metric), 0, claimed_history(document, metric)
    )
    again, of = contest.measured, "episodes" if metric.larger else "windows"
    if again is None:
        found = f"was not measured{contest.problem and f': {contest.problem}'}"
        return [Verdict("measured", passed=False, found=found, wanted=_told(said, of))]
    if not math.isfinite(again.error):
        found = f"not finite over {again.windows} {of}: rollouts diverge"
        return [Verdict("measured", passed=False, found=found, wanted="a finite error")]
    near = math.isclose(again.error, said.error, rel_tol=TOLERANCE, abs_tol=1e-9)
    possible = metric.larger or again.error >= 0.0
    alike = (again.windows, again.history) == (said.windows, said.history)
    passed = near and possible and alike
    return [Verdict("measured", passed, _told(again, of), f"as verified: {_told(said, of)}")]


def _told(found: Measured, of: str) -> str:
    told = f"{found.error:.6g} over {found.windows} {of}"
    return f"{told} after {found.history} known rows" if found.history else told
