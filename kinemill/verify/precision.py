"""What the precision of the published files loses, on held-out windows, in units.

Parity allows what rounding explains, however much that is: it is no fault of the export. Whether it
matters is asked here: the trained step in the files' precision is compared with itself in float64,
and the loss with the model's own error. Errors add up in quadrature, so a loss of a fifth of the
error adds 2 % to it, the margin of the gate. What lies below the sensor resolution, or below a
thousandth of a channel's spread in training, does not matter.

Symbols: N windows, T horizon, S states.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.runtime.window_metrics import QUIETLY, Floats
from kinemill.store import Json
from kinemill.verify.checklist import Gate

SHARE = 0.2  # of the model's own error
LITTLE = 1e-3  # of the spread in training


@dataclass(frozen=True, eq=False)
class Precision:
    """RMS at the last step of held-out windows, by state, (S,), in its unit.

    A window in which the model runs away counts at the last step before that.

    Attributes:
        dtype: what the files compute in.
        steps: horizon of the windows.
        states: names.
        units: of the states.
        loss: trained step in the precision of the files minus that in float64.
        error: trained step in float64 minus truth.
        allowed: largest loss that does not matter.
    """

    dtype: str
    steps: int
    states: Sequence[str]
    units: Sequence[str]
    loss: Floats
    error: Floats
    allowed: Floats

    @property
    def passed(self) -> bool:
        """Whether the loss does not matter on any channel; NaN does."""
        return bool((self.loss <= self.allowed).all())

    @property
    def worst(self) -> int:
        """Index of the state that loses most of what it may."""
        share = self.loss / self.allowed
        return int(np.argmax(np.where(np.isfinite(share), share, np.inf)))

    def gate(self) -> Gate:
        """Return the line of the verdict."""
        at, unit = self.worst, self.units[self.worst]
        found = (
            f"{self.dtype} loses {self.loss[at]:.3g} {unit} of {self.states[at]} over "
            f"{self.steps} steps; the model's own error is {self.error[at]:.3g} {unit}"
        )
        return Gate("precision", self.passed, found, f"at most {self.allowed[at]:.3g} {unit}")

    def to_json(self) -> Json:
        """Return the part of verification.json."""
        rows = zip(self.states, self.units, self.loss, self.error, self.allowed, strict=True)
        return {
            "dtype": self.dtype,
            "steps": self.steps,
            "passed": self.passed,
            "channels": {
                name: {"unit": unit, "loss": float(a), "error": float(b), "allowed": float(c)}
                for name, unit, a, b, c in rows
            },
        }


@QUIETLY
def rms_at(differences: Floats, last: NDArray[np.int64]) -> Floats:
    """Return the RMS (S,) of differences (N, T, S) at one step of each window, `last` (N,)."""
    chosen = differences[np.arange(len(last)), last]
    return np.sqrt(np.square(chosen).mean(axis=0))


def matters(error: Floats, resolution: Floats, spread: Floats) -> Floats:
    """Return the largest loss that does not matter, (S,)."""
    own = np.where(np.isfinite(error), SHARE * error, 0.0)
    return np.maximum(own, np.maximum(resolution, LITTLE * spread))
