"""Sensor drift: copies with a random-walk offset.

The offset is a random walk, b[k+1] = b[k] + std sqrt(dt) w[k] with w normal, such as the zero of a
gyroscope under changing temperature. After t s its standard deviation is std sqrt(t), for any dt.
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Rows, Signals
from kinemill.task import AUGMENTATIONS, PositiveQuantity


@AUGMENTATIONS.register("sensor_drift")
class SensorDrift(Augmentation):
    """Add a random walk that starts at 0 to each channel."""

    type: Literal["sensor_drift"] = "sensor_drift"
    channel_keys: ClassVar[tuple[str, ...]] = ("std",)
    std: Annotated[dict[str, PositiveQuantity], Field(min_length=1)] = Field(
        description="standard deviation after 1 s by channel, in the channel's unit"
    )

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with a drifting offset, within the channels' limits."""
        steps = random.standard_normal(values.shape) * (
            signals.per_column(self.std) * signals.dt**0.5
        )
        steps[:1] = 0.0
        return signals.saturate(values + np.cumsum(steps, axis=0))
