"""References of policies: what a robot can run, held over the chunks of the policy."""

import numpy as np
import pytest
import torch
from torch import nn

from kinemill.policies.verification.action_errors import measure_held_out, scored_rows
from kinemill.policies.verification.references import absent_references, reference_actions
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.policy import PolicyModule
from kinemill.train.policy_runner import as_policy
from tests.verify.conftest import pack

UNITS = {"angle": "rad", "velocity": "rad/s", "torque": "N*m"}
CHUNK = 8


class Still(PolicyModule):
    """A policy with 0 N·m that observes these channels."""

    def __init__(self, *observed: str) -> None:
        super().__init__(PolicyLayout(0.02, observed, ("torque",), UNITS))
        self.torque = nn.Parameter(torch.tensor([0.0]))

    @property
    def carry_shapes(self):
        return ()

    def forward(self, *tensors):
        return (tensors[0][:, :1] * self.torque,)


def measured(pendulum, *observed, chunk=CHUNK):
    data = Demonstrations(pendulum)
    rows = scored_rows(data)
    return data, rows, reference_actions(as_policy(Still(*observed)), data, rows, 1, chunk)


def plans(data, rows):
    """Return the first row of the chunk of each row."""
    return rows - (rows - data.first_rows[rows]) % CHUNK


def test_repeat_holds_the_last_observed_action_over_the_chunk(pendulum):
    data, rows, references = measured(pendulum, "angle", "torque")
    first = plans(data, rows)
    before = np.maximum(first - 1, data.first_rows[rows])  # none before the start of an episode
    assert references["repeat"] == pytest.approx(data.actions[before])


def test_repeat_is_no_reference_of_a_policy_that_does_not_observe_actions(pendulum):
    policy = as_policy(Still("angle", "velocity"))
    assert absent_references(policy) == {"repeat": "the policy does not observe its actions"}
    errors = measure_held_out(policy, Demonstrations(pendulum), 1, CHUNK).errors
    assert list(errors) == ["model", "mean", "linear", "nearest"]


def test_linear_is_fitted_for_each_row_of_the_chunk(pendulum):
    data, rows, references = measured(pendulum, "angle", "velocity")
    train = np.arange(800)  # four episodes of 200 rows come first
    observed = np.c_[pendulum.values[:, :2], np.ones(len(pendulum.values))].astype(float)
    offsets = rows - plans(data, rows)
    for offset in (0, 5):
        later = data.actions[np.minimum(train + offset, data.last_rows[train])]
        weights = np.linalg.lstsq(observed[train], later.astype(float), rcond=None)[0]
        at = offsets == offset
        expected = observed[rows[at] - offset] @ weights
        assert references["linear"][at] == pytest.approx(expected, abs=1e-9)


def test_nearest_follows_the_most_similar_demonstration_whatever_the_full_turns():
    def run(angle, torque):
        return np.c_[np.full(20, angle), np.linspace(0, 1, 20), torque + 0.1 * np.arange(20)]

    runs = {"train": [run(0.0, 1.0), run(2.0, -1.0)], "test": [run(0.1 + 2.0 * np.pi, 0.0)]}
    _, rows, references = measured(pack(runs), "angle", "velocity")
    assert references["nearest"][:, 0] == pytest.approx(1.0 + 0.1 * (rows - 40), abs=1e-6)


def test_references_without_a_training_split_are_those_that_need_no_fit():
    rows = np.zeros((20, 3))
    packed = pack({"train": [rows + np.arange(20)[:, None]], "test": [rows]})
    packed.episodes[:] = packed.of("test")
    _, _, references = measured(packed, "angle", "torque")
    assert list(references) == ["repeat"]
