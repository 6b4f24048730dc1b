"""A text byte by byte: embeddings of bytes and positions, convolutions, the mean of all."""

from typing import Literal

from kinemill.task import Layers, TorchModule, Width
from kinemill.task.imitation import TEXTS, TextEncoder


@TEXTS.register("bytes")
class Bytes(TextEncoder):
    """Bytes and their neighbors, for any language, without a vocabulary."""

    type: Literal["bytes"] = "bytes"
    width: Width = 64
    """size of the vector of each byte"""
    layers: Layers = 2
    """number of convolutions over neighboring bytes"""

    def build(self, length: int, words: tuple[str, ...]) -> TorchModule:
        """Make the `BytesEncoder`."""
        from kinemill.models.networks.text_encoders import BytesEncoder

        del words
        return BytesEncoder(length, self.size, self.width, self.layers)
