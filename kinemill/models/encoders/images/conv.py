"""A small convolutional network with a spatial softmax (Levine et al. 2016, section 4.2).

Each channel of the last layer becomes the mean position of its activation, two values, which keeps
positions exact where pooling would blur them. A text selects further positions by attention.
"""

from typing import Literal

from pydantic import Field

from kinemill.task import TorchModule, Width
from kinemill.task.imitation import IMAGES, ImageEncoder


@IMAGES.register("conv")
class Conv(ImageEncoder):
    """Convolutions, the first two with stride 2, then the mean position of each channel."""

    type: Literal["conv"] = "conv"
    channels: list[Width] = Field(default=[16, 32, 32], min_length=1)
    """output channels of each convolution"""

    def build(self, shape: tuple[int, int, int], text_size: int = 0) -> TorchModule:
        """Make the `ConvEncoder`."""
        from kinemill.models.networks.image_encoders import ConvEncoder

        return ConvEncoder(shape, text_size, self.size, self.channels)
