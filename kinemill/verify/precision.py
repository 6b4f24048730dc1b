"""Precision: the loss of accuracy by rounding on held-out windows, in units.

Parity allows any difference that rounding explains. This gate measures the difference of the
trained step in the precision of the files and in float64, and compares this loss with the error of
the model. Independent errors add in quadrature, so a loss of a fifth of the error adds 2 % to it,
which is the margin of the gate. A loss below the sensor resolution, or below a thousandth of the
standard deviation in training, is negligible.

Symbols: N windows, T horizon, S states.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.runtime.window_metrics import QUIETLY, Floats
from kinemill.verify.checklist import Gate
from kinemill.verify.results import ChannelPrecision, PrecisionResults

SHARE = 0.2  # negligible loss as a share of the model's error: sqrt(1 + 0.2²) = 1.02
LITTLE = 1e-3  # negligible loss in training standard deviations


@dataclass(frozen=True, eq=False)
class Precision:
    """RMS values at the last step of held-out windows, by state, (S,) each, in units.

    In a window in which the model diverges, the last step before the divergence counts.

    Attributes:
        dtype: data type of the files.
        steps: horizon of the windows.
        units: units of the states.
        loss: RMS of the trained step in the precision of the files minus that in float64.
        error: RMS of the trained step in float64 minus truth.
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
        """Whether the loss is negligible on every channel; false for NaN."""
        return bool((self.loss <= self.allowed).all())

    @property
    def worst(self) -> int:
        """Index of the state with the largest ratio of loss and allowed loss."""
        share = self.loss / self.allowed
        return int(np.argmax(np.where(np.isfinite(share), share, np.inf)))

    def gate(self) -> Gate:
        """Return the line of the verdict."""
        at = self.worst
        unit = self.units[self.worst]
        value = (
            f"{self.dtype} loses {self.loss[at]:.3g} {unit} of {self.states[at]} over "
            f"{self.steps} steps; the error of the model is {self.error[at]:.3g} {unit}"
        )
        return Gate("precision", self.passed, value, f"at most {self.allowed[at]:.3g} {unit}")

    def results(self) -> PrecisionResults:
        """Return loss, error and allowed loss by state as a part of a document."""
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
    """Return the RMS at step `last` of each window: (N, T, S), (N,) -> (S,), in units."""
    # Paired indexes: one step for each window, (N, S), not the (N, N, S) of two slices.
    return np.sqrt(np.square(differences[np.arange(len(last)), last]).mean(axis=0))


def negligible_loss(error: Floats, resolution: Floats, std: Floats) -> Floats:
    """Return the largest negligible loss of each state: (S,), (S,), (S,) -> (S,), in units.

    Args:
        error: RMS error of the model; not finite if it diverges.
        resolution: sensor resolution.
        std: standard deviation in training.
    """
    allowed = np.where(np.isfinite(error), SHARE * error, 0.0)
    return np.maximum(allowed, np.maximum(resolution, LITTLE * std))
