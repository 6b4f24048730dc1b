"""Colored noise: copies with noise that is correlated in time.

Its power decreases as 1 / frequency^exponent: 0 is white, 1 pink (amplifiers, friction), 2 brown.
It is computed in the frequency domain (Timmer and König 1995) and scaled to `std`.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kinemill.augment._augmentation import SensorNoise
from kinemill.task import AUGMENTATIONS


@AUGMENTATIONS.register("colored_noise")
class ColoredNoise(SensorNoise):
    """Add noise of mean 0 whose power decreases with the frequency."""

    type: Literal["colored_noise"] = "colored_noise"
    exponent: float = Field(default=1.0, ge=0.0, le=2.0, description="0 white, 1 pink, 2 brown")

    def noise(self, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float64]:
        """Return colored noise of variance 1, (n, C)."""
        return colored(random.standard_normal(shape), self.exponent)


def colored(white: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Filter white noise (n, C) of variance 1 to noise of `exponent`, mean 0 and variance 1."""
    n = len(white)
    if n < 2:
        return np.zeros_like(white)
    gain = np.zeros(n // 2 + 1)
    gain[1:] = np.arange(1, n // 2 + 1) ** (-exponent / 2.0)
    # Parseval: rfft omits negative frequencies, so each counts twice; an even n has no negative of
    # its highest frequency.
    power = 2.0 * float(np.sum(gain**2)) - (float(gain[-1] ** 2) if n % 2 == 0 else 0.0)
    spectrum = np.fft.rfft(white, axis=0) * (gain / np.sqrt(power / n))[:, None]
    return np.fft.irfft(spectrum, n, axis=0)
