"""A small convolutional network with a spatial softmax (Levine et al. 2016, section 4.2).

Each channel of the last layer becomes the mean position of its activation, two values, which keeps
positions exact where pooling would blur them. A text selects further positions by attention.
"""

from typing import Literal

from pydantic import Field

from kinemill.task import Layers, Ratio, TorchModule, Width
from kinemill.task.imitation import IMAGES, ImageEncoder


@IMAGES.register("conv")
class Conv(ImageEncoder):
    """Convolutions, the first of them with stride 2, then keypoints or means of each channel."""

    type: Literal["conv"] = "conv"
    channels: list[Width] = Field(
        default=[16, 32, 32], min_length=1, description="output channels of each convolution"
    )
    strided_layers: Layers = Field(
        default=2, description="number of layers, from the first on, with stride 2"
    )
    sharpness: Ratio = Field(
        default=4.0, description="initial inverse temperature of the spatial softmax"
    )
    pool: Literal["keypoints", "mean"] = Field(
        default="keypoints",
        description="keypoints: positions of the largest activations; mean: means of each channel",
    )
    queries: Width = Field(default=4, description="positions that a text selects")

    def build(self, shape: tuple[int, int, int], text_size: int = 0) -> TorchModule:
        """Make the `ConvEncoder`."""
        from kinemill.models.networks.image_encoders import ConvEncoder, ConvSizes

        keypoints = self.pool == "keypoints"
        sizes = ConvSizes(self.channels, self.strided_layers, keypoints, self.queries)
        return ConvEncoder(shape, text_size, self.size, sizes, self.sharpness)
