"""Outputs in the gate: a worse force than that of the champion counts as a loss."""

from dataclasses import replace

import numpy as np
import pytest

from kinemill.register.gate.measurements import output_comparisons
from kinemill.runtime import Simulator
from kinemill.selection.references import Persistence
from kinemill.verify.accuracy import evaluate
from kinemill.verify.losses import losses
from tests.verify.conftest import pack, swing

HORIZON = 10


def dataset():
    """Return a pendulum with a temperature and with a force that depends on states and torque."""
    runs = [swing(300, seed) for seed in range(4)]
    packed = pack({"train": runs[:1], "test": runs[1:]})
    values = np.asarray(packed.values)
    outputs = np.stack([force(values), 20.0 + np.sin(np.arange(len(values)))], axis=1)
    names = ["force", "temperature"]
    return replace(packed, outputs=names, output_values=outputs.astype(np.float32))


def force(rows):
    return 9.0 * np.cos(rows[..., 0]) + rows[..., 1] ** 2 + rows[..., 2]


class Fake(Simulator):
    """Predicts the true force of a known dataset with noise, row by row."""

    def __init__(self, data, noise, history=3, outputs=("force", "temperature")):
        self.data, self.noise, self.rows_known = data, noise, history
        self.names, self.random = outputs, np.random.default_rng(5)

    @property
    def history(self):
        return self.rows_known

    @property
    def outputs(self):
        return self.names

    def rollout_outputs(self, states, past_actions, actions):
        values = np.asarray(self.data.values)
        assert states.shape[1] == self.rows_known
        at = [int((values[:, :2] == row[-1]).all(1).nonzero()[0][0]) for row in states]
        index = np.array(at)[:, None] + np.arange(actions.shape[1])
        truth = self.data.output_values[index]
        noise = self.noise * self.random.normal(size=truth.shape)
        order = [self.data.outputs.index(name) for name in self.names]
        return states, (truth + noise)[..., order].astype(np.float32)


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture(scope="module")
def errors(data):
    return evaluate(Persistence(), data, "test", [1, 3, HORIZON], 3, 5)


def losses_of(data, errors, own, other):
    compared = output_comparisons((own, other), data, errors, 0.02)
    states = errors.compare(errors, 0.02)
    horizons = {key: {**one, **compared[key]} for key, one in states.items()}
    return losses({"champion": horizons}, ["1", "3", "10"])["champion"]


def test_the_errors_are_those_of_the_rows_ahead(data, errors):
    """An exact model has no error after any number of steps, with any history."""
    models = Fake(data, 0.0), Fake(data, 0.1, history=5)
    compared = output_comparisons(models, data, errors, 0.02)
    expected = 0.1 / data.output_values[:300, 0].std()
    assert set(compared) == {"1", "3", "10"}
    for comparison in compared.values():
        assert comparison["force"].error < 1e-6
        assert comparison["force"].reference == pytest.approx(expected, rel=0.1)


def test_a_challenger_with_worse_outputs_loses_there_alone(data, errors):
    lost = losses_of(data, errors, Fake(data, 1.5), Fake(data, 0.3))
    assert {one.channel for one in lost} == {"force", "temperature"}
    assert {one.horizon for one in lost} == {"1", "3", "10"}


def test_equal_outputs_are_no_loss(data, errors):
    assert losses_of(data, errors, Fake(data, 0.1), Fake(data, 0.1)) == []
    assert losses_of(data, errors, Fake(data, 0.05), Fake(data, 0.1)) == []


def test_outputs_that_only_one_has_are_compared_by_their_interface(data, errors):
    two_models = Fake(data, 0.1), Fake(data, 0.1, outputs=("temperature",))
    assert set(output_comparisons(two_models, data, errors, 0.02)["1"]) == {"temperature"}
    plain = replace(data, outputs=[], output_values=None)
    assert output_comparisons(two_models, plain, errors, 0.02) == {}
