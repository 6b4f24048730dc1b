"""Regression tests: faults of `simulate` in onyxengine 0.1.15 that kinemill must not have."""

import json

import numpy as np
import onnx
import pytest

from kinemill.errors import BadInput
from kinemill.runtime import load
from tests.export.conftest import batch


@pytest.fixture(scope="module")
def folder(step_folders):
    return step_folders["mlp"]


def inputs(seed=0, rows=3):
    return [part.numpy() for part in batch(rows, 4, 5, seed)]


def test_a_second_call_leaves_the_result_of_the_first_alone(folder):
    """Onyx returns its internal buffer, and zeroes it at the next call of the same shape."""
    simulator = load(folder)
    first = simulator.rollout(*inputs(0))
    stored = first.copy()
    second = simulator.rollout(*inputs(1))
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, stored)
    first[:] = 0.0  # nor does a caller's own writing reach the simulator
    np.testing.assert_array_equal(simulator.rollout(*inputs(0)), stored)


def test_inputs_are_never_written_into(folder):
    arguments = inputs()
    previous = [part.copy() for part in arguments]
    load(folder).rollout(*arguments, initial={"angle": 1.0})
    for part, was in zip(arguments, previous, strict=True):
        np.testing.assert_array_equal(part, was)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_number_that_is_none_is_an_error_not_a_silent_trajectory(which, bad, folder):
    arguments = inputs()
    arguments[which][1, 0, 0] = bad
    with pytest.raises(BadInput, match="batch 1"):
        load(folder).rollout(*arguments)


def test_large_finite_numbers_are_no_error(folder):
    """Their squares overflow; the fast check of the inputs must not report infinity."""
    arguments = inputs()
    arguments[2][0, 0, 0] = 1e30
    assert load(folder).rollout(*arguments).shape == (3, 5, 2)


@pytest.mark.parametrize("dt", [0.0, -0.02, None, "0.02"])
def test_a_time_step_of_nothing_is_an_error(dt, folder, tmp_path):
    """Onyx accepts dt = 0, its default, and never changes the state; kinemill raises an error."""
    model = onnx.load(folder / "rollout.onnx")
    for item in model.metadata_props:
        if item.key == "dt":
            item.value = json.dumps(dt)
    onnx.save(model, tmp_path / "rollout.onnx")
    with pytest.raises(BadInput, match="expected a time step above 0 s"):
        load(tmp_path / "rollout.onnx")
