"""Exported ensembles of every architecture equal those in torch, and so do their members."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from kinemill.errors import BadInput
from kinemill.runtime import load
from kinemill.task.plugins import MODELS
from kinemill.train.ensemble import Ensemble
from tests.export.conftest import (
    angle_free,
    assert_fed_back,
    batch,
    ensemble_of,
    published,
    random_step,
)

pytestmark = pytest.mark.ci

HISTORY = 4


def ensemble(model: str, members: int, history: int = HISTORY, *, noisy: bool = False) -> Ensemble:
    """Return members with random weights; the first is that of `random_step`."""
    return ensemble_of(random_step(model, history), members, noisy=noisy)


# An export takes seconds; that all models run as ensembles in torch is in tests/train.
MARKS = {"gru": [], "rigid_body": [pytest.mark.ci]}
EVERY = [pytest.param(name, marks=MARKS.get(name, [pytest.mark.slow])) for name in sorted(MODELS)]


@pytest.mark.ci
@pytest.mark.parametrize("model", EVERY)
def test_every_model_runs_as_an_ensemble_from_its_files(model, tmp_path):
    module = ensemble(model, 2)
    simulator = load(published(module, tmp_path))
    for rows, horizon in ((1, 1), (7, 25)):
        inputs = batch(rows, HISTORY, horizon)
        with torch.no_grad():
            expected, offsets, _ = module.bundle(*inputs)
            alone = [copied.step.rollout(*inputs).numpy() for copied in module.apart().copies]
        arguments = [part.numpy() for part in inputs]
        result, members = simulator.rollout(*arguments), simulator.rollout_members(*arguments)
        assert angle_free(result - expected.numpy()) < 2e-5  # float32 rounding over 25 steps
        assert members.shape == (rows, 2, horizon, 2)
        for index in range(2):
            assert angle_free(members[:, index] - alone[index]) < 5e-5
        assert offsets.abs().max() > 1e-4  # they differ, or this would show nothing
        check_disagreement(tmp_path, arguments, offsets.numpy())
        assert_fed_back(simulator, arguments, result)


def check_disagreement(folder, inputs, offsets):
    """Both files return the deviation between members; offsets are (B, T, E, S)."""
    named = dict(zip(("states", "past_actions", "actions"), inputs, strict=True))
    session = onnxruntime.InferenceSession(folder / "rollout.onnx")
    mean, apart = session.run(["next_states", "disagreement"], named)
    assert apart.shape == mean.shape
    expected = np.sqrt(np.square(offsets.astype(float)).mean(2))
    np.testing.assert_allclose(apart, expected, rtol=1e-3, atol=1e-5)
    assert "disagreement" in {item.name for item in onnx.load(folder / "step.onnx").graph.output}


def noisy_files(history, folder):
    """Three perceptrons with noise; measurements have 0.1 and 0.2 standard deviations."""
    module = ensemble("mlp", 3, history, noisy=True)
    with torch.no_grad():
        module.member.noise.measured.copy_(torch.tensor([0.1, 0.2]).square().log())
    return published(module, folder)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    return noisy_files(HISTORY, tmp_path_factory.mktemp("noisy"))


@pytest.mark.slow
def test_an_ensemble_without_a_past_says_the_same(tmp_path):
    check_deviation(noisy_files(1, tmp_path), 1)


def test_the_deviation_is_that_between_members_and_of_themselves(noisy):
    check_deviation(noisy, HISTORY)


def check_deviation(folder, history):
    """With variance q per step and r per measurement, the variance after k steps is k q + r."""
    simulator = load(folder)
    inputs = [part.numpy() for part in batch(5, history, 6)]
    result, deviation = simulator.rollout_deviation(*inputs)
    np.testing.assert_array_equal(result, simulator.rollout(*inputs))
    members = simulator.rollout_members(*inputs)
    apart = members - result[:, None]
    apart[..., 0] = (apart[..., 0] + np.pi) % (2 * np.pi) - np.pi
    between = np.square(apart).mean(1)
    # -4 between the soft bounds -10 and 0.5, of outputs with spreads 0.05 and 0.3
    bounded = -10 + np.log1p(np.exp(0.5 - np.log1p(np.exp(4.5)) + 10))
    each = np.exp(bounded) * np.array([0.05, 0.3]) ** 2
    measured = (np.array([0.1, 0.2]) * np.array([1.3, 2.0])) ** 2
    expected = between + each * np.arange(1, 7)[:, None] + measured
    np.testing.assert_allclose(deviation**2, expected, rtol=2e-3)


def test_a_single_model_says_that_it_does_not_know(gru_folder):
    simulator = load(gru_folder)
    inputs = [part.numpy() for part in batch(2, simulator.history, 3)]
    for ask in (simulator.rollout_members, simulator.rollout_deviation):
        with pytest.raises(BadInput, match=r"learn\.ensemble"):
            ask(*inputs)


def test_nan_in_a_row_is_nan_in_all_that_is_said_of_it(noisy):
    simulator = load(noisy, non_finite="pass")
    inputs = [part.numpy() for part in batch(4, HISTORY, 3)]
    inputs[2][1, 2, 0] = np.nan
    result, deviation = simulator.rollout_deviation(*inputs)
    members = simulator.rollout_members(*inputs)
    for part in (result, deviation, members):
        assert np.isnan(part[1]).all()
        assert np.isfinite(part[[0, 2, 3]]).all()
