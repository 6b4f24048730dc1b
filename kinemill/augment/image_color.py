"""Image color: random brightness, contrast, saturation and hue.

All four are linear in the colors, so that together they are one matrix and one offset. Contrast is
relative to mid-gray, and hue is a rotation in the plane of I and Q of the YIQ colors (NTSC 1953),
so that neither depends on the rest of the picture.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kinemill.augment._media import ImageAugmentation, Pictures, to_bytes
from kinemill.task import AUGMENTATIONS

GRAY = np.array([0.299, 0.587, 0.114])  # weights of R, G, B in luma Y, ITU-R BT.601
YIQ = np.array([GRAY, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
MIDDLE = 127.5

Part = Annotated[float, Field(ge=0.0, lt=1.0)]


@AUGMENTATIONS.register("image_color")
class ImageColor(ImageAugmentation):
    """Multiply by random factors of 1 - x to 1 + x, and rotate the hue."""

    type: Literal["image_color"] = "image_color"
    brightness: Part = 0.2
    """x, largest relative change of the brightness, either way"""
    contrast: Part = 0.2
    """x, largest relative change of the contrast, either way"""
    saturation: Part = 0.2
    """x, largest relative change of the saturation, either way"""
    hue: Annotated[float, Field(ge=0.0, le=0.5)] = 0.02
    """largest rotation of the hue, turns, either way"""

    def paint(self, frames: Pictures, random: np.random.Generator) -> Pictures:
        """Return (n, H, W, 3) uint8 `frames` in other colors."""
        brightness, contrast, saturation, turn = random.uniform(-1.0, 1.0, 4).tolist()
        bright = 1.0 + brightness * self.brightness
        sharp = 1.0 + contrast * self.contrast
        vivid = 1.0 + saturation * self.saturation
        angle = 2.0 * np.pi * turn * self.hue
        turned = np.array(
            [
                [1.0, 0.0, 0.0],
                [0.0, vivid * np.cos(angle), -vivid * np.sin(angle)],
                [0.0, vivid * np.sin(angle), vivid * np.cos(angle)],
            ]
        )
        matrix = bright * sharp * np.linalg.inv(YIQ) @ turned @ YIQ
        return _mixed(frames, matrix, (1.0 - sharp) * MIDDLE)


def _mixed(frames: Pictures, matrix: NDArray[np.float64], offset: float) -> Pictures:
    """Return matrix x color + offset, (n, H, W, 3).

    It is computed term by term: the rounding of a BLAS product depends on the number of pictures.
    """
    colors = frames.astype(np.float32)
    mixed = np.empty_like(colors)
    for channel, (red, green, blue) in enumerate(matrix.astype(np.float32)):
        mixed[..., channel] = red * colors[..., 0] + np.float32(offset)
        mixed[..., channel] += green * colors[..., 1]
        mixed[..., channel] += blue * colors[..., 2]
    return to_bytes(mixed)
