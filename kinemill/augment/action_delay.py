"""Action delay: copies with later or jittering actuators.

An actuator with d steps more delay moves the same if its commands come d steps earlier. The actions
are therefore shifted against the states, and the last rows, which have no action, are dropped.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.augment._augmentation import (
    ORDERED,
    Augmentation,
    Problems,
    Rows,
    Signals,
    not_actions,
)
from kinemill.task import AUGMENTATIONS, Channel
from kinemill.task.bounds import SecondsOrZero


@AUGMENTATIONS.register("action_delay")
class ActionDelay(Augmentation):
    """Shift actions against states by a random delay, with random jitter in each row."""

    type: Literal["action_delay"] = "action_delay"
    delay: Annotated[tuple[SecondsOrZero, SecondsOrZero], ORDERED]
    """shortest and longest additional delay, s"""
    jitter: SecondsOrZero = 0.0
    """longest additional random delay of a single command, s"""
    channels: list[str] = []
    """actions; default: all"""

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return the names that are not actions of the task."""
        return not_actions(self.channels, channels, "delayed")

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return m rows of (n, C) `values` with later actions, up to n - m rows ahead: (m, C)."""
        steps, jitter = self._late(signals, random)
        rows = max(len(values) - steps - jitter, 0)
        late = np.arange(rows) + steps + random.integers(0, jitter + 1, rows)
        late = np.maximum.accumulate(late)  # commands stay in order
        delayed = values[:rows].copy()
        for column in signals.actions(self.channels):
            delayed[:, column] = values[late, column]
        return delayed

    def source_rows(
        self, rows: int, signals: Signals, random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the first m rows: images stay with the states, only actions move."""
        return np.arange(max(rows - sum(self._late(signals, random)), 0))

    def _late(self, signals: Signals, random: np.random.Generator) -> tuple[int, int]:
        """Return a random delay and the longest jitter, rows."""
        steps = round(random.uniform(*self.delay) / signals.dt)
        return steps, round(self.jitter / signals.dt)
