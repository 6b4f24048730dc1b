"""Image blur: a Gaussian filter of random width, as by an unfocused lens."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._augmentation import ORDERED
from kinemill.augment._media import ImageAugmentation, Pictures, to_bytes
from kinemill.task import AUGMENTATIONS, Ratio, RatioOrZero


@AUGMENTATIONS.register("image_blur")
class ImageBlur(ImageAugmentation):
    """Convolve height and width with a Gaussian, with edge padding."""

    type: Literal["image_blur"] = "image_blur"
    sigma: Annotated[tuple[RatioOrZero, Ratio], ORDERED] = Field(
        default=(0.3, 1.5), description="smallest and largest standard deviation, pixels"
    )

    def paint(self, frames: Pictures, random: np.random.Generator) -> Pictures:
        """Return (n, H, W, 3) `frames` blurred."""
        from scipy.ndimage import gaussian_filter

        sigma = random.uniform(*self.sigma)
        blurred = np.empty(frames.shape, np.float32)
        gaussian_filter(frames, (0.0, sigma, sigma, 0.0), mode="nearest", output=blurred)
        return to_bytes(blurred)
