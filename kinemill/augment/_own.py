"""Custom augmentation: a function in a file of the project.

def shake(values, signals, random, std: float = 0.01): ...  # (n, C) -> (m, C)
"""

from typing import ClassVar

import numpy as np

from kinemill.augment._augmentation import Augmentation, Rows, Signals
from kinemill.task.own_code import OwnCode


class OwnAugmentation(OwnCode, Augmentation):
    """Settings of a custom augmentation."""

    arguments: ClassVar[tuple[str, ...]] = ("values", "signals", "random")
    protocol: ClassVar[type[Augmentation]] = Augmentation

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Apply the function to a copy of (n, C) `values`; clip the result (m, C) to limits."""
        return signals.saturate(np.asarray(self.call(values.copy(), signals, random)))
