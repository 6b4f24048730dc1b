"""Time scaling: the same path at another speed, with its derivatives rescaled.

Played f times as fast, x(f t) has the velocity f x'(f t) and the acceleration f² x''(f t). What
actions become is for the task to say: position commands stay, and the torques of a robot that
gravity and friction do not load grow as f². A torque under gravity has no such law; do not use this
there.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, field_validator

from kinemill.augment._plugin import Augmentation, Problems, Rows, Signals
from kinemill.spec import AUGMENTATIONS, unknown_channels


@AUGMENTATIONS.register("time_scale")
class TimeScale(Augmentation):
    """Play the episode at a random speed; states are interpolated, actions held."""

    type: Literal["time_scale"] = "time_scale"
    factor: tuple[PositiveFloat, PositiveFloat] = Field(
        default=(0.9, 1.1), description="lowest and highest speed; 2 is twice as fast"
    )
    powers: dict[str, float] = Field(
        default={},
        description="power of the factor by channel; derivatives have theirs, others 0",
    )

    @field_validator("factor")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            message = f"the lowest speed {value[0]} is above the highest {value[1]}"
            raise ValueError(message)
        return value

    def problems(self, channels: Mapping[str, Any]) -> Problems:
        """Return powers of unknown channels, and of derivatives, whose power is their order."""
        found = unknown_channels(self.powers, channels, "powers")
        for name in self.powers:
            if name in channels and channels[name].derivative_of:
                what = f"is the derivative of {channels[name].derivative_of!r}; its power is known"
                found.append((("powers", name), what))
        if not any(channel.derivative_of for channel in channels.values()) and not self.powers:
            found.append((("powers",), "no channel is a derivative and none has a power"))
        return found

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (m, C): `values` (n, C) after every factor-th row, m = (n - 1) / factor + 1."""
        factor = random.uniform(*self.factor)
        rows = len(values)
        count = int((rows - 1) / factor) + 1
        spots = np.minimum(np.arange(count) * factor, rows - 1)
        before = np.floor(spots + 1e-9).astype(np.int64)
        scaled = np.empty((count, values.shape[1]))
        for column, name in enumerate(signals.columns):
            signal = values[:, column]
            held = signals.channels[name].role == "action"
            scaled[:, column] = signal[before] if held else np.interp(spots, range(rows), signal)
            scaled[:, column] *= factor ** self.powers.get(name, signals.order(name))
        return scaled.astype(np.float32)
