"""A person's way back from a false alarm: what a release changes.

In a released recording only what no model can learn from counts: NaN, infinite values, and pieces
shorter than `validate.min_steps`. Nobody asks it about limits again, so the schema of accepted
episodes is asked of the others.
"""

import numpy as np

from kinemill.task import Task
from kinemill.validate import nonfinite
from kinemill.validate.apply_checks import TOO_SHORT, Finding, Verdict, too_short
from kinemill.validate.faults import Values, runs


def skip_checks(values: Values, task: Task) -> Verdict:
    """Return the verdict on one track, channel -> (n,) in the task's units, of a released one."""
    faults = nonfinite.find(values)
    free = np.ones(len(next(iter(values.values()))), dtype=np.bool_)
    for fault in faults:
        free[fault.start : fault.stop] = False
    least = task.validation.min_steps
    pieces = [piece for piece in runs(free) if piece[1] - piece[0] >= least]
    short = [piece for piece in runs(free) if piece[1] - piece[0] < least]
    dropped = {nonfinite.NAME: int(np.count_nonzero(~free))} if faults else {}
    if short:
        dropped[TOO_SHORT] = sum(stop - start for start, stop in short)
    findings = [Finding(nonfinite.NAME, fault) for fault in faults]
    findings += [too_short(start, stop, least) for start, stop in short]
    return Verdict(pieces, findings, dropped)
