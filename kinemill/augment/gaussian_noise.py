"""Gaussian noise: copies with additional independent sensor noise."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Problems, Rows, Signals
from kinemill.task import AUGMENTATIONS, unknown_channels
from kinemill.task.bounds import PositiveQuantity
from kinemill.task.channels import Channel


@AUGMENTATIONS.register("gaussian_noise")
class GaussianNoise(Augmentation):
    """Add independent normal noise to every row of the channels named."""

    type: Literal["gaussian_noise"] = "gaussian_noise"
    std: Annotated[dict[str, PositiveQuantity], Field(min_length=1)] = Field(
        description="standard deviation by channel, in the channel's unit"
    )

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return the names of unknown channels."""
        return unknown_channels(self.std, channels, "std")

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with noise, within the channels' limits."""
        noise = signals.per_column(self.std) * random.standard_normal(values.shape)
        return signals.saturate(values + noise)
