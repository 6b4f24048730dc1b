"""A text byte by byte: embeddings of bytes and positions, convolutions, the mean of all."""

from typing import Any, Literal

from pydantic import PositiveInt

from kinemill.task.imitation import TEXTS, TextEncoder


@TEXTS.register("bytes")
class Bytes(TextEncoder):
    """Bytes and their neighbors, for any language, without a vocabulary."""

    type: Literal["bytes"] = "bytes"
    width: PositiveInt = 64
    layers: PositiveInt = 2

    def build(self, length: int, words: tuple[str, ...]) -> Any:
        """Make the `BytesEncoder`."""
        from kinemill.models.networks.text_encoders import BytesEncoder

        del words
        return BytesEncoder(length, self.size, self.width, self.layers)
