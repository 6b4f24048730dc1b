"""Gaussian noise: copies with additional independent sensor noise."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.augment._augmentation import SensorNoise
from kinemill.task import AUGMENTATIONS


@AUGMENTATIONS.register("gaussian_noise")
class GaussianNoise(SensorNoise):
    """Add independent normal noise to every row."""

    type: Literal["gaussian_noise"] = "gaussian_noise"

    def noise(self, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float64]:
        """Return white noise of variance 1, (n, C)."""
        return random.standard_normal(shape)
