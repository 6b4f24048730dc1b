"""Facts that model families are told: pairs, drives and histories of known systems."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kinemill.selection.facts import drives_of, facts_of, saturated
from tests.train.conftest import DT, pendulum_task


def two_joints(packed, rows=400):
    """Two independent joints; the first action drives the second joint and vice versa."""
    random = np.random.default_rng(3)
    forces = random.normal(size=(rows, 2))
    changes = np.vstack([np.zeros(2), forces[:-1, ::-1]])  # an action acts on the next row
    velocities = np.cumsum(changes, axis=0) * DT
    positions = np.cumsum(velocities, axis=0) * DT
    values = np.concatenate([positions, velocities, forces], axis=1).astype(np.float32)
    episode = replace(packed.episodes[0], split="train", start=0, stop=rows)
    other = replace(episode, id="v", split="validation")
    names = {"states": ["p", "q", "v", "w"], "actions": ["a", "b"], "angles": []}
    statistics = {"mean": values.mean(0), "std": values.std(0), "delta_std": values.std(0)[:4]}
    return replace(packed, segments=[values], episodes=[episode, other], **names, **statistics)


def test_each_action_drives_the_coordinate_that_it_accelerates(packed):
    data = two_joints(packed)
    assert drives_of(data, {"v": "p", "w": "q"}) == {"a": "q", "b": "p"}


def test_a_task_without_velocities_has_no_drives(packed):
    assert drives_of(packed, {}) == {}


def test_facts_of_the_pendulum(packed):
    facts = facts_of(pendulum_task(), packed)
    assert facts.pairs == {"velocity": "angle"}
    assert facts.drives == {"torque": "angle"}
    assert facts.angles == {"angle"}
    assert facts.accelerations == {"velocity_rate": {"relation": "derivative", "of": "velocity"}}
    assert set(facts.deltas) == {"angle_delta", "velocity_delta"}


def test_the_longest_history_leaves_room_for_the_horizon(packed, all_histories):
    """Episodes have 150 rows: with a horizon of 100, 40 of 50 windows are left by 10 rows."""
    task = pendulum_task()
    far = task.verify.model_copy(update={"horizon": 100})
    facts = facts_of(task.model_copy(update={"verify": far}), packed)
    assert facts.longest == 20
    assert facts.histories == (1, 2, 4, 10, 20)


def levels(packed, *columns):
    """Episodes of one state, each with the values of a column (rows,)."""
    values = np.concatenate(columns).astype(np.float32)[:, None]
    edges = np.cumsum([0, *map(len, columns)])
    episodes = [
        replace(packed.episodes[0], id=str(at), split="train", start=start, stop=stop)
        for at, (start, stop) in enumerate(pairwise(edges.tolist()))
    ]
    names = {"states": ["level"], "actions": [], "angles": []}
    statistics = {"mean": values.mean(0), "std": values.std(0), "delta_std": values.std(0)}
    return replace(packed, segments=[values], episodes=episodes, **names, **statistics)


def test_a_level_that_stays_at_its_largest_value_saturates_there(packed):
    """The range is 2 to 10; the lower end is moved away by its width."""
    wave = 6.0 + 6.0 * np.sin(np.arange(200) * 0.1)
    above, both = (saturated(levels(packed, wave.clip(low, 10.0))) for low in (None, 2.0))
    assert above["level"] == pytest.approx((-10.0, 10.0), abs=1e-3)
    assert both == {"level": (2.0, 10.0)}


@pytest.mark.parametrize(
    "values",
    [
        6.0 + 4.0 * np.sin(np.arange(200) * 0.1),
        np.round(6.0 + 4.0 * np.sin(np.arange(200) * 0.01)),
        np.full(200, 3.0),
    ],
    ids=["smooth", "coarse steps", "constant"],
)
def test_other_levels_do_not_saturate(packed, values):
    assert saturated(levels(packed, values)) == {}


def test_rollouts_are_as_long_as_most_episodes_allow(packed):
    """Four episodes of 150 rows; with a history of 40, 0.4 of the rows start 50 steps."""
    assert facts_of(pendulum_task(), packed).rollout == 50
    blocks = [
        replace(episode, stop=episode.start + 45) if episode.split == "validation" else episode
        for episode in packed.episodes
    ]
    assert facts_of(pendulum_task(horizon=10), replace(packed, episodes=blocks)).rollout == 25
