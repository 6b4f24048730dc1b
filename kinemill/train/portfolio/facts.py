"""Facts about a task and its data that model families need, see `TaskFacts`.

Symbols: N rows, S states, A actions, n coordinates.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.runtime.window_metrics import evenly_spaced
from kinemill.task.document import Task
from kinemill.task.portfolio import HISTORIES, TaskFacts
from kinemill.train.portfolio.histories import histories_of

# Least share of the windows that the longest history leaves: all candidates start after its rows.
REMAINING = {"train": 0.8, "validation": 0.8}
ROWS = 20_000  # most training rows of the regression that finds the drives

Floats = NDArray[np.float64]


def channel_facts(task: Task) -> TaskFacts:
    """Return facts about the channels of a task, without its data."""
    channels, states = task.channels, task.states
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
    histories = histories_of(dataset, task.verify.horizon, REMAINING)
    return replace(facts, drives=drives_of(dataset, facts.pairs), longest=max(histories, default=1))


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
    std = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(std > 0.0, std, 1.0)
