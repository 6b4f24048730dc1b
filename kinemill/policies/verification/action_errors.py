"""Errors of a policy's actions on logs, compared with references.

The policy observes each test episode from its start, with its carry, and its action at every row is
compared with the logged one, and so are those of simple policies, see `references`. The first row
of an episode is left out, because the action before it is unknown.

Curves of differences are root mean squares in the unit of the action. For an action with choices,
they are shares of rows with another choice.

Symbols: N rows, E episodes, A actions, W windows, H steps of a window, B episodes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.dataset.scale import Scale, scale_of
from kinemill.dataset.windows import batches, episodes_of
from kinemill.errors import BadInput
from kinemill.policies.verification.references import reference_actions
from kinemill.runtime import Floats, Policy
from kinemill.runtime.policy import step_seed
from kinemill.runtime.policy_layout import MASK, SEED
from kinemill.train.demonstrations import Demonstrations, Feed
from kinemill.verify.analysis import MODEL
from kinemill.verify.document import ActionCurves, ChannelCurves
from kinemill.verify.errors import Errors
from kinemill.verify.logs import SPLIT, Logs
from kinemill.verify.test_inputs import Array

PARTS = 20  # parts of the longest episode
BATCH = 256  # windows in one batch


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


def measure_held_out(
    policy: Policy, data: Demonstrations, history: int = 1, chunk: int = 1
) -> HeldOut:
    """Measure a policy and its references on the test split.

    `history` counts the rows of the references, the current one included, and `chunk` the rows from
    one plan of the policy to the next.
    """
    rows = scored_rows(data)
    actions = actions_on_logs(policy, data)
    by_name = {MODEL: actions[rows], **reference_actions(policy, data, rows, history, chunk)}
    errors = {name: errors_of(acted, data, rows, policy) for name, acted in by_name.items()}
    return HeldOut(errors, data.packed.of(SPLIT), data.actions, actions)


def scored_rows(data: Demonstrations) -> NDArray[np.int64]:
    """Return the rows of the test split except the first of each episode, (N,)."""
    return data.packed.window_starts(SPLIT, 2) + 1


def actions_on_logs(policy: Policy, data: Demonstrations) -> NDArray[np.float32]:
    """Return the action of a policy at each row of the test split, (N, A), in units; else NaN.

    Raises:
        BadInput: Its actions differ from those of the data.
    """
    if policy.actions != tuple(data.packed.actions):
        text = f"are {', '.join(policy.actions)}"
        raise BadInput("actions", text, expected=", ".join(data.packed.actions))
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


def measure_logs(policy: Policy, logs: Logs, chunk: int = 1) -> HeldOut:
    """Measure a policy on logs; without a training split, `repeat` is the only reference.

    `chunk` counts the rows from one plan of the policy to the next.

    Raises:
        BadInput: The policy has other actions, or observes channels that the logs lack, or no
            episode has two rows.
    """
    layout = policy.interface.layout
    packed = logs.rows
    data = Demonstrations(logs.rows, logs.media)
    observed = (*layout.observation, *layout.images, *layout.texts)
    if missing := [name for name in observed if name not in (*packed.columns, *data.roles)]:
        raise BadInput(
            logs.path,
            f"have no {', '.join(missing)}, which the policy observes",
            fix=f"declare {missing[0]} in the channels of the task",
        )
    if not len(scored_rows(data)):
        raise BadInput(logs.path, "has no episode of two rows", expected="longer logs")
    return measure_held_out(policy, data, chunk=chunk)


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
    for part in batches(starts, BATCH):
        carry = policy.initial_carry(len(part))
        for step in range(horizon):
            rows = part + step
            action, carry = policy.step(policy_inputs(policy, feed, rows, step), carry)
            off = action.astype(np.float64) - data.actions[rows]
            sums[step] += np.where(choices, off != 0.0, off**2).sum(axis=0)
    return sums / len(starts)
