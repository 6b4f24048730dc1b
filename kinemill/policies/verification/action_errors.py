"""Errors of a policy's actions on logs, compared with two simple policies.

The policy observes each test episode from its start, with its carry, and its action at every row is
compared with the logged one. `repeat` repeats the logged action of the previous row. `linear` is a
least-squares fit of the current and previous observations on the training split. The first row of
an episode is left out, because it has no previous action.

Symbols: N rows, E episodes, D observed numbers, A actions, H rows of history of `linear`.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.dataset.scale import Scale, scale_of
from kinemill.dataset.windows import episodes_of
from kinemill.errors import BadInput
from kinemill.runtime import Floats, Policy
from kinemill.runtime.policy import step_seed
from kinemill.runtime.policy_layout import MASK, SEED
from kinemill.train.demonstrations import Demonstrations, Feed
from kinemill.verify.analysis import MODEL
from kinemill.verify.errors import Errors
from kinemill.verify.logs import SPLIT, Logs
from kinemill.verify.test_inputs import Array


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Actions on the test split.

    Attributes:
        errors: errors by name of the policy, `model` first.
        logged: logged actions of all rows of the dataset, (N, A), in units.
        actions: actions of the model, (N, A), in units; NaN outside the test split.
    """

    errors: dict[str, Errors]
    episodes: list[PackedEpisode]
    logged: NDArray[np.float32]
    actions: NDArray[np.float32]


def measure_held_out(policy: Policy, data: Demonstrations, history: int | None = 1) -> HeldOut:
    """Measure a policy and the simple policies on the test split.

    `history` counts the rows of `linear`, the current one included; None leaves it out.
    """
    rows = scored_rows(data)
    actions = actions_on_logs(policy, data)
    errors = {MODEL: errors_of(actions[rows], data, rows, policy)}
    errors["repeat"] = errors_of(data.actions[rows - 1], data, rows, policy)
    if policy.observation and history is not None:
        linear = fit_linear(data, policy.observation, history)
        errors["linear"] = errors_of(linear[rows], data, rows, policy)
    return HeldOut(errors, data.packed.of(SPLIT), data.actions, actions)


def scored_rows(data: Demonstrations) -> NDArray[np.int64]:
    """Return the rows of the test split except the first of each episode, (N,)."""
    return data.packed.window_starts(SPLIT, 2) + 1


def actions_on_logs(policy: Policy, data: Demonstrations) -> NDArray[np.float32]:
    """Return the action of a policy at each row of the test split, (N, A), in units; else NaN."""
    episodes = data.packed.of(SPLIT)
    layout = policy.interface.layout
    actions = np.full(data.actions.shape, np.nan, np.float32)
    if not episodes:
        return actions
    feed = Feed(data, layout, torch.device("cpu"))
    carry = policy.initial_carry(len(episodes))
    for step in range(max(episode.rows for episode in episodes)):
        # All episodes run as one batch. An ended episode repeats its last row, and its actions are
        # not stored.
        rows = np.array([min(episode.start + step, episode.stop - 1) for episode in episodes])
        action, carry = policy.step(policy_inputs(policy, feed, rows, step), carry)
        is_running = np.array([step < episode.rows for episode in episodes])
        actions[rows[is_running]] = action[is_running]
    return actions


def policy_inputs(
    policy: Policy, feed: Feed, rows: NDArray[np.int64], step: int
) -> dict[str, NDArray[np.generic]]:
    """Return the inputs of a policy, (B, ...) each, at rows (B,) and step `step` of the episodes.

    Logs have no mask, so all choices count as allowed.
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
    """Return the errors of actions (N, A), in units, at rows (N,) of the test split."""
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
    """Return the scale of errors of actions, (A,), in units: the training standard deviations."""
    columns = np.arange(len(packed.states), len(packed.columns))
    return scale_of(packed, columns, np.zeros(len(columns), dtype=np.bool_))


def fit_linear(data: Demonstrations, names: tuple[str, ...], history: int) -> Floats:
    """Return the actions (N, A), in units, of a linear model fitted on the training split.

    It is NaN without a training split.

    Args:
        data: data with a training split.
        names: observed channels.
        history: rows of history, H.
    """
    observed = data.observed(names).astype(np.float64)
    train = data.packed.window_starts("train", 1)
    if not len(train):
        return np.full(data.actions.shape, np.nan)
    examples = _examples(data, observed, train, history)
    # Only R of the QR decomposition is kept: its size does not grow with the rows, and unlike
    # normal equations it does not square the condition number (Golub and Van Loan, 5.3).
    r = functools.reduce(lambda top, more: _triangle(np.concatenate([top, more])), examples)
    width = r.shape[1] - data.actions.shape[1]
    weights = np.linalg.lstsq(r[:, :width], r[:, width:], rcond=None)[0]
    rows = np.arange(len(observed))
    parts = [
        _features(data, observed, rows[first : first + ROWS], history) @ weights
        for first in range(0, len(rows), ROWS)
    ]
    return np.concatenate(parts)


ROWS = 8192  # rows in one batch, which bounds memory


def _triangle(rows: Floats) -> Floats:
    return np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)


def _features(
    data: Demonstrations, observed: Floats, rows: NDArray[np.int64], history: int
) -> Floats:
    """Return the observations of H rows up to each of `rows`, and a 1: (N,) -> (N, H D + 1).

    Before the start of an episode, its first row repeats.
    """
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
    """Measure a policy and `repeat` on logs, which have no training split for `linear`.

    Raises:
        BadInput: The policy has other actions, or observes channels that the logs lack, or no
            episode has two rows.
    """
    layout = policy.interface.layout
    packed = logs.rows
    data = Demonstrations(logs.rows, logs.media)
    if policy.actions != tuple(packed.actions):
        raise BadInput(
            "actions", f"are {', '.join(policy.actions)}", expected=", ".join(packed.actions)
        )
    observed = (*layout.observation, *layout.images, *layout.texts)
    if missing := [name for name in observed if name not in (*packed.columns, *data.roles)]:
        raise BadInput(
            logs.path,
            f"have no {', '.join(missing)}, which the policy observes",
            fix=f"declare {missing[0]} in the channels of the task",
        )
    if not len(scored_rows(data)):
        raise BadInput(logs.path, "has no episode of two rows", expected="longer logs")
    return measure_held_out(policy, data, None)
