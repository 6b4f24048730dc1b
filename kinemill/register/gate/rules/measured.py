"""The registered files reproduce the verified error on the dataset's test split.

The gate measures the error again. The rule fails if the verification is of other files, of another
dataset version or of fewer rows, or if its error is missing or invalid.
"""

import math

from kinemill.register.gate.metric import claim_of, metric_of
from kinemill.register.gate.rules import RULES, GateInputs, Measured, Verdict

TOLERANCE = 0.01  # relative; rounding differs between processors, and rollouts amplify it


@RULES.register("measured")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the registered files, measured again, have the verified error on the same windows.

    Windows are the same if their number and their history are equal. The history is the longest
    of the model and all references.

    Refused: the verification is of other files, rows or data than are registered; repeat
    kinemill run with the same logs. If it fails again, the model is not deterministic. If the
    error is not finite, train with a longer learn.horizon or a smaller model.
    """
    metric = metric_of(inputs.task)
    claim = claim_of(inputs.verification, metric)
    measured = inputs.measured
    of = "episodes" if metric.larger else "windows"
    if measured is None:
        value = f"was not measured{inputs.problem and f': {inputs.problem}'}"
        return [Verdict("measured", passed=False, value=value, expected=_text(claim, of))]
    if not math.isfinite(measured.error):
        value = f"not finite over {measured.windows} {of}: rollouts diverge"
        return [Verdict("measured", passed=False, value=value, expected="a finite error")]
    is_close = math.isclose(measured.error, claim.error, rel_tol=TOLERANCE, abs_tol=1e-9)
    is_valid = metric.larger or measured.error >= 0.0
    is_same_data = (measured.windows, measured.history) == (claim.windows, claim.history)
    passed = is_close and is_valid and is_same_data
    return [Verdict("measured", passed, _text(measured, of), f"as verified: {_text(claim, of)}")]


def _text(measured: Measured, of: str) -> str:
    text = f"{measured.error:.4g} over {measured.windows} {of}"
    return f"{text} after {measured.history} rows of history" if measured.history else text
