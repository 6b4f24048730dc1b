"""A small vision transformer (Dosovitskiy et al. 2021), normalized before each part."""

from typing import Literal

from pydantic import Field, model_validator

from kinemill.task import Layers, Pixels, TorchModule, Width
from kinemill.task.imitation import IMAGES, ImageEncoder


@IMAGES.register("vit")
class ViT(ImageEncoder):
    """Self-attention between the patches of an image."""

    type: Literal["vit"] = "vit"
    patch: Pixels = Field(default=8, description="side of a patch, pixels")
    width: Width = Field(default=64, description="size of the vector of each patch")
    heads: Width = Field(default=4, description="attention heads")
    layers: Layers = Field(default=2, description="number of Transformer layers")

    @model_validator(mode="after")
    def _divides(self) -> "ViT":
        if self.width % self.heads:
            message = f"{self.heads} heads do not divide a width of {self.width}"
            raise ValueError(message)
        return self

    def build(self, shape: tuple[int, int, int], text_size: int = 0) -> TorchModule:
        """Make the `ViTEncoder`.

        Raises:
            BadInput: The patch size does not divide the image.
        """
        from kinemill.models.networks.image_encoders import ViTEncoder, ViTSizes

        sizes = ViTSizes(self.patch, self.width, self.heads, self.layers)
        return ViTEncoder(shape, text_size, self.size, sizes)
