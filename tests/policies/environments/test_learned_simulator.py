"""The environment that a learned simulator moves, with a simulator that diverges."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from kinemill.policies.environments import _learned_simulator
from kinemill.policies.environments._learned_simulator import LearnedBatch
from kinemill.task import load_task


class Diverging:
    """It predicts the present state, and NaN for one state of the first row."""

    history = 1

    def rollout(self, states, past_actions, actions):
        del past_actions, actions
        following = states[:, -1:].copy()
        following[0, 0, 0] = np.nan
        return following


def test_a_row_with_one_state_that_is_not_finite_has_ended(monkeypatch):
    simulator = SimpleNamespace(simulator=Diverging())
    monkeypatch.setattr(_learned_simulator, "learned_model", lambda *_, **__: simulator)
    task = load_task("pendulum")
    batch = LearnedBatch(task, Path())
    rows = np.stack([batch.start(np.random.default_rng(seed)) for seed in (0, 1)])
    actions = np.zeros((2, len(task.actions)))
    result = batch.advance(rows, actions)
    assert result.terminated.tolist() == [True, False]
    assert np.isfinite(result.states).all()
    assert np.isfinite(result.rewards).all()
    assert np.isfinite(batch.advance(result.states, actions).states).all()
