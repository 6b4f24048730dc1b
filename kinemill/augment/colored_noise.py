"""Colored noise: copies with noise that is correlated in time.

Its power falls as 1 / frequency^exponent: 0 is white, 1 pink (amplifiers, friction), 2 brown.
Made in the frequency domain (Timmer and König 1995), of the standard deviation asked for.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Problems, Rows, Signals
from kinemill.task import AUGMENTATIONS, unknown_channels
from kinemill.task.bounds import PositiveQuantity
from kinemill.task.channels import Channel


@AUGMENTATIONS.register("colored_noise")
class ColoredNoise(Augmentation):
    """Add noise of mean 0 and falling spectrum to the channels named."""

    type: Literal["colored_noise"] = "colored_noise"
    std: Annotated[dict[str, PositiveQuantity], Field(min_length=1)] = Field(
        description="standard deviation by channel, in the channel's unit"
    )
    exponent: float = Field(default=1.0, ge=0.0, le=2.0, description="0 white, 1 pink, 2 brown")

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return the names of unknown channels."""
        return unknown_channels(self.std, channels, "std")

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with noise, within the channels' limits."""
        noise = colored(random.standard_normal(values.shape), self.exponent)
        return signals.saturate(values + signals.per_column(self.std) * noise)


def colored(white: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Return white noise (n, C) of variance 1 as noise of that exponent, mean 0 and variance 1."""
    n = len(white)
    if n < 2:
        return np.zeros_like(white)
    gain = np.zeros(n // 2 + 1)
    gain[1:] = np.arange(1, n // 2 + 1) ** (-exponent / 2.0)
    # Each frequency but the highest of an even n stands for itself and its negative.
    power = 2.0 * float(np.sum(gain**2)) - (float(gain[-1] ** 2) if n % 2 == 0 else 0.0)
    spectrum = np.fft.rfft(white, axis=0) * (gain / np.sqrt(power / n))[:, None]
    return np.fft.irfft(spectrum, n, axis=0)
