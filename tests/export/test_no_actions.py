"""A system without actions: ONNX Runtime crashes in a Scan over rows of width 0."""

import copy

import numpy as np
import pytest
import torch

from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.runtime import load
from kinemill.task.document import Task
from kinemill.train.layout import layout_of
from kinemill.train.step import make_step

SCALE = {
    "state_std": torch.tensor([1.3, 2.0]),
    "feature_mean": torch.tensor([0.0, 0.0, -0.2]),
    "feature_std": torch.tensor([1.0, 1.0, 2.0]),
    "output_mean": torch.zeros(2),
    "output_std": torch.tensor([0.05, 0.3]),
}


def free_step(model, history):
    torch.manual_seed(3)
    task = Task.model_validate(
        {
            "task": "free",
            "dt": 0.02,
            "channels": {
                "angle": {"role": "state", "kind": "angle", "unit": "rad"},
                "velocity": {"role": "state", "unit": "rad/s"},
            },
            "learn": {"type": "dynamics", "model": {"type": model}, "history": history},
        }
    )
    return make_step(task.learn.model, layout_of(task), SCALE).eval()


@pytest.mark.parametrize(("model", "history"), [("mlp", 4), ("gru", 1)])
def test_it_rolls_out_for_as_many_steps_as_there_are_empty_actions(model, history, tmp_path):
    step = free_step(model, history)
    units, limits = {"angle": "rad", "velocity": "rad/s"}, {"angle": None, "velocity": None}
    described = {"task": "free", "dataset": "d" * 64, "units": units, "limits": limits}
    write_model(copy.deepcopy(step), describe(described, step), tmp_path)
    simulator = load(tmp_path, non_finite="pass")
    states = np.random.default_rng(1).normal(size=(7, history, 2)).astype(np.float32)
    past, actions = np.zeros((7, history - 1, 0)), np.zeros((7, 25, 0))
    result = simulator.rollout(states, past, actions)
    with torch.no_grad():
        inputs = (torch.tensor(part, dtype=torch.float32) for part in (states, past, actions))
        expected = step.rollout(*inputs).numpy()
    difference = result - expected
    difference[..., 0] -= 2 * np.pi * np.round(difference[..., 0] / (2 * np.pi))
    assert np.abs(difference).max() < 2e-5  # float32 rounding over 25 steps

    state, carry = states[:, -1], simulator.warm_up(states, past)
    for k in range(25):
        state, *carry = simulator.step(state, actions[:, k], *carry)
        np.testing.assert_array_equal(state, result[:, k])

    states[3, 0, 1] = np.nan
    spoilt = simulator.rollout(states, past, actions)
    assert np.isnan(spoilt[3]).all()
    assert np.isfinite(np.delete(spoilt, 3, axis=0)).all()

    states[3, 0, 1] = 0.0
    for row in states[3]:
        simulator.observe(row)  # no action to tell
    np.testing.assert_array_equal(
        simulator.predict(np.zeros((1, 25, 0))),
        simulator.rollout(states[3:4], past[3:4], actions[3:4]),
    )
