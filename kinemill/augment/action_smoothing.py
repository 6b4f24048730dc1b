"""Action smoothing: copies whose actions are averaged over a window, as a slow drive does.

A motor follows no command at once; where commands were logged and not what became of them, the
smooth course is as likely as the stepped one. Centred, so that nothing is delayed.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from kinemill.augment._plugin import Augmentation, Problems, Rows, Signals, same_again
from kinemill.spec import AUGMENTATIONS, unknown_channels


@AUGMENTATIONS.register("action_smoothing")
class ActionSmoothing(Augmentation):
    """Replace actions by their mean over `window`, at the ends over what there is of it."""

    type: Literal["action_smoothing"] = "action_smoothing"
    window: PositiveFloat = Field(description="width of the mean, s; at least three rows are used")
    channels: list[str] = Field(default=[], description="actions; default: all")

    def problems(self, channels: Mapping[str, Any]) -> Problems:
        """Return the names that are no action of the task."""
        found = same_again(self.copies) + unknown_channels(self.channels, channels, "channels")
        found += [
            (("channels", name), "is a state; only actions are smoothed")
            for name in self.channels
            if name in channels and channels[name].role != "action"
        ]
        if not any(channel.role == "action" for channel in channels.values()):
            found.append((("type",), "the task has no action"))
        return found

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with the mean over 2 h + 1 rows in place of the actions."""
        del random
        half, rows = max(1, round(self.window / signals.dt / 2.0)), len(values)
        first = np.maximum(np.arange(rows) - half, 0)
        after = np.minimum(np.arange(rows) + half + 1, rows)
        actions = [name for name in signals.columns if signals.channels[name].role == "action"]
        smooth = values.astype(np.float64)
        for column in signals.where(self.channels or actions):
            total = np.concatenate(([0.0], np.cumsum(smooth[:, column])))
            smooth[:, column] = (total[after] - total[first]) / (after - first)
        return signals.saturate(smooth)
