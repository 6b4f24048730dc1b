"""Quantization: copies with the resolution of a coarser encoder or converter."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Rows, Signals
from kinemill.task import AUGMENTATIONS, PositiveQuantity


@AUGMENTATIONS.register("quantization")
class Quantization(Augmentation):
    """Round channels to steps with a random offset."""

    type: Literal["quantization"] = "quantization"
    channel_keys: ClassVar[tuple[str, ...]] = ("step",)
    step: Annotated[dict[str, PositiveQuantity], Field(min_length=1)] = Field(
        description="step size by channel, in the channel's unit"
    )

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values`, rounded to steps and within the channels' limits."""
        rounded = values.astype(np.float64)
        for name, step in self.step.items():
            (column,) = signals.where([name])
            zero = step * random.uniform()  # the position of a real encoder's steps is unknown
            rounded[:, column] = zero + step * np.round((rounded[:, column] - zero) / step)
        return signals.saturate(rounded)
