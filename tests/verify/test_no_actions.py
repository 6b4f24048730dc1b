"""Verification of a model without actions; ONNX Runtime crashes in a Scan over rows of width 0."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.runtime import load
from kinemill.task.document import Task
from kinemill.task.verify import Verify
from kinemill.train.layout import layout_of
from kinemill.train.step import make_step
from kinemill.verify.bundle import verify_folder
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.report import page
from kinemill.verify.verifier import verify_files

SCALE = {
    "state_std": torch.tensor([1.3, 2.0]),
    "feature_mean": torch.tensor([0.0, 0.0, -0.2]),
    "feature_std": torch.tensor([1.0, 1.0, 2.0]),
    "output_mean": torch.zeros(2),
    "output_std": torch.tensor([0.05, 0.3]),
}


def free_step(model, history):
    torch.manual_seed(3)
    angle = {"role": "state", "kind": "angle", "unit": "rad"}
    channels = {"angle": angle, "velocity": {"role": "state", "unit": "rad/s"}}
    learn = {"type": "dynamics", "model": {"type": model}, "history": history}
    task = Task.model_validate({"task": "free", "dt": 0.02, "channels": channels, "learn": learn})
    return make_step(task.learn.model, layout_of(task), SCALE).eval()


UNITS = {"angle": "rad", "velocity": "rad/s"}


@pytest.fixture
def free(pendulum):
    """Return the logs of the pendulum without torque."""
    return dataclasses.replace(
        pendulum,
        task="free",
        actions=[],
        units=UNITS,
        segments=[pendulum.values[:, :2].copy()],
        mean=pendulum.mean[:2],
        std=pendulum.std[:2],
    )


@pytest.mark.parametrize(
    ("model", "history"), [pytest.param("mlp", 1, marks=pytest.mark.ci), ("gru", 4)]
)
def test_a_model_without_actions_is_judged_as_any_other(model, history, free, tmp_path):
    step = free_step(model, history)
    limits = dict.fromkeys(UNITS)
    about = describe({"task": "free", "dataset": "d" * 64, "units": UNITS, "limits": limits}, step)
    write_model(copy.deepcopy(step), about, tmp_path)
    settings = Verify(horizon=10, stride=5)
    subject = DynamicsSubject(tmp_path, step, free, settings, about)
    verdict = verify_files(subject)
    assert [line for line in verdict.gates if not line.passed] == []
    assert "Long rollouts" in page(subject, verdict)
    assert [line for line in verify_folder(tmp_path).gates if not line.passed] == []
    simulator = load(tmp_path)
    states = np.random.default_rng(1).normal(size=(1, history, 2)).astype(np.float32)
    for row in states[0]:
        simulator.observe(row)
    no_actions = np.zeros((1, 25, 0))
    expected = simulator.rollout(states, no_actions[:, : history - 1], no_actions)
    np.testing.assert_array_equal(simulator.predict(no_actions), expected)
