"""Perception: images of an observation as features, in addition to its numbers.

A network of reinforcement learning gets one row: the numbers, then the pixels of each image, whose
stacked frames follow each other. `Perception` encodes the pixels and passes the numbers on.

Symbols: B batch, E numbers and pixels of a row, H height, W width, C colors, N frames.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kinemill.task.imitation import ImageEncoder, default_encoder
from kinemill.task.reinforcement import ImageInput


class Perception(nn.Module):
    """Encoders of the images of a row; numbers pass unchanged.

    Args:
        inputs: E.
        images: at the end of the row.
        encoder: settings of all encoders; None: by the size of each image.
    """

    def __init__(
        self, inputs: int, images: Sequence[ImageInput], encoder: ImageEncoder | None
    ) -> None:
        super().__init__()
        self._images = tuple(images)
        self._numbers = inputs - sum(image.pixels for image in images)
        settings = [encoder or default_encoder(image.shape[:2]) for image in images]
        self.encoders = nn.ModuleList(
            one.build((*image.shape[:2], image.shape[2] * image.frames), 0)
            for one, image in zip(settings, images, strict=True)
        )
        self.outputs = self._numbers + sum(one.size for one in settings)

    def forward(self, row: Tensor) -> Tensor:
        """Return numbers and features of images: (B, E) -> (B, outputs)."""
        numbers, *parts = row.split([self._numbers, *(one.pixels for one in self._images)], dim=1)
        features = [numbers] if self._numbers else []
        for encoder, image, pixels in zip(self.encoders, self._images, parts, strict=True):
            height, width, colors = image.shape
            frames = pixels.reshape(-1, image.frames, height, width, colors)
            channels = frames.permute(0, 1, 4, 2, 3).flatten(1, 2) / 255.0
            features.append(encoder(channels, row[:, :0]))
        return torch.cat(features, dim=1) if len(features) > 1 else features[0]
