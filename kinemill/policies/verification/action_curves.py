"""Differences from logged actions over time and after a reset.

A difference is a root mean square in the unit of the action. For an action with choices, it is the
share of rows with another choice.

Symbols: N rows, A actions, W windows, H steps of a window, B episodes.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.policies.verification.action_errors import HeldOut, policy_inputs, scored_rows
from kinemill.runtime import Floats, Policy
from kinemill.train.demonstrations import Demonstrations, Feed
from kinemill.verify.document import ActionCurves, ChannelCurves
from kinemill.verify.logs import SPLIT

PARTS = 20  # parts of the longest episode
BATCH = 256  # windows in one batch


def action_curves(
    policy: Policy, data: Demonstrations, measured: HeldOut, horizon: int, stride: int
) -> ActionCurves:
    """Return the differences from the logged actions over time.

    Args:
        policy: policy to measure.
        data: data with a test split.
        measured: actions of the policy on the test split, (N, A).
        horizon: steps after a reset; at most half of the median episode is used.
        stride: rows between resets.
    """
    longest = max(packed.rows for packed in data.packed.of(SPLIT))
    rows = scored_rows(data)
    ages = rows - data.first_rows[rows]
    size = _sizes(policy, measured, rows)
    edges = np.unique(np.linspace(1, longest, min(PARTS, longest - 1) + 1).astype(np.int64))
    part = np.searchsorted(edges, ages, side="right") - 1
    used = [index for index in range(len(edges)) if bool((part == index).any())]
    by_time = np.array([size[part == index].mean(axis=0) for index in used])
    after = None
    if policy.interface.carry:
        half = int(np.median([packed.rows for packed in data.packed.of(SPLIT)])) // 2
        after = _after_reset(policy, data, min(horizon, max(half, 1)), stride)
    choices = policy.interface.choices
    dt = data.packed.dt
    return ActionCurves(
        dt=dt,
        seconds=[float(ages[part == index].mean()) * dt for index in used],
        rows=[int((part == index).sum()) for index in used],
        channels={
            name: ChannelCurves(
                unit="share of rows" if choices[index] else policy.units[name],
                by_time=_spelled(by_time[:, index], choices[index]),
                by_step=None if after is None else _spelled(after[:, index], choices[index]),
            )
            for index, name in enumerate(policy.actions)
        },
    )


def _sizes(policy: Policy, measured: HeldOut, rows: NDArray[np.int64]) -> Floats:
    off = measured.actions[rows].astype(np.float64) - measured.logged[rows]
    return np.where(np.array(policy.interface.choices) > 0, off != 0.0, off**2)


def _spelled(values: Floats, choices: int) -> list[float]:
    """Return shares unchanged, or the roots of mean squares."""
    return (values if choices else np.sqrt(values)).tolist()


def _after_reset(policy: Policy, data: Demonstrations, horizon: int, stride: int) -> Floats:
    """Return the mean size of the difference at each step after a reset, (H, A).

    The policy is reset at the start of each window, in the middle of episodes.
    """
    feed = Feed(data, policy.interface.layout, torch.device("cpu"))
    starts = data.packed.window_starts(SPLIT, horizon, stride)
    choices = np.array(policy.interface.choices) > 0
    sums = np.zeros((horizon, len(policy.actions)))
    for part in _batches(starts):
        carry = policy.initial_carry(len(part))
        for step in range(horizon):
            rows = part + step
            action, carry = policy.step(policy_inputs(policy, feed, rows, step), carry)
            off = action.astype(np.float64) - data.actions[rows]
            sums[step] += np.where(choices, off != 0.0, off**2).sum(axis=0)
    return sums / len(starts)


def _batches(starts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(starts), BATCH):
        yield starts[first : first + BATCH]
