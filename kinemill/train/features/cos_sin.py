"""Cosine and sine of an angle or another periodic channel: equal after a full turn."""

import math
from typing import Any, ClassVar, Literal

from kinemill.task.bounds import PositiveQuantity
from kinemill.task.plugins import ENCODINGS, Encoding


@ENCODINGS.register("cos_sin")
class CosSin(Encoding):
    """Cosine and sine of a channel, for angles and other periodic values."""

    parts: ClassVar[int] = 2
    bounded: ClassVar[bool] = True
    type: Literal["cos_sin"] = "cos_sin"
    period: PositiveQuantity | None = None
    """length of a turn, in the channel's unit; default: 2π rad"""

    def encode(self, values: Any) -> tuple[object, ...]:
        """Return cos and sin of the turn: (..., n) -> twice (..., n)."""
        import torch

        turned = values if self.period is None else values * (2 * math.pi / self.period)
        return torch.cos(turned), torch.sin(turned)
