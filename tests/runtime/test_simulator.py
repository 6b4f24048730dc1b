import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from kinemill.errors import BadInput
from kinemill.runtime import load
from tests.export.conftest import batch


@pytest.fixture(scope="module")
def simulator(step_folders):
    return load(step_folders["gru"])


@pytest.fixture
def inputs():
    return [part.numpy() for part in batch(3, 4, 5)]


def test_it_knows_its_channels(simulator):
    assert simulator.states == ("angle", "velocity")
    assert simulator.actions == ("torque",)
    assert simulator.units["velocity"] == "rad/s"
    assert (simulator.dt, simulator.history) == (0.02, 4)
    assert simulator.limits == {"velocity": (-30.0, 30.0), "torque": (-6.0, 6.0)}


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int64])
def test_any_real_numbers_are_taken(kind, simulator, inputs):
    whole = [np.round(part).astype(kind) for part in inputs]
    expected = simulator.rollout(*(part.astype(np.float32) for part in whole))
    np.testing.assert_array_equal(simulator.rollout(*whole), expected)
    np.testing.assert_array_equal(simulator.rollout(*(part.tolist() for part in whole)), expected)


# Each of these ends the process, or gives garbage, when it reaches ONNX Runtime.
@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        (0, lambda x: x[:0], r"states: has no batch: shape \(0, 4, 2\)"),
        (2, lambda x: x[:, :0], r"actions: has no horizon: shape \(3, 0, 1\)"),
        (
            0,
            lambda x: x[0],
            r"^states: has shape \(4, 2\); expected \(batch, 4, 2\); "
            r"for a batch of one pass states\[None\]$",
        ),
        (2, lambda x: x[0], r"for a batch of one pass actions\[None\]"),
        (0, lambda x: x[:, 1:], r"states: .*axis 1 \(history\) is 3 long"),
        (1, lambda x: x[:, 1:], r"past_actions: .*history - 1\)\) is 2 long"),
        (0, lambda x: x[..., :1], r"2 states for angle, velocity"),
        (2, lambda x: x[:2], r"states has 3, past_actions has 3, actions has 2"),
        (0, lambda x: x.astype(str), r"states: holds <U"),
        (0, lambda x: x * 1j, r"states: holds complex"),
        (0, lambda x: np.zeros(()), r"states: has shape \(\)"),
        (0, lambda x: [[1.0], [1.0, 2.0]], r"rows of different lengths"),
        (0, lambda x: x.astype(np.float64) * 1e300, r"angle: is -?inf"),
    ],
)
def test_input_is_refused_before_onnx_runtime_sees_it(which, change, message, simulator, inputs):
    inputs[which] = change(inputs[which])
    with pytest.raises(BadInput, match=message):
        simulator.rollout(*inputs)


@pytest.mark.parametrize("order", [["velocity", "angle"], ["angle", "rate"]])
def test_labels_in_another_order_are_refused(order, simulator):
    with pytest.raises(BadInput, match="has the labels"):
        simulator.observe(pd.Series([0.1, 0.2], index=order), [0.0])
    simulator.observe(pd.Series([0.1, 0.2], index=["angle", "velocity"]), [0.0])
    simulator.observe(pd.Series([0.1, 0.2]), [0.0])


def test_a_masked_value_is_missing(simulator, inputs):
    inputs[0] = np.ma.masked_where(np.arange(24).reshape(3, 4, 2) == 13, inputs[0])
    with pytest.raises(BadInput, match="states, batch 1, history 2, velocity: is nan"):
        simulator.rollout(*inputs)


def test_a_step_wants_its_carry(simulator, inputs):
    state, action = inputs[0][:, -1], inputs[2][:, 0]
    with pytest.raises(BadInput, match="carry: 0 given; expected carry_0; see warm_up"):
        simulator.step(state, action)
    with pytest.raises(BadInput, match=r"carry_0: .*axis 2\) is 3 long"):
        simulator.step(state, action, np.zeros((3, 1, 3)))


def test_predicting_online_is_rolling_out_from_the_last_states(simulator, inputs):
    states, actions = inputs[0][0], inputs[1][0]
    candidates = inputs[2]  # (3, 5, 1): three plans
    simulator.forget()
    # Six rows go by, the last four count; the last action is still being chosen.
    for state in (states[1], states[2]):
        simulator.observe(state, actions[0])
    for state, action in zip(states[:3], actions, strict=True):
        assert not simulator.ready or state is not states[0]
        simulator.observe(state, action)
    simulator.observe(states[3])
    assert simulator.ready
    many = [np.repeat(part[None], 3, axis=0) for part in (states, actions)]
    expected = simulator.rollout(*many, candidates)
    np.testing.assert_array_equal(simulator.predict(candidates), expected)
    # Told which one acts, the same question has the same answer, and the next state may come.
    simulator.apply(candidates[0, 0])
    np.testing.assert_array_equal(simulator.predict(candidates), expected)
    simulator.observe(expected[0, 0], candidates[0, 1])


def test_a_gap_in_what_was_observed_is_refused(simulator, inputs):
    simulator.forget()
    with pytest.raises(BadInput, match="apply: nothing was observed yet"):
        simulator.apply([0.0])
    simulator.observe(inputs[0][0, 0])
    with pytest.raises(BadInput, match=r"call apply\(action\) after each observe"):
        simulator.observe(inputs[0][0, 1])
    with pytest.raises(BadInput, match="predict: 1 observed; expected 4 states"):
        simulator.predict(inputs[2])


def pickled(simulator):
    return pickle.loads(pickle.dumps(simulator))


def observed(simulator, inputs):
    simulator.forget()
    for state, action in zip(inputs[0][0], [*inputs[1][0], None], strict=True):
        simulator.observe(state, action)
    return simulator.predict(inputs[2])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_predicts_the_same_and_remembers_for_itself(duplicate, simulator, inputs):
    expected = observed(simulator, inputs)
    copied = duplicate(simulator)
    np.testing.assert_array_equal(copied.predict(inputs[2]), expected)
    copied.forget()
    np.testing.assert_array_equal(simulator.predict(inputs[2]), expected)
    np.testing.assert_array_equal(copied.rollout(*inputs), simulator.rollout(*inputs))


def test_a_buffer_that_is_used_again_changes_nothing_that_was_observed(simulator, inputs):
    expected = observed(simulator, inputs)
    simulator.forget()
    state, action = np.zeros(2, np.float32), np.zeros(1, np.float32)
    for at in range(4):
        state[:] = inputs[0][0, at]
        simulator.observe(state)
        if at < 3:
            action[:] = inputs[1][0, at]
            simulator.apply(action)
    np.testing.assert_array_equal(simulator.predict(inputs[2]), expected)


def test_a_tensor_with_a_gradient_is_refused_in_words(simulator, inputs):
    states = torch.tensor(inputs[0], requires_grad=True)
    with pytest.raises(BadInput, match=r"states: is a Tensor .*; pass states\.detach\(\)"):
        simulator.rollout(states, inputs[1], inputs[2])
    with pytest.raises(BadInput, match=r"state: is a Tensor"):
        simulator.observe(states[0, 0])
    np.testing.assert_array_equal(
        simulator.rollout(states.detach(), *inputs[1:]), simulator.rollout(*inputs)
    )


@pytest.mark.parametrize("value", ["0.1", [1.0, 2.0], None, object()])
def test_a_held_value_that_is_no_number_is_refused(value, simulator):
    with pytest.raises(BadInput, match="angle: "):
        simulator.hold({"angle": value})
