"""Exported encodings, windows, integrators and activations pass the gates of `verify`."""

import numpy as np
import pytest
import torch
from torch import nn

from kinemill.models.networks.layers import activation
from kinemill.runtime import load
from kinemill.verify.exported_dynamics import ExportedDynamics
from kinemill.verify.nan_propagation import propagate_nan
from kinemill.verify.parity import Pair, compare, evaluate_step
from kinemill.verify.test_inputs import window_probe
from tests.export.conftest import assert_fed_back, batch, published, random_step

HISTORY = 3
WAYS = {
    "sliding": {"model": {"type": "gru", "hidden_size": 7}, "window": "sliding"},
    "rk4 and an origin that is carried": {
        "model": {"type": "gru", "hidden_size": 7},
        "integrator": "rk4",
        "outputs": {"alpha": {"relation": "derivative", "of": "velocity"}},
        "relations": {"angle": {"relation": "derivative", "parent": "velocity"}},
        "encoding": {
            "channels": {
                "velocity": {"type": "relative"},
                "torque": {"type": "cos_sin", "period": 20.0},
            }
        },
    },
    "an origin that slides, and transforms": {
        "model": {"type": "transformer", "size": 8, "heads": 2, "layers": 1},
        "window": "sliding",
        "encoding": {
            "channels": {
                "angle": {"type": "relative", "to": "last"},
                "torque": {"type": "cos_sin", "period": 20.0},
            }
        },
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("way", list(WAYS))
def test_it_passes_the_gates_of_verify(way, tmp_path):
    step = random_step(history=HISTORY, **WAYS[way])
    simulator = load(published(step, tmp_path), non_finite="pass")
    probes = [
        window_probe(f"random {seed}", *(part.numpy() for part in batch(32, HISTORY, 25, seed)))
        for seed in (1, 2)
    ]
    pair = Pair(simulator, step, np.array([1.3, 2.0]), np.array([True, False]))
    assert [item for item in compare(pair, evaluate_step(pair, probes)) if not item.passed] == []
    result = propagate_nan(ExportedDynamics(tmp_path).nan_calls(probes[0]))
    assert [item for item in result if not item.passed] == []
    assert len(result) >= 14  # every input of both files, at up to three places

    assert_fed_back(simulator, probes[0].windows, simulator.rollout(*probes[0].windows))


class EveryActivation(nn.Module):
    """All encodings together."""

    carry_shapes = ()
    names = ("tanh", "silu", "elu", "relu", "leaky_relu", "gelu", "sigmoid")

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(4, 8), nn.Linear(8 * len(self.names), 2)

    def warm_up(self, features):
        return ()

    def forward(self, features):
        hidden = 3 * self.inner(features)
        return (self.head(torch.cat([activation(name)(hidden) for name in self.names], 1)),)


def test_every_activation_is_exported_and_passes(tmp_path):
    step = random_step("mlp", 1, network=EveryActivation())
    simulator = load(published(step, tmp_path), non_finite="pass")
    probe = window_probe("random", *(part.numpy() for part in batch(32, 1, 10)))
    pair = Pair(simulator, step, np.array([1.3, 2.0]), np.array([True, False]))
    assert [item for item in compare(pair, evaluate_step(pair, [probe])) if not item.passed] == []
    assert all(item.passed for item in propagate_nan(ExportedDynamics(tmp_path).nan_calls(probe)))
