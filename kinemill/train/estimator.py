"""Estimator of derived states: velocities of a window of measured positions, at run time.

In training a derived state comes from a filter without phase lag, which uses future rows. At run
time there are none. Here the derivative at each of the last R rows is a linear map of the positions
relative to the present one (a filter of finite impulse response). Its weights are the least-squares
solution over the training rows, so that they fit the noise and the motion of this robot. There is
no constant term, so a robot at rest has the velocity 0.

Symbols: B batch, N windows, R rows known, S states, D derived states.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.models.networks.scaling import angle_period, wrap_angles
from kinemill.runtime.window_metrics import evenly_spaced
from kinemill.train.layout import Layout

MOST = 20_000  # training windows of the fit, evenly spaced
RIDGE = 1e-6  # relative to the mean square of the positions


class Estimator(nn.Module):
    """(B, R, S) with any value in derived columns -> (B, R, S) with their estimates; task units.

    Args:
        layout: layout of a task with derived states.
        weight: (D, R, R), see `estimator_weights`.
    """

    weight: Tensor
    mask: Tensor
    select: Tensor
    scatter: Tensor
    period: Tensor

    def __init__(self, layout: Layout, weight: Tensor) -> None:
        super().__init__()
        columns, parents = columns_of(layout)
        states = len(layout.states)
        fixed = {
            "mask": torch.tensor([float(column not in columns) for column in range(states)]),
            "select": torch.eye(states)[:, parents],
            "scatter": torch.eye(states)[columns],
            "period": angle_period([layout.angles[parent] for parent in parents]),
        }
        self.register_buffer("weight", weight.to(torch.float32))
        for name, value in fixed.items():
            self.register_buffer(name, value, persistent=False)

    @property
    def rows(self) -> int:
        """Number of rows that an estimate needs, R."""
        return self.weight.shape[1]

    def forward(self, states: Tensor) -> Tensor:
        """Return states (B, R, S) with estimates in the derived columns."""
        positions = states @ self.select
        moved = wrap_angles(positions - positions[:, -1:], self.period)
        by_state = moved.transpose(1, 2).unsqueeze(2)  # (B, D, 1, R)
        estimates = (by_state @ self.weight).squeeze(2).transpose(1, 2)
        return states * self.mask + estimates @ self.scatter


def columns_of(layout: Layout) -> tuple[list[int], list[int]]:
    """Return the columns of the D derived states, and of the states that they derive from."""
    pairs = [(layout.states.index(name), layout.states.index(of)) for name, of in layout.derived]
    return [column for column, _ in pairs], [parent for _, parent in pairs]


def known_rows(layout: Layout) -> int:
    """Return the rows that must be known before a prediction, R."""
    return max(layout.history, layout.estimator_rows)


def estimator_weights(dataset: PackedDataset, layout: Layout) -> Tensor:
    """Fit the estimator to the training rows: (D, R, R) float64, position row to derivative row.

    Raises:
        BadInput: No training episode has R rows.
    """
    rows = known_rows(layout)
    starts = dataset.window_starts("train", rows)
    names = ", ".join(name for name, _ in layout.derived)
    if len(starts) == 0:
        raise BadInput(
            f"train split of {dataset.task}",
            f"no episode has {rows} rows",
            expected=f"{rows} rows, from which {names} is estimated",
            fix="raise the `cutoff` of the derived channel, or add longer logs",
        )
    index = evenly_spaced(starts, MOST)[:, None] + np.arange(rows)
    windows = dataset.take(index).astype(np.float64)
    weights = [
        _fit(windows[:, :, parent], windows[:, :, column])
        for column, parent in zip(*columns_of(layout), strict=True)
    ]
    return torch.from_numpy(np.stack(weights))


def _fit(positions: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights (R, R) from positions (N, R), continuous, to derivatives (N, R)."""
    moved = positions - positions[:, -1:]
    inputs = moved[:, :-1]
    square = inputs.T @ inputs
    square += RIDGE * np.trace(square) / max(len(square), 1) * np.eye(len(square))
    weight = np.zeros((positions.shape[1], positions.shape[1]))
    if square.any():  # a position that never moves has no velocity
        weight[:-1] = np.linalg.solve(square, inputs.T @ truth)
    return weight
