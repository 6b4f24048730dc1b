"""The convolutional network of deep Q-networks (Mnih et al., 2015), for pixels of games."""

from typing import Literal

from kinemill.task import TorchModule, Width
from kinemill.task.imitation import IMAGES, ImageEncoder


@IMAGES.register("nature")
class Nature(ImageEncoder):
    """Three convolutions with strides 4, 2 and 1, then one layer over all positions."""

    type: Literal["nature"] = "nature"
    size: Width = 256
    """size of an image's feature vector"""

    def build(self, shape: tuple[int, int, int], text_size: int = 0) -> TorchModule:
        """Make the `NatureEncoder`."""
        from kinemill.models.networks.image_encoders import NatureEncoder

        return NatureEncoder(shape, text_size, self.size)
