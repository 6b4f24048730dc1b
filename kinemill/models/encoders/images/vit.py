"""A small vision transformer (Dosovitskiy et al. 2021), normalized before each part."""

from typing import Any, Literal

from pydantic import PositiveInt, model_validator

from kinemill.task.imitation import IMAGES, ImageEncoder


@IMAGES.register("vit")
class ViT(ImageEncoder):
    """Self-attention between the patches of an image."""

    type: Literal["vit"] = "vit"
    patch: PositiveInt = 8
    width: PositiveInt = 64
    heads: PositiveInt = 4
    layers: PositiveInt = 2

    @model_validator(mode="after")
    def _divides(self) -> "ViT":
        if self.width % self.heads:
            message = f"{self.heads} heads do not divide a width of {self.width}"
            raise ValueError(message)
        return self

    def build(self, shape: tuple[int, int, int], text_size: int = 0) -> Any:
        """Make the `ViTEncoder`.

        Raises:
            BadInput: The patch size does not divide the image.
        """
        from kinemill.models.networks.image_encoders import ViTEncoder, ViTSizes

        sizes = ViTSizes(self.patch, self.width, self.heads, self.layers)
        return ViTEncoder(shape, text_size, self.size, sizes)
