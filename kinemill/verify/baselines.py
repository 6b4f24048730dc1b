"""What a model has to beat: nothing moves, and two linear models on the same history.

Both are least squares without regularisation, in float64, fitted on the training split and rolled
out like a model. Symbols: W windows, H history, T horizon, S states, A actions, F features.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.runtime import wrapped
from kinemill.runtime.windows import Floats
from kinemill.verify.accuracy import gather, is_angle, window_starts

ROWS = 8192  # training windows looked at at once, bounds memory


@dataclass(frozen=True)
class Persistence:
    """Everything stays as it is."""

    history: int = 1

    def rollout(self, states: Any, past_actions: Any, actions: Any) -> Floats:
        """Repeat the last known state: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S)."""
        del past_actions
        return np.repeat(np.asarray(states)[:, -1:], np.shape(actions)[1], axis=1)


@dataclass(frozen=True)
class Linear:
    """Next state = features of the last H states and actions times a matrix.

    Attributes:
        history: H.
        angle: which states are angles, (S,).
        sincos: angles enter as sine, cosine and differences, and changes of state are predicted;
            otherwise raw values enter and the next state comes out.
        weights: (F, S).
    """

    history: int
    angle: NDArray[np.bool_]
    sincos: bool
    weights: Floats

    def rollout(self, states: Any, past_actions: Any, actions: Any) -> Floats:
        """Feed back predictions: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S)."""
        known = np.asarray(states, dtype=np.float64)
        every = np.concatenate([past_actions, actions], axis=1)
        predicted: list[Floats] = []
        for step in range(np.shape(actions)[1]):
            row = features(known, every[:, step : step + self.history], self.angle, self.sincos)
            following = row @ self.weights
            if self.sincos:
                following += known[:, -1]
            known = np.concatenate([known[:, 1:], following[:, None]], axis=1)
            predicted.append(following)
        return np.stack(predicted, axis=1)


def features(states: Floats, actions: Floats, angle: NDArray[np.bool_], sincos: bool) -> Floats:
    """Lay the last H states (W, H, S) and actions (W, H, A) out in one row, (W, F), with a 1."""
    count = len(states)
    parts = [states]
    if sincos:
        turning = states[:, :, angle]
        moved = wrapped(np.diff(turning, axis=1), angle[angle])
        parts = [np.sin(turning), np.cos(turning), moved, states[:, :, ~angle]]
    flat = [part.reshape(count, -1) for part in (*parts, actions)]
    return np.concatenate([*flat, np.ones((count, 1))], axis=1)


def fit_linear(dataset: PackedDataset, history: int, *, sincos: bool) -> Linear:
    """Fit one of the linear models on the training split.

    Raises:
        BadInput: no training episode is longer than the history.
    """
    angle = is_angle(dataset)
    examples = (np.concatenate(pair, axis=1) for pair in _examples(dataset, history, sincos))
    # Only R of a QR decomposition is kept of what was seen: exact, and of bounded size.
    seen = functools.reduce(lambda top, rows: _triangle(np.concatenate([top, rows])), examples)
    width = seen.shape[1] - len(angle)
    weights = np.linalg.lstsq(seen[:, :width], seen[:, width:], rcond=None)[0]
    return Linear(history, angle, sincos, weights.astype(np.float64))


def _triangle(rows: Floats) -> Floats:
    return np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)


def _examples(
    dataset: PackedDataset, history: int, sincos: bool
) -> Iterator[tuple[Floats, Floats]]:
    """Yield features (W, F) and what they should give (W, S), a bounded number at a time."""
    angle = is_angle(dataset)
    starts = window_starts(dataset, "train", history + 1, 1)
    for first in range(0, len(starts), ROWS):
        windows = gather(dataset, starts[first : first + ROWS], history, 1)
        actions = np.concatenate([windows.past_actions, windows.actions], axis=1)
        following = windows.truth[:, 0]
        if sincos:
            following = wrapped(following - windows.states[:, -1], angle)
        yield features(windows.states, actions, angle, sincos), following


def contestants(dataset: PackedDataset, history: int) -> dict[str, Any]:
    """Return every baseline by name, fitted for models that know `history` rows."""
    return {
        "persistence": Persistence(),
        "linear": fit_linear(dataset, history, sincos=False),
        "linear_sincos": fit_linear(dataset, history, sincos=True),
    }
