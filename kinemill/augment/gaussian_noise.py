"""Gaussian noise: copies of an episode as another, equally noisy sensor would have logged it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from kinemill.spec import AUGMENTATIONS, Plugin, unknown_channels


@AUGMENTATIONS.register("gaussian_noise")
class GaussianNoise(Plugin):
    """Add independent normal noise to every row of the channels named."""

    type: Literal["gaussian_noise"] = "gaussian_noise"
    std: Annotated[dict[str, PositiveFloat], Field(min_length=1)] = Field(
        description="standard deviation by channel, in the channel's unit"
    )
    copies: PositiveInt = 1

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the names that are no channel of the task."""
        return unknown_channels(self.std, channels, "std")

    def vary(
        self, values: NDArray[np.float32], columns: list[str], random: np.random.Generator
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield (number of the copy, (rows, C) float32) for every copy of (rows, C) `values`."""
        std = np.array([self.std.get(name, 0.0) for name in columns])
        for copy in range(self.copies):
            noisy = values + std * random.standard_normal(values.shape)
            yield str(copy), noisy.astype(np.float32)
