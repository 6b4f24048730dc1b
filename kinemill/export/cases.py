"""Parity cases: inputs of a few windows with the outputs of the trained step in float64.

`python -m kinemill.runtime verify FOLDER` compares a copy of the model with `cases.npz` on any
machine; it needs numpy and ONNX Runtime.

Symbols: N cases, H history, T horizon, S states, A actions.
"""

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.export.rounding import FACTOR, evaluate, rollout
from kinemill.export.step import TrainedStep
from kinemill.runtime import Interface, wrapped
from kinemill.runtime.window_metrics import (
    Floats,
    Windows,
    cut_windows,
    draw_within,
    evenly_spaced,
    nonzero_std,
)

CASES = 8
HORIZON = 25
TOLERANCE = 1e-5  # smallest tolerance, in standard deviations of a channel, as in verification

Arrays = dict[str, NDArray[np.float32]]


def training_windows(rows: PackedDataset, history: int, horizon: int, most: int) -> Windows | None:
    """Return up to `most` evenly spaced training windows; None if all episodes are too short.

    A window has `history` known rows (W, H, S) and `horizon` rows to predict (W, T, S).
    """
    starts = rows.window_starts("train", history + horizon)
    if not len(starts):
        return None
    selected = evenly_spaced(starts, most)
    return cut_windows(rows.values, len(rows.states), selected, history, horizon)


def make_cases(step: TrainedStep, interface: Interface, rows: PackedDataset | None) -> Arrays:
    """Return inputs, expected next states (N, T, S) and the tolerance of a runtime.

    Without `rows`, inputs are drawn within the limits.
    """
    windows = training_windows(rows, interface.history, HORIZON, CASES) if rows else None
    inputs = _as_inputs(windows) if windows else _random_inputs(interface)
    std = np.ones(len(interface.states)) if rows is None else rows.std[: len(interface.states)]
    std = nonzero_std(std)  # a constant channel counts in its unit
    with np.errstate(over="ignore"):  # predictions may diverge
        return inputs | _expected(step, interface, inputs, std)


def _expected(step: TrainedStep, interface: Interface, inputs: Arrays, std: Floats) -> Arrays:
    exact, rounded = evaluate(step, rollout, [*inputs.values()], interface.dtype).part(0)
    angle = interface.is_angle
    rounding = np.max([np.abs(wrapped(values - exact, angle)) for values in rounded], axis=0)
    allowed = _allowed(exact, rounding, std)
    return {"next_states": exact.astype(np.float32), "allowed": allowed.astype(np.float32)}


def _allowed(exact: Floats, rounding: Floats, std: Floats) -> Floats:
    """Return the tolerance of each number (N, T, S); it never decreases along a rollout."""
    # One state's rounding reaches all others through the network, so the worst one counts for all.
    worst = (rounding / std).max(axis=2, keepdims=True) * std
    floor = np.maximum(TOLERANCE * std, np.spacing(np.abs(exact).astype(np.float32)))
    return np.maximum.accumulate(np.maximum(FACTOR * worst, floor), axis=1)


def _as_inputs(windows: Windows) -> Arrays:
    parts = {
        "states": windows.states,
        "past_actions": windows.past_actions,
        "actions": windows.actions,
    }
    return {name: part.astype(np.float32) for name, part in parts.items()}


def _random_inputs(interface: Interface) -> Arrays:
    random = np.random.default_rng(0)
    limits = interface.limits
    history = interface.history
    return {
        "states": draw_within(random, limits, interface.states, (CASES, history)),
        "past_actions": draw_within(random, limits, interface.actions, (CASES, history - 1)),
        "actions": draw_within(random, limits, interface.actions, (CASES, HORIZON)),
    }
