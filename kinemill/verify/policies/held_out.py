"""How far a policy's actions are off those of held-out logs, beside two simple ways of acting.

The policy sees each test episode from its beginning on, with its memory, and its action at every
row is compared with the logged one. `repeat` does again what was done at the row before; `linear`
is least squares of what is observed now and at some rows before, fitted on the training split. The
first row of an episode, which nothing was done before, counts for none of them.

Symbols: N rows, E episodes, D numbers observed, A actions, H rows that `linear` knows.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.runtime import Policy
from kinemill.runtime.policy import step_seed
from kinemill.runtime.policy_layout import SEED
from kinemill.runtime.window_metrics import Floats
from kinemill.train.demonstrations import Demonstrations, Feed
from kinemill.verify.accuracy import episodes_of
from kinemill.verify.errors import Errors
from kinemill.verify.scale import Scale, scale_of

SPLIT = "test"
MODEL = "model"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Actions of the test split, and what others would have done.

    Attributes:
        errors: by who acts, `model` first.
        episodes: the test episodes.
        logged: (N, A) of all rows of the dataset.
        acted: the model's (N, A), NaN outside of the test split.
    """

    errors: dict[str, Errors]
    episodes: list[PackedEpisode]
    logged: NDArray[np.float32]
    acted: NDArray[np.float32]


def held_out(policy: Policy, data: Demonstrations, history: int = 1) -> HeldOut:
    """Measure a policy and the simple ways on the test split.

    Args:
        policy: what is measured.
        data: with a test split.
        history: rows that `linear` knows, the present among them.
    """
    rows = judged_rows(data)
    acted = acted_on(policy, data)
    errors = {MODEL: errors_of(acted[rows], data, rows, policy)}
    errors["repeat"] = errors_of(data.actions[rows - 1], data, rows, policy)
    if policy.observation:
        linear = fitted(data, policy.observation, history)
        errors["linear"] = errors_of(linear[rows], data, rows, policy)
    return HeldOut(errors, data.packed.of(SPLIT), data.actions, acted)


def judged_rows(data: Demonstrations) -> NDArray[np.int64]:
    """Return the rows of the test split but for the first of each episode, (N,)."""
    parts = [np.arange(one.start + 1, one.stop) for one in data.packed.of(SPLIT)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def acted_on(policy: Policy, data: Demonstrations) -> NDArray[np.float32]:
    """Return what a policy does at each row of the test split, (N, A); NaN elsewhere."""
    episodes, layout = data.packed.of(SPLIT), policy.interface.layout
    found = np.full(data.actions.shape, np.nan, np.float32)
    if not episodes:
        return found
    feed, carry = Feed(data, layout, "cpu"), policy.initial_carry(len(episodes))
    for step in range(max(one.rows for one in episodes)):
        # Episodes that are over stay at their last row, and are looked at no more.
        rows = np.array([min(one.start + step, one.stop - 1) for one in episodes])
        inputs: dict[str, Any] = {k: v.numpy() for k, v in feed.at(torch.from_numpy(rows)).items()}
        if layout.seeded:
            seeds = [[step_seed(place, step)] for place in range(len(episodes))]
            inputs[SEED] = np.array(seeds, np.int64)
        action, carry = policy.step(inputs, carry)
        there = np.array([step < one.rows for one in episodes])
        found[rows[there]] = action[there]
    return found


def errors_of(
    acted: NDArray[Any], data: Demonstrations, rows: NDArray[np.int64], policy: Policy
) -> Errors:
    """Return the errors of actions (N, A) at rows (N,) of the test split."""
    packed = data.packed
    logged = data.actions[rows].astype(np.float64)
    off = acted.astype(np.float64) - logged
    return Errors(
        channels=policy.actions,
        units=tuple(policy.units[name] for name in policy.actions),
        dt=packed.dt,
        starts=rows,
        history=1,
        stride=1,
        by_horizon={1: off},
        by_step=np.sqrt((off**2).mean(axis=0, keepdims=True)),
        mae_by_step=np.abs(off).mean(axis=0, keepdims=True),
        scale=action_scale(packed),
        episode=episodes_of(packed, SPLIT, rows),
    )


def action_scale(packed: PackedDataset) -> Scale:
    """Return what errors of actions count in: how much each moves in training."""
    columns = np.arange(len(packed.states), len(packed.columns))
    return scale_of(packed, columns, np.zeros(len(columns), dtype=np.bool_))


def fitted(data: Demonstrations, names: tuple[str, ...], history: int) -> Floats:
    """Return what the best linear model of the training split does at every row, (N, A)."""
    seen = data.observed(names).astype(np.float64)
    train = [np.arange(one.start, one.stop) for one in data.packed.of("train")]
    if not train:
        return np.full(data.actions.shape, np.nan)
    examples = _examples(data, seen, np.concatenate(train), history)
    # Only R of a QR decomposition is kept of what was seen: exact, and of bounded size.
    kept = functools.reduce(lambda top, more: _triangle(np.concatenate([top, more])), examples)
    width = kept.shape[1] - data.actions.shape[1]
    weights = np.linalg.lstsq(kept[:, :width], kept[:, width:], rcond=None)[0]
    rows = np.arange(len(seen))
    parts = [
        _features(data, seen, rows[first : first + ROWS], history) @ weights
        for first in range(0, len(rows), ROWS)
    ]
    return np.concatenate(parts)


ROWS = 8192  # looked at at once


def _triangle(rows: Floats) -> Floats:
    return np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)


def _features(data: Demonstrations, seen: Floats, rows: NDArray[np.int64], history: int) -> Floats:
    """Lay what is known at rows (n,) out in one row each, with a 1: (n, H D + 1)."""
    known = [seen[np.maximum(rows - back, data.first_rows[rows])] for back in range(history)]
    return np.concatenate([*known, np.ones((len(rows), 1))], axis=1)


def _examples(
    data: Demonstrations, seen: Floats, rows: NDArray[np.int64], history: int
) -> Iterator[Floats]:
    for first in range(0, len(rows), ROWS):
        part = rows[first : first + ROWS]
        features = _features(data, seen, part, history)
        yield np.concatenate([features, data.actions[part].astype(np.float64)], axis=1)
