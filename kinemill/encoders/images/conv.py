"""A small convolutional network that says where things are (Levine et al. 2016, section 4.2).

Each channel of the last layer becomes the mean place of what it answers to, two numbers, by a
softmax over the picture; that keeps places exact where pooling would blur them.
"""

from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, PositiveInt

from kinemill.encoders._encoder import IMAGES, ImageEncoder


@IMAGES.register("conv")
class Conv(ImageEncoder):
    """Convolutions, each halving the picture, then places or means of each channel."""

    type: Literal["conv"] = "conv"
    channels: list[PositiveInt] = Field(default=[16, 32, 32], min_length=1)
    stride: PositiveInt = 2
    pool: Literal["places", "mean"] = "places"

    def build(self, shape: tuple[int, int, int]) -> Any:
        """Make the network."""
        import torch
        from torch import Tensor, nn

        height, width, colours = shape
        for _ in self.channels:
            height, width = -(-height // self.stride), -(-width // self.stride)
        down = torch.linspace(-1, 1, height).repeat_interleave(width)
        across = torch.linspace(-1, 1, width).repeat(height)
        stride, places = self.stride, self.pool == "places"

        class Network(nn.Module):
            grid: Tensor

            def __init__(self, settings: Conv) -> None:
                super().__init__()
                sizes = [colours, *settings.channels]
                self.layers = nn.ModuleList(
                    nn.Conv2d(a, b, 3, stride=stride, padding=1) for a, b in pairwise(sizes)
                )
                self.sharpness = nn.Parameter(torch.ones(()))
                found = sizes[-1] * (2 if places else 1)
                self.head = nn.Linear(found, settings.size)
                self.register_buffer("grid", torch.stack([down, across], 1), persistent=False)

            def forward(self, image: Tensor) -> Tensor:
                x = image - 0.5
                for layer in self.layers:
                    x = nn.functional.silu(layer(x))
                x = x.flatten(2)
                if places:
                    x = (torch.softmax(x * self.sharpness, dim=-1) @ self.grid).flatten(1)
                else:
                    x = x.mean(-1)
                return self.head(x)

        return Network(self)
