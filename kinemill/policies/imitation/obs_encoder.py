"""Observation encoder: scaled numbers, cosine and sine of angles, images, texts.

Symbols: B batch, D numbers observed, H height, W width, C colors, L bytes of a text, F features.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from kinemill.runtime.policy_layout import OBSERVATION, PolicyLayout


class ObsEncoder(nn.Module):
    """Inputs by name (B, ...) -> features (B, F).

    Args:
        layout: layout with the observations.
        angles: names of the observed numbers that are angles, rad.
        scale: `observation_mean` and `observation_std` (D,), float64; unused for angles.
        encoders: network and output size for the name of each image and text.
    """

    observation_mean: Tensor
    observation_std: Tensor

    def __init__(
        self,
        layout: PolicyLayout,
        angles: Sequence[str],
        scale: Mapping[str, Tensor],
        encoders: Mapping[str, tuple[nn.Module, int]],
    ) -> None:
        super().__init__()
        self.images, self.texts = list(layout.images), list(layout.texts)
        self.count = len(layout.observation)
        turning = [name in angles for name in layout.observation]
        self.register_buffer("angles", _indices(turning, True), persistent=False)
        self.register_buffer("plain", _indices(turning, False), persistent=False)
        for name in ("observation_mean", "observation_std"):
            self.register_buffer(name, scale[name].to(torch.float32))
        self.turning = sum(turning)
        self.encoders = nn.ModuleDict({name: network for name, (network, _) in encoders.items()})
        sizes = sum(size for _, size in encoders.values())
        self.features = self.count + self.turning + sizes

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Encode one row each: inputs by name (B, ...) -> features (B, F)."""
        parts: list[Tensor] = []
        if self.count:
            parts.append(self._numbers(inputs[OBSERVATION]))
        texts = [self.encoders[name](inputs[name]) for name in self.texts]
        for name in self.images:
            # Images stay uint8 in memory; only the current batch is float32 with colors first.
            image = inputs[name].permute(0, 3, 1, 2).to(torch.float32) / 255.0
            text = torch.cat(texts, dim=-1) if texts else image.new_zeros(image.shape[0], 0)
            parts.append(self.encoders[name](image, text))
        parts += texts
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def _numbers(self, numbers: Tensor) -> Tensor:
        scaled = (numbers - self.observation_mean) / self.observation_std
        if not self.turning:
            return scaled
        turned = numbers.index_select(-1, self.get_buffer("angles"))
        rest = scaled.index_select(-1, self.get_buffer("plain"))
        return torch.cat([rest, torch.cos(turned), torch.sin(turned)], dim=-1)


def _indices(turning: list[bool], value: bool) -> Tensor:
    indices = [index for index, turns in enumerate(turning) if turns == value]
    return torch.tensor(indices, dtype=torch.int64)  # without a dtype, an empty list is float32
