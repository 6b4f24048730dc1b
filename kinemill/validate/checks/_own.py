"""A physical check of the user's own: a function in a file of the project.

def energy(values, dt, most: float = 40.0): ...  # channel -> (n,), s -> faulty rows (n,) bool
"""

from typing import ClassVar

import numpy as np

from kinemill.errors import BadInput
from kinemill.task import OwnCode, Task
from kinemill.validate.faults import CheckSettings, Fault, Phase, Values, runs


class OwnCheck(OwnCode, CheckSettings):
    """A check of the user's own; rows that other checks found faulty are NaN."""

    phase: ClassVar[Phase] = "pattern"
    arguments: ClassVar[tuple[str, ...]] = ("values", "dt")
    protocol: ClassVar[type[CheckSettings]] = CheckSettings

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the stretches of rows that the function calls faulty.

        Raises:
            BadInput: It fails, or returns no truth value for each row.
        """
        rows = len(next(iter(values.values())))
        faulty = np.asarray(
            self.call({name: channel.copy() for name, channel in values.items()}, task.dt)
        )
        if faulty.shape != (rows,) or faulty.dtype != np.bool_:
            raise BadInput(
                f"validate.checks: {self.type}",
                f"returns {faulty.dtype} {faulty.shape}",
                expected=f"one truth value for each of {rows} rows: true where it is faulty",
            )
        text = (type(self).__doc__ or self.type).partition("\n")[0].rstrip(".")
        return [
            Fault(
                start,
                stop,
                None,
                actual=f"{stop - start} rows fail {self.type}",
                expected=text,
                fix="check the log, or change the function or its settings",
            )
            for start, stop in runs(faulty)
        ]
