"""Differences from logged actions, computed by hand for known policies."""

import numpy as np
import pytest
import torch
from torch import nn

from kinemill.policies.verification.action_errors import measure_held_out, scored_rows
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.policy import PolicyModule
from kinemill.train.policy_runner import as_policy

LAYOUT = PolicyLayout(
    0.02, ("angle", "velocity"), ("torque",), {"angle": "rad", "velocity": "rad/s", "torque": "N*m"}
)


class Counting(PolicyModule):
    """A policy with 0 N·m at the first step, and 0.1 N·m more at each following step."""

    def __init__(self, step: float) -> None:
        super().__init__(LAYOUT)
        self.step = nn.Parameter(torch.tensor([step]))

    @property
    def carry_shapes(self):
        return ((1,),)

    def forward(self, *tensors):
        return tensors[1] * self.step, tensors[1] + 1.0


def test_errors_are_those_that_hands_find(pendulum):
    data = Demonstrations(pendulum)
    rows = scored_rows(data)
    torque = pendulum.values[:, 2].astype(np.float64)
    assert len(rows) == 6 * 119  # six episodes of 120 rows, without the first of each
    result = measure_held_out(as_policy(Counting(0.0)), data).errors
    assert result["model"].rmse == pytest.approx([np.sqrt((torque[rows] ** 2).mean())])
    observed = np.concatenate([pendulum.values[:, :2], np.ones((len(torque), 1))], axis=1)
    train = slice(0, 800)  # four episodes of 200 rows come first
    weights = np.linalg.lstsq(observed[train].astype(float), torque[train], rcond=None)[0]
    off = observed[rows] @ weights - torque[rows]
    assert result["linear"].rmse == pytest.approx([np.sqrt((off**2).mean())], rel=1e-6)
    deviation = torque[train].std()
    off = torque[train].mean() - torque[rows]
    assert result["mean"].rmse == pytest.approx([np.sqrt((off**2).mean())], rel=1e-6)
    assert result["model"].nrmse == pytest.approx(result["model"].rmse[0] / deviation)


def test_memory_begins_with_each_episode_and_lasts_to_its_end(pendulum):
    data = Demonstrations(pendulum)
    result = measure_held_out(as_policy(Counting(0.1)), data)
    for one in pendulum.of("test"):
        acted = result.actions[one.start : one.stop, 0]
        assert acted == pytest.approx(0.1 * np.arange(one.rows), abs=1e-5)
    assert np.isnan(result.actions[:800]).all()  # nobody acts on what it was trained on


def test_linear_may_know_rows_before(pendulum):
    data = Demonstrations(pendulum)
    one, three = (
        measure_held_out(as_policy(Counting(0.0)), data, history).errors["linear"].nrmse
        for history in (1, 3)
    )
    # velocity[k] - velocity[k-1] holds the torque of the row before, which mostly stays.
    assert three < 0.6 * one
