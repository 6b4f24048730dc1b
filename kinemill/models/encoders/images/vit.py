"""A small vision transformer (Dosovitskiy et al. 2021), normalized before each part.

The picture is cut into patches; learned positions; the mean over all patches is the answer. What
texts say is one more patch.
"""

from typing import Any, Literal

from pydantic import PositiveInt, model_validator

from kinemill.errors import BadInput
from kinemill.models.encoders._encoder import IMAGES, ImageEncoder


@IMAGES.register("vit")
class ViT(ImageEncoder):
    """Patches that look at each other."""

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

    def build(self, shape: tuple[int, int, int], told: int = 0) -> Any:
        """Make the network.

        Raises:
            BadInput: patches do not cover the picture evenly.
        """
        import torch
        from torch import Tensor, nn

        height, across, colors = shape
        patch, width, heads = self.patch, self.width, self.heads
        if height % patch or across % patch:
            found = f"a picture of {height} x {across}"
            fix = "choose a patch that divides both, or resize by the channel's `shape`"
            raise BadInput(f"learn.image.patch: {patch}", found, fix=fix)
        count = (height // patch) * (across // patch)

        class Block(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
                self.asked = nn.Linear(width, 3 * width)
                self.joined = nn.Linear(width, width)
                self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

            def forward(self, x: Tensor) -> Tensor:
                parts = self.asked(self.before(x)).chunk(3, dim=-1)
                query, key, value = (
                    part.unflatten(-1, (heads, width // heads)).transpose(1, 2) for part in parts
                )
                scores = torch.softmax(query @ key.transpose(-1, -2) * (width / heads) ** -0.5, -1)
                x = x + self.joined((scores @ value).transpose(1, 2).flatten(2))
                return x + self.down(nn.functional.silu(self.up(self.between(x))))

        class Network(nn.Module):
            def __init__(self, settings: ViT) -> None:
                super().__init__()
                self.embed = nn.Conv2d(colors, width, patch, stride=patch)
                self.told = nn.Linear(told, width) if told else None
                self.position = nn.Parameter(0.02 * torch.randn(count, width))
                self.blocks = nn.ModuleList(Block() for _ in range(settings.layers))
                self.norm = nn.LayerNorm(width)
                self.head = nn.Linear(width, settings.size)

            def forward(self, image: Tensor, told: Tensor) -> Tensor:
                x = self.embed(image - 0.5).flatten(2).transpose(1, 2) + self.position
                if self.told is not None:
                    x = torch.cat([self.told(told).unsqueeze(1), x], dim=1)
                for block in self.blocks:
                    x = block(x)
                return self.head(self.norm(x).mean(1))

        return Network(self)
