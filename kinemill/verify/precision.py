"""Precision: the accuracy that rounding costs on held-out windows, in units.

Parity allows any difference that rounding explains. This gate compares the trained step in the
files' precision with itself in float64, and the loss with the model's own error. Errors add up in
quadrature, so a loss of a fifth of the error adds 2 % to it, the margin of the gate. A loss below
the sensor resolution, or below a thousandth of the standard deviation in training, is negligible.

Symbols: N windows, T horizon, S states.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.runtime.window_metrics import QUIETLY, Floats
from kinemill.verify.checklist import Gate
from kinemill.verify.results import ChannelPrecision, PrecisionResults

SHARE = 0.2  # of the model's own error
LITTLE = 1e-3  # of the standard deviation in training


@dataclass(frozen=True, eq=False)
class Precision:
    """RMS at the last step of held-out windows, by state, (S,), in its unit.

    A window in which the model diverges counts at the last step before that.

    Attributes:
        dtype: data type of the files.
        steps: horizon of the windows.
        states: names.
        units: of the states.
        loss: trained step in the precision of the files minus that in float64.
        error: trained step in float64 minus truth.
        allowed: largest negligible loss.
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
        """Whether the loss is negligible on every channel; NaN is not."""
        return bool((self.loss <= self.allowed).all())

    @property
    def worst(self) -> int:
        """Index of the state with the largest share of its allowed loss."""
        share = self.loss / self.allowed
        return int(np.argmax(np.where(np.isfinite(share), share, np.inf)))

    def gate(self) -> Gate:
        """Return the line of the verdict."""
        at, unit = self.worst, self.units[self.worst]
        value = (
            f"{self.dtype} loses {self.loss[at]:.3g} {unit} of {self.states[at]} over "
            f"{self.steps} steps; the model's own error is {self.error[at]:.3g} {unit}"
        )
        return Gate("precision", self.passed, value, f"at most {self.allowed[at]:.3g} {unit}")

    def results(self) -> PrecisionResults:
        """Return loss, error and allowed loss by state for a document."""
        rows = zip(self.states, self.units, self.loss, self.error, self.allowed, strict=True)
        return PrecisionResults(
            dtype=self.dtype,
            steps=self.steps,
            passed=self.passed,
            channels={
                name: ChannelPrecision(unit, float(loss), float(error), float(allowed))
                for name, unit, loss, error, allowed in rows
            },
        )


@QUIETLY
def rms_at(differences: Floats, last: NDArray[np.int64]) -> Floats:
    """Return the RMS (S,) of differences (N, T, S) at one step of each window, `last` (N,)."""
    return np.sqrt(np.square(differences[np.arange(len(last)), last]).mean(axis=0))


def negligible_loss(error: Floats, resolution: Floats, std: Floats) -> Floats:
    """Return the largest negligible loss, (S,), for error, resolution and deviation (S,)."""
    own = np.where(np.isfinite(error), SHARE * error, 0.0)
    return np.maximum(own, np.maximum(resolution, LITTLE * std))
