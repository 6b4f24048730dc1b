"""Dropout: copies with lost messages, filled by the last value or linearly."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Rows, Signals
from kinemill.task import AUGMENTATIONS, RowCount


@AUGMENTATIONS.register("drop_out")
class DropOut(Augmentation):
    """Drop random rows of `channels`, all channels of a row together.

    `longest` must stay below the length that the check `stuck` reports as a frozen sensor.
    """

    type: Literal["drop_out"] = "drop_out"
    channel_keys: ClassVar[tuple[str, ...]] = ("channels",)
    channels: Annotated[list[str], Field(min_length=1)] = Field(
        description="channels of a lost message"
    )
    probability: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.01, description="probability that a loss starts in a row"
    )
    longest: RowCount = Field(default=3, description="longest loss, rows; the shortest is 1")
    fill: Literal["hold", "linear"] = Field(
        default="hold", description="hold: the last value; linear: a line to the next one"
    )

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with the lost rows filled; the first row is never lost."""
        received = ~self._lost(len(values), random)
        rows = np.arange(len(values))
        filled = values.copy()
        last = np.maximum.accumulate(np.where(received, rows, 0))
        for column in signals.where(self.channels):
            signal = values[:, column]
            line = (
                np.interp(rows, rows[received], signal[received]) if self.fill == "linear" else None
            )
            filled[:, column] = signal[last] if line is None else line
        return filled

    def _lost(self, n: int, random: np.random.Generator) -> NDArray[np.bool_]:
        rows = np.arange(n)
        begins = random.uniform(size=n) < self.probability
        ends = np.where(begins, rows + random.integers(1, self.longest + 1, n), 0)
        lost = rows < np.maximum.accumulate(ends)
        lost[:1] = False
        return lost
