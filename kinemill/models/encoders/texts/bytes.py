"""A text byte by byte: learned bytes and positions, convolutions over them, the mean of all."""

from typing import Any, Literal

from pydantic import PositiveInt

from kinemill.models.encoders._encoder import TEXTS, TextEncoder


@TEXTS.register("bytes")
class Bytes(TextEncoder):
    """Bytes and their neighbors; any language, no vocabulary."""

    type: Literal["bytes"] = "bytes"
    width: PositiveInt = 64
    layers: PositiveInt = 2

    def build(self, length: int, words: tuple[str, ...]) -> Any:
        """Make the network."""
        import torch
        from torch import Tensor, nn

        del words
        width, layers = self.width, self.layers

        class Network(nn.Module):
            def __init__(self, size: int) -> None:
                super().__init__()
                self.letters = nn.Embedding(256, width)
                self.position = nn.Parameter(0.02 * torch.randn(width, length))
                self.layers = nn.ModuleList(
                    nn.Conv1d(width, width, 5, padding=2) for _ in range(layers)
                )
                self.head = nn.Linear(width, size)

            def forward(self, text: Tensor) -> Tensor:
                there = (text > 0).to(self.position.dtype).unsqueeze(1)  # (B, 1, L)
                x = self.letters(text.to(torch.int64)).transpose(1, 2) + self.position
                for layer in self.layers:
                    x = x + nn.functional.silu(layer(x * there))
                mean = (x * there).sum(-1) / (there.sum(-1) + 1e-6)
                return self.head(mean)

        return Network(self.size)
