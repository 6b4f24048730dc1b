"""Image crop: images shifted by a few pixels, with edge padding.

Random shifts are the most effective augmentation for policies that learn from pixels (Kostrikov,
Yarats and Fergus 2021, DrQ, 4 of 84 pixels; Laskin et al. 2020, RAD).
"""

from typing import Literal

import numpy as np

from kinemill.augment._media import ImageAugmentation, Pictures
from kinemill.task import AUGMENTATIONS, Pixels


@AUGMENTATIONS.register("image_crop")
class ImageCrop(ImageAugmentation):
    """Pad by `pixels` on each side, then crop to the original size at a random position."""

    type: Literal["image_crop"] = "image_crop"
    pixels: Pixels = 4
    """padding on each side, pixels; the largest shift of the image"""

    def paint(self, frames: Pictures, random: np.random.Generator) -> Pictures:
        """Return (n, H, W, 3) `frames` shifted by up to `pixels` whole pixels."""
        down, right = random.integers(-self.pixels, self.pixels + 1, 2).tolist()
        height, width = frames.shape[1:3]
        rows = np.clip(np.arange(height) + down, 0, height - 1)
        columns = np.clip(np.arange(width) + right, 0, width - 1)
        return frames.take(rows, axis=1).take(columns, axis=2)
