"""Coordinate shift: the same motion at another position, for translation-invariant systems.

Examples are a cart on a level track and a vehicle on a floor. All channels with the same origin
move together: position, set-point, obstacle. Derivatives do not change.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Problems, Rows, Signals
from kinemill.task import AUGMENTATIONS, Channel, PositiveQuantity, unknown_channels


@AUGMENTATIONS.register("coordinate_shift")
class CoordinateShift(Augmentation):
    """Add one random number per episode to all `channels`, within their limits."""

    type: Literal["coordinate_shift"] = "coordinate_shift"
    channels: Annotated[list[str], Field(min_length=1)] = Field(
        description="a coordinate and all channels with the same origin"
    )
    max_shift: PositiveQuantity = Field(description="largest shift, in the channels' unit")

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems of channels that are unknown, not coordinates, or in another unit."""
        problems = unknown_channels(self.channels, channels, "channels")
        shifted_channels = [(name, channels[name]) for name in self.channels if name in channels]
        for name, channel in shifted_channels:
            first = shifted_channels[0][0]
            unit = shifted_channels[0][1].unit
            where = ("channels", name)
            if channel.kind == "angle":
                problems.append((where, "is an angle"))
            elif channel.derivative_of:
                what = f"is the derivative of {channel.derivative_of!r}; a shift would bias it"
                problems.append((where, what))
            elif channel.unit != unit:
                what = f"is in {channel.unit}, and {first!r} in {unit}"
                problems.append((where, what))
        images = [name for name, channel in channels.items() if channel.role == "image"]
        if images:
            what = f"the pictures of {images[0]!r} would show the original position"
            problems.append((("type",), what))
        return problems

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with `channels` shifted."""
        columns = signals.where(self.channels)
        low = -self.max_shift
        high = self.max_shift
        for column, name in zip(columns, self.channels, strict=True):
            if limits := signals.channels[name].limits:
                low = max(low, limits[0] - float(values[:, column].min()))
                high = min(high, limits[1] - float(values[:, column].max()))
        shifted = values.astype(np.float64)
        shifted[:, columns] += random.uniform(min(low, 0.0), max(high, 0.0))
        return signals.saturate(shifted)
