"""Errors of a predictor for each channel, in its unit, at every step of the horizon.

Symbols: W windows, H history, T horizon, S states, A actions.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import training_scale
from kinemill.dataset.windows import episodes_of, gather, is_angle, window_starts
from kinemill.errors import BadInput
from kinemill.runtime.window_metrics import (
    QUIETLY,
    Floats,
    Predictor,
    deviations,
)
from kinemill.verify.errors import Errors, horizons_of

CHUNK = 1024  # windows in one batch, which bounds memory


@QUIETLY
def evaluate(
    predictor: Predictor,
    dataset: PackedDataset,
    split: str = "test",
    horizon: int | Sequence[int] = 25,
    stride: int = 5,
    history: int | None = None,
) -> Errors:
    """Measure a predictor that gets the true actions and its own predictions as input.

    The errors are (W, S) at each horizon and (T, S) at each step, in units.

    Args:
        predictor: a `Simulator` or a baseline.
        dataset: evaluation data; channels in the predictor's order.
        split: `train`, `validation` or `test`.
        horizon: number of steps to predict, T, with errors stored at the steps of `horizons_of`; or
            the steps at which errors are stored, the largest of which is T.
        stride: rows between the starts of windows.
        history: rows of history in each window, at least the predictor's own, which is the default.
            The longest history of several predictors gives all of them the same windows.

    Raises:
        BadInput: The channels differ from the dataset's, or no episode has room for a window.
    """
    _same_channels(predictor, dataset)
    history_rows = max(history or 0, predictor.history)
    horizons = horizons_of(horizon) if isinstance(horizon, int) else sorted(set(horizon))
    last = horizons[-1]
    starts = window_starts(dataset, split, history_rows + last, stride)
    squares = np.zeros((last, len(dataset.states)))
    by_horizon: dict[int, list[Floats]] = {steps: [] for steps in horizons}
    sizes = np.zeros_like(squares)
    # Only sums over windows are kept for each step: all errors (W, T, S) can exceed the memory.
    for part in _chunks(starts):
        windows = gather(dataset, part, history_rows, last)
        error = deviations(predictor, windows, is_angle(dataset))
        squares += (error**2).sum(axis=0)
        sizes += np.abs(error).sum(axis=0)
        for steps in horizons:
            by_horizon[steps].append(error[:, steps - 1])
    return Errors(
        channels=tuple(dataset.states),
        units=tuple(dataset.units[name] for name in dataset.states),
        dt=dataset.dt,
        starts=starts,
        history=history_rows,
        stride=stride,
        by_horizon={steps: np.concatenate(parts) for steps, parts in by_horizon.items()},
        by_step=np.sqrt(squares / len(starts)),
        mae_by_step=sizes / len(starts),
        scale=training_scale(dataset),
        episode=episodes_of(dataset, split, starts),
    )


def _chunks(starts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(starts), CHUNK):
        yield starts[first : first + CHUNK]


def _same_channels(predictor: Predictor, dataset: PackedDataset) -> None:
    for role in ("states", "actions"):
        channels = getattr(predictor, role, None)
        expected = list(getattr(dataset, role))
        if channels is not None and list(channels) != expected:
            raise BadInput(
                f"{role} of the model",
                f"are {list(channels)}",
                expected=f"{expected}, as in the dataset",
            )
