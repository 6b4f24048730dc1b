"""Demonstrations by an unsteady hand: what is done differs, what is written down does not."""

import gymnasium
import h5py
import numpy as np
import pytest
from gymnasium.spaces import Box

from kinemill.errors import BadInput
from kinemill.policies.environments.evaluation import try_policy
from kinemill.policies.environments.rollout_logs import DartNoise, demonstrations
from kinemill.policies.rl.learner_context import _random_episodes
from kinemill.task import load_task
from tests.conftest import EXAMPLES
from tests.policies.environments import plants
from tests.policies.rl.test_training_loop import POINT, rl_task


class Bench(gymnasium.Env):
    """Notes what it is told to do."""

    action_space = Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32))

    def __init__(self):
        self.actions_sent = []

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.actions_sent.append(action)
        return np.zeros(1, np.float32), 0.0, False, False, {}


def actions_sent(seed, std, rows=4000):
    bench = Bench()
    noisy = DartNoise(bench, std)
    noisy.reset(seed=seed)
    for _ in range(rows):
        noisy.step(np.array([0.0, 0.5]))
    return np.array(bench.actions_sent)


def test_noise_has_the_spread_asked_for_and_follows_from_the_seed():
    """0.1 of half the range: 0.2 and 0.05, to 5 % (4,000 draws give 1.1 %)."""
    actual = actions_sent(3, 0.1)
    assert actual.std(0) == pytest.approx([0.2, 0.05], rel=0.05)
    assert actual.mean(0) == pytest.approx([0.0, 0.5], abs=0.02)
    np.testing.assert_array_equal(actual, actions_sent(3, 0.1))
    assert not np.array_equal(actual, actions_sent(4, 0.1))
    assert Bench.action_space.contains(actions_sent(3, 5.0, 50).astype(np.float32)[0])
    assert (np.abs(actions_sent(3, 5.0, 50)[:, 0]) <= 2.0).all()


def test_logs_hold_what_the_expert_chose_and_show_places_beside_its_way(tmp_path):
    """The tool starts near the middle: a steady hand keeps to a line, an unsteady one leaves it."""
    aside = {}
    for std in (0.0, 0.6):
        task = load_task(EXAMPLES / "targets.yaml", {"environment.dart_noise": std})
        episodes = list(demonstrations(task, tmp_path / str(std), range(8)))
        far = []
        for written in episodes:
            with h5py.File(written.file) as log:
                (episode,) = log.values()
                position = episode["observations/place"][:]
                actions = episode["actions"][:]
            line = position[-1] - position[0]
            off = position - position[0]
            lateral = (off[:, 0] * line[1] - off[:, 1] * line[0]) / np.linalg.norm(line)
            far.append(np.abs(lateral).max())
            assert np.linalg.norm(actions, axis=1).max() <= 0.4 + 1e-6  # the expert's own speed
        aside[std] = np.mean(far)
    assert aside[0.0] < 0.01
    assert aside[0.6] > 0.02


def test_environments_are_closed_after_an_error_and_where_a_consumer_stops(tmp_path, monkeypatch):
    closed, task = list[plants.Point](), rl_task(POINT)

    def close(self):
        closed.append(self)

    monkeypatch.setattr(plants.Point, "close", close)

    def write():
        return demonstrations(task, tmp_path, range(2), expert=plants.Toward())

    next(episodes := write())
    episodes.close()
    assert len(closed) == 1
    monkeypatch.setattr(plants.Point, "step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(write())
    assert len(closed) == 2
    with pytest.raises(ZeroDivisionError):
        try_policy(task, plants.Toward(), [0])
    assert len(closed) == 3
    with pytest.raises(ZeroDivisionError):
        _random_episodes(task, 5, 0)
    assert len(closed) == 4


def test_choices_cannot_be_carried_out_unsteadily():
    with pytest.raises(BadInput, match="actions are Discrete"):
        DartNoise(gymnasium.make("CartPole-v1"), 0.1)
