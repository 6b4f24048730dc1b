"""NaN diagnosis of rollouts: the window and the channel that made a loss not finite.

Symbols: M members, B windows, R rows of a window, T horizon, S states.
"""

import numpy as np
import torch
from torch import Tensor

from kinemill.dataset import PackedDataset
from kinemill.train.objective import Suspect
from kinemill.train.objectives._rollouts import Rollouts


class Suspects:
    """Find the cause of a loss that is not finite among the windows of a training set.

    Args:
        rollouts: the loss.
        training_set: the episodes of its windows.
    """

    def __init__(self, rollouts: Rollouts, training_set: PackedDataset) -> None:
        self._rollouts, self._data = rollouts, training_set

    @torch.no_grad()
    def __call__(self, which: Tensor, step: int) -> Suspect:
        """Return the cause among windows (M, B) at a training step."""
        numbers = which.flatten().tolist()
        for window in numbers:
            if (suspect := self._in_data(window)) is not None:
                return suspect
        return self._in_rollouts(which, numbers, step)

    def _first(self, window: int) -> int:
        return int(self._rollouts.train.starts[window])

    def _in_data(self, window: int) -> Suspect | None:
        """Return the first value of a window that is not finite, or None."""
        first, train = self._first(window), self._rollouts.train
        rows = self._data.view(first, first + train.history + train.horizon)
        bad = np.argwhere(~np.isfinite(rows))
        if len(bad) == 0:
            return None
        row, column = (int(index) for index in bad[0])
        value, name = float(rows[row, column]), self._data.columns[column]
        suspect = f"the data are {value} in row {row} of the window"
        return Suspect(self._named(first), name, suspect, in_data=True)

    def _in_rollouts(self, which: Tensor, numbers: list[int], step: int) -> Suspect:
        """Return the first prediction that is not finite, or the one with the largest error."""
        terms = self._rollouts.terms(which.to(self._rollouts.std.device), step, None)
        terms = terms.reshape(len(numbers), *terms.shape[-2:]).cpu()
        bad = (~terms.isfinite()).nonzero()
        if len(bad):
            window, row_ahead, state = bad[bad[:, 1].argmin()].tolist()
            what = "its prediction is not finite"
        else:
            window, row_ahead, state = np.unravel_index(int(terms.argmax()), terms.shape)
            what = f"its term of the loss is {float(terms[window, row_ahead, state]):.3g}"
        suspect = f"{what} after {int(row_ahead) + 1} of {terms.shape[1]} steps"
        name = self._rollouts.names[int(state)]
        return Suspect(self._named(self._first(numbers[int(window)])), name, suspect, in_data=False)

    def _named(self, first: int) -> str:
        episode = next(one for one in self._data.episodes if one.start <= first < one.stop)
        return f"window from row {first - episode.start} of episode {episode.name}"
