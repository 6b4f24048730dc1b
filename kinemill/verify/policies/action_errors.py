"""Errors of a policy's actions on logs, compared with two simple policies.

The policy observes each test episode from its start, with its carry; its action at every row is
compared with the logged one. `repeat` repeats the logged action of the previous row. `linear` is a
least-squares fit of the present and previous observations on the training split. The first row of
an episode, which has no previous action, is left out.

Symbols: N rows, E episodes, D numbers observed, A actions, H rows of history of `linear`.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.errors import BadInput
from kinemill.runtime import Policy
from kinemill.runtime.policy import step_seed
from kinemill.runtime.policy_layout import MASK, SEED
from kinemill.runtime.window_metrics import Floats
from kinemill.train.demonstrations import Demonstrations, Feed
from kinemill.verify.accuracy import episodes_of
from kinemill.verify.analysis import MODEL
from kinemill.verify.errors import Errors
from kinemill.verify.logs import SPLIT, Logs
from kinemill.verify.scale import Scale, scale_of
from kinemill.verify.test_inputs import Array


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Actions on the test split.

    Attributes:
        errors: by policy, `model` first.
        episodes: the test episodes.
        logged: (N, A) of all rows of the dataset.
        actions: of the model, (N, A), NaN outside the test split.
    """

    errors: dict[str, Errors]
    episodes: list[PackedEpisode]
    logged: NDArray[np.float32]
    actions: NDArray[np.float32]


def measure_held_out(policy: Policy, data: Demonstrations, history: int = 1) -> HeldOut:
    """Measure a policy and the simple policies on the test split.

    Args:
        policy: to be measured.
        data: with a test split.
        history: rows of history of `linear`, with the present one.
    """
    rows = scored_rows(data)
    actions = actions_on_logs(policy, data)
    errors = {MODEL: errors_of(actions[rows], data, rows, policy)}
    errors["repeat"] = errors_of(data.actions[rows - 1], data, rows, policy)
    if policy.observation:
        linear = fit_linear(data, policy.observation, history)
        errors["linear"] = errors_of(linear[rows], data, rows, policy)
    return HeldOut(errors, data.packed.of(SPLIT), data.actions, actions)


def scored_rows(data: Demonstrations) -> NDArray[np.int64]:
    """Return the rows of the test split except the first of each episode, (N,)."""
    parts = [np.arange(one.start + 1, one.stop) for one in data.packed.of(SPLIT)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def actions_on_logs(policy: Policy, data: Demonstrations) -> NDArray[np.float32]:
    """Return a policy's action at each row of the test split, (N, A); NaN elsewhere."""
    episodes, layout = data.packed.of(SPLIT), policy.interface.layout
    actions = np.full(data.actions.shape, np.nan, np.float32)
    if not episodes:
        return actions
    feed, carry = Feed(data, layout, torch.device("cpu")), policy.initial_carry(len(episodes))
    for step in range(max(one.rows for one in episodes)):
        # Ended episodes stay at their last row; their actions are dropped below.
        rows = np.array([min(one.start + step, one.stop - 1) for one in episodes])
        action, carry = policy.step(policy_inputs(policy, feed, rows, step), carry)
        is_running = np.array([step < one.rows for one in episodes])
        actions[rows[is_running]] = action[is_running]
    return actions


def policy_inputs(
    policy: Policy, feed: Feed, rows: NDArray[np.int64], step: int
) -> dict[str, NDArray[np.generic]]:
    """Return the inputs of a policy at rows (B,), the step of each episode given.

    Logs hold no mask, so all choices count as allowed.
    """
    layout = policy.interface.layout
    inputs = {name: part.numpy() for name, part in feed.at(torch.from_numpy(rows)).items()}
    if layout.mask:
        inputs[MASK] = np.ones((len(rows), layout.mask), np.float32)
    if layout.seeded:
        inputs[SEED] = np.array([[step_seed(row, step)] for row in range(len(rows))], np.int64)
    return inputs


def errors_of(
    actions: Array, data: Demonstrations, rows: NDArray[np.int64], policy: Policy
) -> Errors:
    """Return the errors of actions (N, A) at rows (N,) of the test split."""
    packed = data.packed
    logged = data.actions[rows].astype(np.float64)
    off = actions.astype(np.float64) - logged
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
    """Return the scale of errors of actions: the deviation of each in training."""
    columns = np.arange(len(packed.states), len(packed.columns))
    return scale_of(packed, columns, np.zeros(len(columns), dtype=np.bool_))


def fit_linear(data: Demonstrations, names: tuple[str, ...], history: int) -> Floats:
    """Return the actions of a linear model, fitted on the training split, at every row, (N, A)."""
    observed = data.observed(names).astype(np.float64)
    train = [np.arange(one.start, one.stop) for one in data.packed.of("train")]
    if not train:
        return np.full(data.actions.shape, np.nan)
    examples = _examples(data, observed, np.concatenate(train), history)
    # Only R of a QR decomposition is kept: exact, and of bounded size.
    r = functools.reduce(lambda top, more: _triangle(np.concatenate([top, more])), examples)
    width = r.shape[1] - data.actions.shape[1]
    weights = np.linalg.lstsq(r[:, :width], r[:, width:], rcond=None)[0]
    rows = np.arange(len(observed))
    parts = [
        _features(data, observed, rows[first : first + ROWS], history) @ weights
        for first in range(0, len(rows), ROWS)
    ]
    return np.concatenate(parts)


ROWS = 8192  # in memory at once


def _triangle(rows: Floats) -> Floats:
    return np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)


def _features(
    data: Demonstrations, observed: Floats, rows: NDArray[np.int64], history: int
) -> Floats:
    """Return the observations of H rows up to each of `rows` (n,), and a 1: (n, H D + 1)."""
    lags = [observed[np.maximum(rows - lag, data.first_rows[rows])] for lag in range(history)]
    return np.concatenate([*lags, np.ones((len(rows), 1))], axis=1)


def _examples(
    data: Demonstrations, observed: Floats, rows: NDArray[np.int64], history: int
) -> Iterator[Floats]:
    for first in range(0, len(rows), ROWS):
        part = rows[first : first + ROWS]
        features = _features(data, observed, part, history)
        yield np.concatenate([features, data.actions[part].astype(np.float64)], axis=1)


def measure_logs(policy: Policy, logs: Logs) -> HeldOut:
    """Measure the errors of a policy's actions on logs, and of repeating the last action.

    Raises:
        BadInput: The policy has other actions, or observes channels that the logs lack, or no
            episode has two rows.
    """
    layout, packed, data = policy.interface.layout, logs.rows, Demonstrations(logs.rows, logs.media)
    if policy.actions != tuple(packed.actions):
        raise BadInput(
            "actions", f"are {', '.join(policy.actions)}", expected=", ".join(packed.actions)
        )
    observed = (*layout.observation, *layout.images, *layout.texts)
    if missing := [name for name in observed if name not in (*packed.columns, *data.roles)]:
        raise BadInput(
            logs.path,
            f"are read without {', '.join(missing)}, which the policy observes",
            fix=f"declare {missing[0]} in the channels of the task",
        )
    rows = scored_rows(data)
    if not len(rows):
        raise BadInput(logs.path, "has no episode of two rows", expected="longer logs")
    actions = actions_on_logs(policy, data)
    errors = {
        MODEL: errors_of(actions[rows], data, rows, policy),
        "repeat": errors_of(data.actions[rows - 1], data, rows, policy),
    }
    return HeldOut(errors, packed.of(SPLIT), data.actions, actions)
