"""Gaussian noise: copies with additional independent sensor noise."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Rows, Signals
from kinemill.task import AUGMENTATIONS, PositiveQuantity


@AUGMENTATIONS.register("gaussian_noise")
class GaussianNoise(Augmentation):
    """Add independent normal noise to every row."""

    channel_keys: ClassVar[tuple[str, ...]] = ("std",)
    type: Literal["gaussian_noise"] = "gaussian_noise"
    std: Annotated[dict[str, PositiveQuantity], Field(min_length=1)]
    """standard deviation by channel, in the channel's unit"""

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return the values (n, C) with noise, within the limits of the channels."""
        std = np.array([self.std.get(name, 0.0) for name in signals.columns])
        return signals.saturate(values + std * random.standard_normal(values.shape))
