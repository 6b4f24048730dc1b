"""Mirror images of observations and actions, for tasks that are the same in a mirror.

Symbols: B batch, E columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Reflection(NamedTuple):
    """A mirror image of rows: `rows[:, columns] * signs`.

    Attributes:
        columns: source of each column, (E,).
        signs: (E,) 1 or -1.
    """

    columns: NDArray[np.intp]
    signs: NDArray[np.float32]

    @classmethod
    def of_parts(cls, parts: Sequence["Reflection"]) -> "Reflection":
        """Return the reflection of rows that consist of `parts`."""
        starts = np.cumsum([0, *(len(part.columns) for part in parts)])
        columns = [start + part.columns for start, part in zip(starts, parts, strict=False)]
        return cls(np.concatenate(columns), np.concatenate([part.signs for part in parts]))

    def apply(self, rows: Tensor) -> Tensor:
        """Return the mirror image of `rows` (B, E)."""
        return rows[:, self.columns] * rows.new_tensor(self.signs)


@dataclass(frozen=True)
class MirrorImage:
    """Reflections of observations and of actions."""

    observations: Reflection
    actions: Reflection
