"""Convolutions over an image, by one of the image encoders."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, SerializeAsAny

from kinemill.errors import BadInput
from kinemill.task.blocks import BLOCKS, Block, Signal
from kinemill.task.imitation import IMAGES, ImageEncoder, default_encoder
from kinemill.task.plugins import pick_or_none
from kinemill.task.protocols import TorchModule


@BLOCKS.register("conv")
class ConvolutionBlock(Block):
    """Features of an image, by an image encoder; stacked frames are further colors."""

    type: Literal["conv"] = "conv"
    encoder: Annotated[
        SerializeAsAny[ImageEncoder] | None, BeforeValidator(pick_or_none(IMAGES, ImageEncoder))
    ] = None
    """image encoder; default: nature from 36 pixels on, else conv"""

    def build(self, inputs: Sequence[Signal]) -> TorchModule:
        """Make the `ImageBlock`.

        Raises:
            BadInput: It reads no image, or several inputs.
        """
        from kinemill.models.networks.blocks import ImageBlock

        if len(inputs) != 1 or not inputs[0].is_image:
            shapes = ", ".join(str(input_.shape) for input_ in inputs)
            raise BadInput("block conv", f"reads {shapes}", expected="one image")
        channels, height, width = inputs[0].shape
        encoder = self.encoder or default_encoder((height, width))
        return ImageBlock(encoder.build((height, width, channels), 0))
