"""NaN, infinite and huge values. This check always runs, and runs first.

A dataset stores float32, which overflows above 3.4e38, and above 1e19 when squared. Training fails
on them, and all other checks and Great Expectations pass a column of NaN, because comparisons with
NaN are false.
"""

import numpy as np

from kinemill.task.channels import SQUARED
from kinemill.validate.faults import Array, Fault, Values, runs

NAME = "nonfinite"
MAX_VALUES = 3  # values of one stretch that are named


def find(values: Values) -> list[Fault]:
    """Return the stretches of channel -> (n,) in which a channel is NaN, infinite or huge."""
    faults: list[Fault] = []
    for name, channel in values.items():
        faults += [_fault(name, channel, *run) for run in runs(~(np.abs(channel) <= SQUARED))]
    return faults


def _fault(name: str, channel: Array, start: int, stop: int) -> Fault:
    kinds = sorted({f"{value:g}" for value in channel[start:stop].tolist()})
    more = f" and {len(kinds) - MAX_VALUES} more values" if len(kinds) > MAX_VALUES else ""
    return Fault(
        start,
        stop,
        name,
        actual=f"{', '.join(kinds[:MAX_VALUES])}{more} in {stop - start} rows",
        expected=f"finite numbers of at most {SQUARED:g} in magnitude",
        fix="look for a lost sensor, a field that was never set or a division by zero where the "
        "log was written",
        repairable=True,
    )
