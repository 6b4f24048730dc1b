"""Facts about a task and its data that model families need: `TaskFacts`, lengths of history.

Symbols: N rows, S states, A actions, n coordinates.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.runtime.window_metrics import evenly_spaced, nonzero_std
from kinemill.selection.constants import (
    HISTORY_SHARE,
    SHORT_HISTORY,
)
from kinemill.task.document import Task
from kinemill.task.portfolio import HISTORIES, TaskFacts

ROLLOUTS = (25, 50, 100, 200)  # steps
REMAINING_ROLLOUT = 0.4  # least share of the training rows that start a rollout
# A sensor saturates where a state keeps its largest or smallest value for so many rows, unless it
# also rests elsewhere: a share of equal neighbors as large as QUANTIZED means coarse steps.
SATURATED = 5
QUANTIZED = 0.2
MOST_ROWS = 1_000_000  # training rows that are searched for saturation
ROWS = 20_000  # most training rows of the regression that finds the drives

Floats = NDArray[np.float64]


def channel_facts(task: Task) -> TaskFacts:
    """Return facts about the channels of a task, without its data."""
    channels = task.channels
    states = task.states
    parents = [channels[name].derivative_of for name in states]
    return TaskFacts(
        states=tuple(states),
        actions=tuple(task.actions),
        angles=frozenset(name for name in states if channels[name].kind == "angle"),
        relative=tuple(name for name in task.columns if channels[name].kind == "coordinate"),
        pairs={
            velocity: position
            for velocity, position in zip(states, parents, strict=True)
            if position in states and parents.count(position) == 1
        },
        drives={},
        longest=HISTORIES[-1],
        horizon=task.verify.horizon,
    )


def facts_of(task: Task, dataset: PackedDataset) -> TaskFacts:
    """Return the facts about a task and its dataset."""
    facts = channel_facts(task)
    longest = max(histories_of(dataset, task.verify.horizon), default=1)
    return replace(
        facts,
        drives=drives_of(dataset, facts.pairs),
        longest=longest,
        rollout=_rollout(dataset, longest),
        saturated=saturated(dataset),
    )


def _rollout(dataset: PackedDataset, history: int) -> int:
    """Return the most steps of rollouts that start in enough of the training rows.

    An episode of the validation split is long enough too: it can be a short block.
    """
    rows = sum(episode.rows for episode in dataset.of("train"))
    allowed = [1]
    for steps in ROLLOUTS:
        starts = {
            split: len(dataset.window_starts(split, history + steps))
            for split in ("train", "validation")
        }
        if starts["train"] >= REMAINING_ROLLOUT * rows and starts["validation"]:
            allowed.append(steps)
    return max(allowed)


def saturated(dataset: PackedDataset) -> dict[str, tuple[float, float]]:
    """Return the range of each state whose sensor saturates in training, in its unit.

    If it saturates at one end only, the other end is extended by the width of the range.
    """
    episodes = list[NDArray[np.float32]]()
    count = 0
    for episode in dataset.of("train"):
        stop = min(episode.stop, episode.start + MOST_ROWS - count)
        if episode.start < stop:
            episodes.append(dataset.take(np.arange(episode.start, stop)))
            count += stop - episode.start
    ranges = dict[str, tuple[float, float]]()
    for number, name in enumerate(dataset.states):
        if name in dataset.angles:
            continue
        columns = [rows[:, number] for rows in episodes]
        low = float(min(column.min() for column in columns))
        high = float(max(column.max() for column in columns))
        pairs = sum(len(column) - 1 for column in columns)
        same = sum(np.count_nonzero(np.diff(column) == 0.0) for column in columns)
        at_ends = [_equal_pairs(columns, end) for end in (low, high)]
        width = high - low
        remaining = pairs - sum(at_ends)
        # Equal neighbors away from the ends mean quantized values, not saturation.
        if max(at_ends) and width and same - sum(at_ends) < QUANTIZED * remaining:
            ranges[name] = (
                low if at_ends[0] else low - width,
                high if at_ends[1] else high + width,
            )
    return ranges


def _equal_pairs(columns: list[NDArray[np.float32]], end: float) -> int:
    """Return the number of pairs of equal neighbors in runs of at least SATURATED rows at `end`."""
    pairs = 0
    for column in columns:
        edges = np.diff(np.concatenate([[False], column == end, [False]]).astype(np.int8))
        lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
        pairs += int((lengths[lengths >= SATURATED] - 1).sum())
    return pairs


def drives_of(dataset: PackedDataset, pairs: Mapping[str, str]) -> dict[str, str]:
    """Return the coordinate that each action accelerates most; each coordinate has one action.

    The change of every velocity in one step is regressed on states, sines and cosines of angles,
    and actions, all standardized. The assignment with the largest sum of absolute weights of the
    actions is chosen (Kuhn, 1955). Actions beyond the number of coordinates are left out.
    """
    # Verification imports this module without calling the function, which would cost it 0.8 s.
    from scipy.optimize import linear_sum_assignment

    velocities = [name for name in dataset.states if name in pairs]
    if not velocities or not dataset.actions:
        return {}
    now, following = _steps(dataset)
    count = len(dataset.states)
    angles = [dataset.states.index(name) for name in dataset.angles]
    terms = np.concatenate([now, np.sin(now[:, angles]), np.cos(now[:, angles])], axis=1)
    rates = [dataset.states.index(name) for name in velocities]
    changes = following[:, rates] - now[:, rates]
    weights, *_ = np.linalg.lstsq(_standardized(terms), _standardized(changes), rcond=None)
    effect = np.abs(weights[count : count + len(dataset.actions)])  # (A, n)
    actions, coordinates = linear_sum_assignment(effect, maximize=True)
    return {
        dataset.actions[action]: pairs[velocities[coordinate]]
        for action, coordinate in zip(actions.tolist(), coordinates.tolist(), strict=True)
    }


def _steps(dataset: PackedDataset) -> tuple[Floats, Floats]:
    """Return evenly spaced rows (N, S + A) of training, and the rows that follow them."""
    starts = dataset.window_starts("train", 2)
    starts = evenly_spaced(starts, ROWS)
    return (dataset.take(starts).astype(np.float64), dataset.take(starts + 1).astype(np.float64))


def _standardized(values: Floats) -> Floats:
    return (values - values.mean(axis=0)) / nonzero_std(values.std(axis=0))


def histories_of(dataset: PackedDataset, horizon: int) -> list[int]:
    """Return the lengths of history, rows, that leave enough windows of each split.

    Args:
        dataset: dataset with the episodes.
        horizon: steps of the windows of validation and test; windows of training have one step.
    """
    horizons = {"train": 1, "validation": horizon, "test": horizon}
    return [
        rows
        for rows in HISTORIES
        if all(_leaves(dataset, split, rows, steps) for split, steps in horizons.items())
    ]


def _leaves(dataset: PackedDataset, split: str, history: int, horizon: int) -> bool:
    lengths = np.array([item.rows - horizon for item in dataset.of(split)], dtype=np.int64)
    lengths = lengths[lengths > 0]  # windows by episode, of a history of one row
    remaining = np.maximum(lengths - history + 1, 0)
    if history <= SHORT_HISTORY:
        return bool((remaining > 0).all())
    if split == "test" and not (remaining > 0).all():
        return False
    return bool(remaining.sum() >= HISTORY_SHARE * lengths.sum())
