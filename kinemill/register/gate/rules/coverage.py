"""The predicted uncertainty is right on the test episodes, if the task sets a range of coverage."""

import math

import numpy as np

from kinemill.register.gate.rules import RULES, GateInputs, Verdict, to_json_number

LEVEL = "0.9"  # of the intervals


@RULES.register("coverage")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the coverage of 90 % intervals is within `promote.coverage` after every step.

    The coverage is the share of test windows, the mean over states. The value is that of the step
    that is farthest from 0.9.

    Refused: set export.conformal: online, give the validation split episodes like those of the test
    split (other days, other motions), or train with learn.loss: gaussian and learn.ensemble.
    """
    bounds = inputs.task.promote.coverage
    if bounds is None:
        return []
    low, high = bounds
    analysis = inputs.verification.analysis
    calibration = analysis.calibration if analysis else None
    shares = np.array([math.nan])
    if calibration is not None:
        by_channel = np.array(list(calibration.coverage[LEVEL].values()), dtype=np.float64)
        shares = by_channel.mean(axis=0)
    worst = float(shares[np.argmax(np.abs(shares - float(LEVEL)))])
    expected = f"{low:g} <= share in 90 % intervals <= {high:g} after every step"
    passed = bool(((low <= shares) & (shares <= high)).all())
    return [Verdict("coverage", passed, to_json_number(worst), expected)]
