"""A small convolutional network that says where things are (Levine et al. 2016, section 4.2).

Each channel of the last layer becomes the mean place of what it answers to, two numbers, by a
softmax over the picture; that keeps places exact where pooling would blur them. Where there is a
text, it asks for places too: what it became is compared with the answers at each place, as in
attention, so that a word finds what it names.
"""

from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from kinemill.models.encoders._encoder import IMAGES, ImageEncoder


@IMAGES.register("conv")
class Conv(ImageEncoder):
    """Convolutions, the first of them halving the picture, then places or means of each channel."""

    type: Literal["conv"] = "conv"
    channels: list[PositiveInt] = Field(default=[16, 32, 32], min_length=1)
    halvings: PositiveInt = 2  # layers, from the first on, after which a picture has half the size
    sharpness: PositiveFloat = 4.0  # of places at first: how much more a strong answer counts
    pool: Literal["places", "mean"] = "places"
    questions: PositiveInt = 4  # places that a text asks for

    def build(self, shape: tuple[int, int, int], told: int = 0) -> Any:
        """Make the network."""
        import torch
        from torch import Tensor, nn

        height, width, colors = shape
        strides = [2 if layer < self.halvings else 1 for layer in range(len(self.channels))]
        for stride in strides:
            height, width = -(-height // stride), -(-width // stride)
        down = torch.linspace(-1, 1, height).repeat_interleave(width)
        across = torch.linspace(-1, 1, width).repeat(height)
        places, questions = self.pool == "places", self.questions if told else 0

        class Network(nn.Module):
            grid: Tensor

            def __init__(self, settings: Conv) -> None:
                super().__init__()
                sizes = [colors, *settings.channels]
                self.layers = nn.ModuleList(
                    nn.Conv2d(a, b, 3, stride=stride, padding=1)
                    for (a, b), stride in zip(pairwise(sizes), strides, strict=True)
                )
                self.sharpness = nn.Parameter(torch.full((sizes[-1], 1), settings.sharpness))
                self.asked = nn.Linear(told, questions * sizes[-1]) if told else None
                found = sizes[-1] * (2 if places else 1) + 2 * questions
                self.head = nn.Linear(found, settings.size)
                self.register_buffer("grid", torch.stack([down, across], 1), persistent=False)

            def forward(self, image: Tensor, told: Tensor) -> Tensor:
                x = image - 0.5
                for layer in self.layers:
                    x = nn.functional.silu(layer(x))
                x = x.flatten(2)
                apart = x - x.mean(-1, keepdim=True)
                spread = (apart * apart).mean(-1, keepdim=True).sqrt()
                answers = apart / (spread + 1e-3)
                found = [self.where(answers * self.sharpness) if places else x.mean(-1)]
                if self.asked is not None:
                    question = self.asked(told).unflatten(-1, (questions, -1))
                    found.append(self.where(question @ answers))
                return self.head(torch.cat(found, dim=-1))

            def where(self, answers: Tensor) -> Tensor:
                """Return mean places: (B, n, places) -> (B, 2 n), down and across in [-1, 1]."""
                return (torch.softmax(answers, dim=-1) @ self.grid).flatten(1)

        return Network(self)
