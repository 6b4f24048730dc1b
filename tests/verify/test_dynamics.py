"""Loss of precision by float32 in units, and float64 as the fix."""

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from benchmarks._sound import sound_models
from kinemill.errors import BadInput
from kinemill.export.bundle import seal
from kinemill.export.c99.source import read
from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.runtime import load
from kinemill.runtime.self_test import verify
from kinemill.task.export import Export
from kinemill.verify.dynamics import negligible_loss, precision_gate, rms_at
from kinemill.verify.results import ChannelPrecision, PrecisionResults
from tests.export.conftest import DESCRIPTION, random_step


def measured(loss, error=0.01, resolution=0.0, std=1.0):
    (allowed,) = negligible_loss(*(np.array([value]) for value in (error, resolution, std)))
    channel = ChannelPrecision("m", loss, error, allowed)
    return PrecisionResults("float32", 25, loss <= allowed, {"position": channel})


def test_a_loss_of_a_fifth_of_the_error_adds_two_percent_and_more_is_refused_in_units():
    assert math.hypot(1.0, 0.2) == pytest.approx(1.02, abs=1e-3)
    assert measured(0.0019).passed
    line = precision_gate(measured(0.0021))
    assert not line.passed
    assert line.value == (
        "float32 loses 0.0021 m of position over 25 steps; the error of the model is 0.01 m"
    )
    assert line.expected == "at most 0.002 m"


def test_what_no_sensor_sees_and_a_thousandth_of_the_spread_do_not_matter():
    assert measured(0.0021, resolution=0.003).passed
    assert measured(0.0009, error=1e-9).passed
    assert not measured(0.0011, error=1e-9).passed


def test_what_is_not_a_number_never_passes():
    assert not measured(math.nan).passed
    assert not measured(math.inf, error=math.inf).passed
    assert not measured(1.0, error=math.nan).passed


def test_a_window_counts_at_the_last_step_before_it_runs_away():
    differences = np.array([[[3.0], [100.0]], [[1.0], [4.0]]])
    assert rms_at(differences, np.array([0, 1])) == pytest.approx(math.sqrt((9 + 16) / 2))


FIRST, *OTHERS = [model.title for model in sound_models() if model.loses]


@pytest.mark.parametrize(
    "title", [FIRST, *(pytest.param(title, marks=pytest.mark.ci) for title in OTHERS)]
)
def test_float64_gives_back_what_float32_loses(tmp_path, title):
    one = next(model for model in sound_models() if model.title == title)
    assert [line.name for line in one.verdict(tmp_path, "float64") if not line.passed] == []


@pytest.fixture(scope="module")
def double(tmp_path_factory, pendulum):
    step, folder = random_step("mlp"), tmp_path_factory.mktemp("double")
    settings = Export(precision="float64")
    write_model(step, describe(DESCRIPTION, step), folder, settings, pendulum)
    return step, folder


def test_all_tensors_of_a_float64_export_are_float64_and_it_runs_as_ever(double):
    step, folder = double
    for name in ("step.onnx", "rollout.onnx"):
        graph = onnx.load(folder / name).graph
        kinds = {item.type.tensor_type.elem_type for item in (*graph.input, *graph.output)}
        kinds |= {item.data_type for item in graph.initializer}
        assert TensorProto.FLOAT not in kinds
    simulator = load(folder)
    states = np.random.default_rng(0).standard_normal((3, 4, 2))
    actions = np.zeros((3, 8, 1))
    result = simulator.rollout(states, actions[:, :3], actions[:, 3:])
    required = step.double().rollout(*map(_tensor, (states, actions[:, :3], actions[:, 3:])))
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, required.detach().numpy(), atol=1e-12)
    state, carry = states[:, -1], simulator.warm_up(states, actions[:, :3])
    for index in range(5):
        state, *carry = simulator.step(state, actions[:, 3 + index], *carry)
        np.testing.assert_allclose(state, result[:, index], atol=1e-13)
    for row, action in zip(states[0, :-1], actions[0, :3], strict=True):
        simulator.observe(row, action)
    simulator.observe(states[0, -1])
    np.testing.assert_allclose(simulator.predict(actions[:1, 3:]), result[:1], atol=1e-13)


def _tensor(values):
    import torch

    return torch.from_numpy(values)


def test_a_robot_verifies_a_float64_export_like_any_other(double):
    _, folder = double
    seal(folder)
    assert verify(folder, calls=10)["passed"]


def test_c99_is_float32_and_says_so(double):
    _, folder = double
    with pytest.raises(BadInput, match="the step is in float64; expected float32"):
        read((folder / "step.onnx").read_bytes())
    problems = Export(precision="float64", c99=True).problems({})
    assert [where for where, _ in problems] == [("c99",)]


def test_an_operation_that_onnx_runtime_lacks_in_float64_is_named(tmp_path):
    step = random_step({"type": "mlp", "activation": "elu"})
    settings = Export(precision="float64")
    with pytest.raises(BadInput, match="ONNX Runtime lacks Elu"):
        write_model(step, describe(DESCRIPTION, step), tmp_path, settings)
