"""What the verification claims is what the registered files do on this dataset's test split.

Measured again by the gate itself: a verification of other files, of another dataset version, of
fewer rows, or with a number that is not there or not an error, does not stand.
"""

import math

from kinemill.register.metric import claimed
from kinemill.register.rules import RULES, Contest, Measured, Verdict, number

TOLERANCE = 0.01  # relative; another processor rounds otherwise, and rollouts amplify that


@RULES.register("measured")
def judge(contest: Contest) -> list[Verdict]:
    """Pass when the registered files, tried again, err as verified, over as many windows.

    Refused: the verification is of other files, rows or data than are registered; kinemill run
    with the same logs makes it anew. If it stays so, the model answers differently each time.
    """
    document = contest.verification
    said = Measured(
        number(claimed(document, contest.task.promote.channel).get("model")),
        {},
        int(document.get("windows", {}).get("count", -1)),
        0,
    )
    again = contest.measured
    if again is None:
        return [Verdict("measured", passed=False, found="was not measured", wanted=_told(said))]
    near = math.isclose(again.error, said.error, rel_tol=TOLERANCE, abs_tol=1e-9)
    passed = near and again.error >= 0.0 and again.windows == said.windows
    return [Verdict("measured", passed, _told(again), f"as verified: {_told(said)}")]


def _told(found: Measured) -> str:
    return f"{found.error:.6g} over {found.windows} windows"
