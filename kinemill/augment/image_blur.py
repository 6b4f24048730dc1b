"""Image blur: a Gaussian of random width, as of an unfocused lens."""

from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from kinemill.augment._media import ImageAugmentation, Pictures, to_bytes
from kinemill.task import AUGMENTATIONS
from kinemill.task.bounds import Ratio, RatioOrZero


@AUGMENTATIONS.register("image_blur")
class ImageBlur(ImageAugmentation):
    """Convolve height and width with a Gaussian, with edge padding."""

    type: Literal["image_blur"] = "image_blur"
    sigma: tuple[RatioOrZero, Ratio] = Field(
        default=(0.3, 1.5), description="least and most standard deviation, pixels"
    )

    @field_validator("sigma")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            message = f"the least {value[0]} is above the most {value[1]}"
            raise ValueError(message)
        return value

    def paint(self, frames: Pictures, random: np.random.Generator) -> Pictures:
        """Return (n, H, W, 3) `frames` blurred."""
        from scipy.ndimage import gaussian_filter

        sigma = random.uniform(*self.sigma)
        blurred = np.empty(frames.shape, np.float32)
        gaussian_filter(frames, (0.0, sigma, sigma, 0.0), mode="nearest", output=blurred)
        return to_bytes(blurred)
