"""Image cut-out: hide squares of the image, as by an obstacle.

DeVries and Taylor 2017: the center is a uniform pixel, so a square can lie partly outside.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._media import ImageAugmentation, Pictures
from kinemill.task import AUGMENTATIONS, Count, Pixels


@AUGMENTATIONS.register("image_cut_out")
class ImageCutOut(ImageAugmentation):
    """Fill squares at random positions with one gray value."""

    type: Literal["image_cut_out"] = "image_cut_out"
    pixels: Pixels = Field(default=16, description="side of a square, pixels")
    holes: Count = Field(default=1, description="number of squares in each image")
    fill: Annotated[int, Field(ge=0, le=255)] = Field(
        default=127, description="gray value, 0 is black"
    )

    def paint(self, frames: Pictures, random: np.random.Generator) -> Pictures:
        """Return (n, H, W, 3) `frames` with the same squares hidden in all."""
        hidden, (height, width) = frames.copy(), frames.shape[1:3]
        for _ in range(self.holes):
            top = int(random.integers(0, height)) - self.pixels // 2
            first = int(random.integers(0, width)) - self.pixels // 2
            down = slice(max(top, 0), top + self.pixels)
            right = slice(max(first, 0), first + self.pixels)
            hidden[:, down, right] = self.fill
        return hidden
