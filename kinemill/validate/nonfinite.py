"""NaN and infinite values: looked for first, always, whatever the task says.

Nothing can learn from them, and every other check, and Great Expectations, passes a
column of NaN: comparisons with it are false.
"""

import numpy as np

from kinemill.validate.faults import Fault, Values, runs
from kinemill.validate.looks import whole

NAME = "nonfinite"


def find(values: Values) -> list[Fault]:
    """Return the stretches of channel -> (n,) in which a channel is NaN or infinite."""
    faults: list[Fault] = []
    for name, channel in values.items():
        if len(channel) and whole(values, name):
            continue
        for start, stop in runs(~np.isfinite(channel)):
            kinds = sorted({str(value) for value in channel[start:stop].tolist()})
            faults.append(
                Fault(
                    start,
                    stop,
                    name,
                    found=f"{', '.join(kinds)} in {stop - start} rows",
                    expected="finite numbers",
                    fix="look for a lost sensor or a division by zero where the log was written",
                    repairable=True,
                )
            )
    return faults
