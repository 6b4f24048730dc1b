"""Sensor bias: copies with a random constant offset.

A velocity's bias must stay below what its check allows (0.04 rad/s by default); a robot's zero is
seldom known to better than its encoder's step.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Problems, Rows, Signals
from kinemill.task import AUGMENTATIONS, unknown_channels
from kinemill.task.bounds import PositiveQuantity
from kinemill.task.channels import Channel


@AUGMENTATIONS.register("sensor_bias")
class SensorBias(Augmentation):
    """Add one normal number for the whole episode to each of the channels named."""

    type: Literal["sensor_bias"] = "sensor_bias"
    std: Annotated[dict[str, PositiveQuantity], Field(min_length=1)] = Field(
        description="standard deviation of the bias by channel, in the channel's unit"
    )

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return the names of unknown channels."""
        return unknown_channels(self.std, channels, "std")

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with a constant offset, within the channels' limits."""
        bias = signals.per_column(self.std) * random.standard_normal(values.shape[1])
        return signals.saturate(values + bias)
