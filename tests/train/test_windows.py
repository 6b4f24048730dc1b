"""A window that slides: the network goes over the last H rows anew, as hydrax does."""

import json
import math

import pytest
import torch

from kinemill.task import MODELS
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.layout import layout_of
from kinemill.train.scaling import scale_of
from kinemill.train.step import make_step
from tests.models.options import LEARN, OPTIONS
from tests.train.conftest import pendulum_task, publish

B, T = 4, 6
ALPHA = {"alpha": {"relation": "derivative", "of": "velocity"}}
TRAINED = {
    "sliding, with dropout": {
        "model": {"type": "gru", "hidden_size": 8, "dropout": 0.1, "layer_norm": True},
        "window": "sliding",
        "encoding": {"scale": "range"},
    },
    "rk4, with an origin": {
        "model": {"type": "mlp", "hidden_sizes": [16]},
        "integrator": "rk4",
        "outputs": ALPHA,
        "encoding": {"channels": {"velocity": {"type": "relative"}}},
    },
    "two members that slide": {"model": {"type": "rnn", "hidden_size": 8}, "window": "sliding"}
    | {"ensemble": 2, "encoding": {"channels": {"velocity": {"type": "relative", "to": "last"}}}},
}


def make(packed, model, history=3, **learn):
    torch.manual_seed(0)
    task = pendulum_task(model=model, history=history, **learn)
    layout = layout_of(task)
    return make_step(task.learn.model, layout, scale_of(packed, layout)).eval()


def inputs(history):
    random = torch.Generator().manual_seed(5)
    shapes = [(B, history, 2), (B, history - 1, 1), (B, T, 1)]
    return tuple(torch.randn(shape, generator=random) for shape in shapes)


def by_hand(step, states, past, actions):
    """The loop as a textbook has it: at each step encode the last H rows, run, take the last."""
    rows = [*torch.cat([states[:, :-1], past], -1).unbind(1)]
    state, predicted = states[:, -1], []
    mean, std = step.feature_mean, step.feature_std
    for action in actions.unbind(1):
        rows.append(torch.cat([state, action], -1))
        carry = tuple(torch.zeros(B, *shape) for shape in step.network.carry_shapes)
        for row in rows[-step.history :]:
            angle, velocity, torque = row.split(1, -1)
            features = torch.cat([angle.cos(), angle.sin(), velocity, torque], -1)
            outputs, *rest = step.network((features - mean) / std, *carry)
            carry = tuple(rest)
        delta = outputs * step.output_std + step.output_mean
        state = step.wrap(state + delta)
        predicted.append(state)
    return torch.stack(predicted, 1)


@pytest.mark.parametrize("history", [1, 3])
@pytest.mark.parametrize("model", ["gru", "lstm", "rnn", "transformer", "mlp"])
def test_a_sliding_window_is_the_reencoding_loop_written_by_hand(packed, model, history):
    step = make(packed, {"type": model, **OPTIONS[model]}, history, window="sliding")
    result, expected = (
        run(*inputs(history)) for run in (step.rollout, lambda *x: by_hand(step, *x))
    )
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_the_carry_is_the_window_in_task_units(packed):
    step = make(packed, {"type": "gru"}, window="sliding")
    states, past, actions = inputs(3)
    (window,) = step.warm_up(states, past)
    assert torch.equal(window, torch.cat([states[:, :-1], past], -1))
    _, after = step(states[:, -1], actions[:, 0], window)
    assert torch.equal(after[:, 0], window[:, 1])
    assert torch.equal(after[:, 1], torch.cat([states[:, -1], actions[:, 0]], -1))


def test_carried_is_the_default_and_goes_beyond_the_window(packed):
    """From the second prediction on the two differ: one remembers the first row, one does not."""
    carried, sliding = (make(packed, {"type": "gru"}, **how) for how in ({}, {"window": "sliding"}))
    assert carried.layout.window == "carried"
    assert [tuple(part.shape[1:]) for part in carried.initial_carry(1)] == [(1, 128)]
    sliding.load_state_dict(carried.state_dict())
    one, other = carried.rollout(*inputs(3)), sliding.rollout(*inputs(3))
    torch.testing.assert_close(one[:, 0], other[:, 0], rtol=0, atol=1e-6)
    assert (one[:, 1:] - other[:, 1:]).abs().max() > 1e-3


@pytest.mark.parametrize("model", sorted(set(MODELS) - set(LEARN)))
def test_for_what_sees_the_window_alone_both_are_the_same(packed, model):
    carried = make(packed, {"type": model})
    shapes, size = carried.network.carry_shapes, carried.layout.features
    if [math.prod(shape) for shape in shapes] != [2 * size]:
        pytest.skip("it carries more than its window")
    sliding = make(packed, {"type": model}, window="sliding")
    torch.testing.assert_close(
        carried.rollout(*inputs(3)), sliding.rollout(*inputs(3)), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("how", list(TRAINED))
def test_it_learns_and_its_folder_is_enough_to_rebuild_it(how, home, packed):
    task = pendulum_task(**TRAINED[how], optimizer={"lr": 1e-2}, schedule={"type": "constant"})
    data = publish(home, packed)
    artifact = train.run(task, home, data, data, (NullReporter(), NullReporter()))
    folder = home.root / artifact.ref.path
    curve = json.loads((folder / "history.json").read_text())["train/loss"]
    assert curve[-1][1] < 0.9 * curve[0][1]
    module, objective = task.learn.prepare(task, packed, packed, torch.device("cpu"))
    module.load_state_dict(load_model(folder).state_dict())
    module.eval()
    monitored = objective.evaluate()["validation/multi_step"]
    assert monitored == pytest.approx(artifact.summary["best"], rel=1e-5)
    with torch.no_grad():
        result, expected = load_model(folder).rollout(*inputs(3)), module.rollout(*inputs(3))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
