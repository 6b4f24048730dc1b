"""How a network sees an image or reads a text, one file each, in `images/` and `texts/`.

All are trained from scratch along with the policy; an image encoder may start from a checkpoint on
this machine. Nothing is ever downloaded.

Symbols: B batch, H height, W width, L bytes of a text, E numbers that come out.
"""

from kinemill.models.encoders._encoder import (
    IMAGES,
    TEXTS,
    ImageEncoder,
    TextEncoder,
    loaded,
    unlike_weights,
)

__all__ = ["IMAGES", "TEXTS", "ImageEncoder", "TextEncoder", "loaded", "unlike_weights"]
