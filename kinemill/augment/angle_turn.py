"""Angle turn: the same motion shifted by whole turns, for joints without limits.

It teaches a model with raw angles as inputs that 2π rad make no difference.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Problems, Rows, Signals
from kinemill.task import AUGMENTATIONS, Channel, Count, unknown_channels


@AUGMENTATIONS.register("angle_turn")
class AngleTurn(Augmentation):
    """Add the same nonzero number of turns to all rows of `channels`."""

    type: Literal["angle_turn"] = "angle_turn"
    channels: Annotated[list[str], Field(min_length=1)] = Field(
        description="an angle and all channels that count the same turns, such as its set-point"
    )
    max_turns: Count = Field(default=1, description="largest number of turns, in either direction")

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: channels that are unknown, no angle, or have limits."""
        problems = unknown_channels(self.channels, channels, "channels")
        for name in self.channels:
            where = ("channels", name)
            if name in channels and channels[name].kind != "angle":
                problems.append((where, "is not an angle (`kind: angle`)"))
            elif name in channels and (limits := channels[name].limits):
                problems.append((where, f"has limits {list(limits)}, so it cannot turn freely"))
        return problems

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with whole turns of 2π rad added."""
        turns = int(random.integers(1, self.max_turns + 1)) * int(random.choice([-1, 1]))
        turned = values.astype(np.float64)
        turned[:, signals.where(self.channels)] += turns * 2.0 * np.pi
        return turned.astype(np.float32)
