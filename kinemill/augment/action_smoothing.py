"""Action smoothing: copies with actions averaged over a window, as by a slow actuator.

A motor does not follow a command immediately. The mean is centered, so that it adds no delay.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from kinemill.augment._augmentation import (
    Augmentation,
    Problems,
    Rows,
    Signals,
    not_actions,
    same_again,
)
from kinemill.task import AUGMENTATIONS, Channel, Seconds


@AUGMENTATIONS.register("action_smoothing")
class ActionSmoothing(Augmentation):
    """Replace actions by their mean over `window`, which is truncated at the ends."""

    type: Literal["action_smoothing"] = "action_smoothing"
    window: Seconds = Field(description="width of the mean, s; at least three rows are used")
    channels: list[str] = Field(default=[], description="actions; default: all")

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return the names that are not actions of the task."""
        return same_again(self.copies) + not_actions(self.channels, channels, "smoothed")

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with actions replaced by their mean over 2 h + 1 rows."""
        del random
        half = max(1, round(self.window / signals.dt / 2.0))
        rows = len(values)
        first = np.maximum(np.arange(rows) - half, 0)
        after = np.minimum(np.arange(rows) + half + 1, rows)
        smooth = values.astype(np.float64)
        for column in signals.actions(self.channels):
            # Differences of a cumulative sum: the cost does not depend on the window.
            total = np.concatenate(([0.0], np.cumsum(smooth[:, column])))
            smooth[:, column] = (total[after] - total[first]) / (after - first)
        return signals.saturate(smooth)
