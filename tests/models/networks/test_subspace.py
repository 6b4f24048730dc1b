"""Subspace identification of a known linear system with one measured output."""

import numpy as np
import pytest
import torch

from kinemill.models.latent import Latent
from kinemill.models.networks.subspace import SLOWEST, identify, stable
from kinemill.train.layout import make_layout
from kinemill.train.relations import Output
from tests.conftest import learning_task

# Two real modes and an oscillation; eigenvalues 0.9, 0.7, 0.95 exp(±0.3 i).
MODES = [0.9, 0.7, 0.95 * np.exp(0.3j), 0.95 * np.exp(-0.3j)]
TURN = 0.95 * np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
A = np.block([[np.diag([0.9, 0.7]), np.zeros((2, 2))], [np.zeros((2, 2)), TURN]])
B, C, OFFSET = np.array([1.0, -0.5, 0.3, 0.8]), np.array([1.0, 1.0, 1.0, 0.0]), 0.4
HISTORY, HORIZON = 8, 10


def sequences(count=400, noise=0.0, seed=0):
    """Features (y, u) of windows of the past and future, and the outputs that follow."""
    random = np.random.default_rng(seed)
    x, rows = np.zeros(4), []
    for action in random.normal(size=count + HISTORY + HORIZON):
        rows.append((C @ x + OFFSET + noise * random.normal(), action))
        x = A @ x + B * action
    rows = torch.tensor(np.array(rows))
    features = rows.unfold(0, HISTORY + HORIZON, 1).transpose(1, 2)[:count]
    return features, features[:, 1:, :1]


def test_it_finds_the_modes_of_the_system():
    model = identify(*sequences(), [1], HISTORY, 4)
    expected = np.sort_complex(np.array(MODES))
    result = np.sort_complex(torch.linalg.eigvals(model.update[0]).numpy())
    np.testing.assert_allclose(result, expected, atol=1e-3)


def test_states_that_do_not_show_stay_zero_and_noise_does_no_harm():
    model = identify(*sequences(noise=0.05), [1], HISTORY, 4)
    largest = torch.linalg.eigvals(model.update[0]).abs().max()
    assert largest == pytest.approx(0.95, abs=0.02)
    many = identify(*sequences(), [1], HISTORY, 30)
    assert torch.isfinite(many.update[0]).all()
    assert many.encoder[0].shape == (30, HISTORY * 2)


def test_an_unstable_model_is_made_stable():
    turn = 1.2 * torch.tensor([[0.6, 0.8], [-0.8, 0.6]]).double()
    result = torch.linalg.eigvals(stable(torch.block_diag(turn, torch.eye(1).double() * 0.5)))
    assert sorted(result.abs().tolist()) == pytest.approx([0.5, SLOWEST, SLOWEST])
    assert torch.equal(stable(0.5 * turn), 0.5 * turn)


def test_a_latent_network_starts_as_that_model():
    channels = {"y": {"role": "state", "unit": "V"}, "u": {"role": "action", "unit": "V"}}
    task = learning_task("box", 1.0, channels)
    value = {"y": Output(relation="equal", of="y")}
    layout = make_layout(task, value, "semi_implicit", HISTORY)
    settings = Latent(size=4, hidden_size=5, start="subspace")
    scale = {f"{name}_mean": [0.0, 0.0] for name in ("feature", "output")}
    scale |= {f"{name}_std": [1.0, 1.0] for name in ("feature", "output")}
    network = settings.build_for(layout, scale)
    network.fit_sequences([sequences()])
    features, outputs = (part.float() for part in sequences(seed=1))
    with torch.no_grad():
        carry = network.warm_up(features[:, : HISTORY - 1])
        for step in range(HORIZON):
            result, *carry = network(features[:, HISTORY - 1 + step], *carry)
            missed = result - outputs[:, HISTORY - 1 + step]
            assert missed.abs().max() < 2e-3 * outputs.std()
