"""Encoders of images and texts, one file each, in `images/` and `texts/`.

All are trained from scratch with the policy; an image encoder may start from a local checkpoint.
Nothing is downloaded.
"""

from kinemill.task.imitation import IMAGES, TEXTS, ImageEncoder, TextEncoder

__all__ = ["IMAGES", "TEXTS", "ImageEncoder", "TextEncoder"]
