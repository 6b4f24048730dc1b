"""Sensor bias: copies with a random constant offset.

The bias of a velocity must stay below the tolerance of its check (0.04 rad/s by default). The zero
of a robot is seldom known to better than a step of its encoder.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.augment._augmentation import SensorNoise
from kinemill.task import AUGMENTATIONS


@AUGMENTATIONS.register("sensor_bias")
class SensorBias(SensorNoise):
    """Add one normal random number per channel to the whole episode."""

    type: Literal["sensor_bias"] = "sensor_bias"

    def noise(self, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float64]:
        """Return one number of variance 1 for each column, (C,)."""
        return random.standard_normal(shape[1])
