"""Action delay: copies with later or jittering actuators.

An actuator with d steps more delay moves the same if its commands come d steps earlier. The actions
are therefore shifted against the states, and the last rows, which have no action, are dropped.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from kinemill.augment._augmentation import Augmentation, Problems, Rows, Signals, not_actions
from kinemill.task import AUGMENTATIONS
from kinemill.task.bounds import SecondsOrZero
from kinemill.task.channels import Channel


@AUGMENTATIONS.register("action_delay")
class ActionDelay(Augmentation):
    """Shift actions against states by a random delay and, in each row, jitter."""

    type: Literal["action_delay"] = "action_delay"
    delay: tuple[SecondsOrZero, SecondsOrZero] = Field(
        description="shortest and longest further delay, s"
    )
    jitter: SecondsOrZero = Field(
        default=0.0, description="longest random delay of a single command on top, s"
    )
    channels: list[str] = Field(default=[], description="actions; default: all")

    @field_validator("delay")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            message = f"the shortest delay {value[0]} s is above the longest {value[1]} s"
            raise ValueError(message)
        return value

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return the names that are not actions of the task."""
        return not_actions(self.channels, channels, "delayed")

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return the first m of the (n, C) `values`, actions from up to n - m rows later."""
        steps, jitter = self._late(signals, random)
        rows = max(len(values) - steps - jitter, 0)
        late = np.arange(rows) + steps + random.integers(0, jitter + 1, rows)
        late = np.maximum.accumulate(late)  # no command overtakes another
        delayed = values[:rows].copy()
        for column in signals.actions(self.channels):
            delayed[:, column] = values[late, column]
        return delayed

    def source_rows(
        self, rows: int, signals: Signals, random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the first m rows, because only the actions move."""
        return np.arange(max(rows - sum(self._late(signals, random)), 0))

    def _late(self, signals: Signals, random: np.random.Generator) -> tuple[int, int]:
        """Return the delay drawn and the longest jitter, both in rows."""
        steps = round(random.uniform(*self.delay) / signals.dt)
        return steps, round(self.jitter / signals.dt)
