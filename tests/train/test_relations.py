"""Relations and integrators, against integration by hand and against closed solutions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from kinemill.errors import TaskError
from kinemill.task.document import Task
from kinemill.train.layout import layout_of, make_layout
from kinemill.train.relations import Output
from kinemill.train.step import SCALES, Step
from tests.conftest import load_task_in

# The example in the guide of Onyx Engine: acceleration out, velocity and position follow.
ONYX = """\
task: onyx
dt: 0.0025
channels:
  velocity: {role: state, unit: m/s, derivative_of: position}
  position: {role: state, unit: m}
  control_input: {role: action, unit: V}
learn:
  type: dynamics
  model: {type: mlp}
  history: 1
  integrator: %s
  outputs:
    acceleration_predicted: {relation: derivative, of: velocity}
"""
# 40 m/s² from v = 1.2 m/s and x = 0.3 m, by hand: v = 1.2 + 0.0025 · 40 = 1.3 always, and
# x = 0.3 + 0.0025 · 1.3 from the velocity after the step, 0.3 + 0.0025 · 1.2 from the one before,
# 0.3 + 0.0025 · 1.2 + 0.0025² / 2 · 40 in truth, which rk4 and the mean velocity meet.
BY_HAND = {
    "semi_implicit": [1.3, 0.30325],
    "euler": [1.3, 0.303],
    "trapezoidal": [1.3, 0.303125],
    "rk4": [1.3, 0.303125],
}


class Formula(nn.Module):
    """A network that answers in physical units, whatever it sees."""

    carry_shapes = ()
    physical = True

    def __init__(self, formula):
        super().__init__()
        self.formula, self.calls = formula, 0

    def warm_up(self, states, actions, features):
        return ()

    def forward(self, state, action, features):
        self.calls += 1
        return (self.formula(state, action),)


def scale_of(layout) -> dict[str, torch.Tensor]:
    sizes = (len(layout.states), layout.features, layout.features)
    sizes += (len(layout.outputs), len(layout.outputs))
    values = (torch.ones, torch.zeros, torch.ones, torch.zeros, torch.ones)
    return {name: make(size) for name, make, size in zip(SCALES, values, sizes, strict=True)}


def step_of(layout, formula) -> Step:
    return Step(layout, Formula(formula), scale_of(layout)).double().eval()


def tensor(*rows):
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("integrator", sorted(BY_HAND))
def test_onyx_example_by_hand(tmp_path, integrator):
    layout = layout_of(load_task_in(tmp_path, ONYX % integrator))
    step = step_of(layout, lambda state, action: tensor([40.0]))
    (after,) = step(tensor([1.2, 0.3]), tensor([0.0]))
    assert after[0].tolist() == pytest.approx(BY_HAND[integrator], abs=1e-7)  # float32 matrices


def test_onyx_example_with_a_measured_acceleration(tmp_path):
    """a' = 40 out of the network, a = 10 before: the velocity follows a', or a by Euler."""
    for integrator, by_hand in (
        ("semi_implicit", [40.0, 1.2 + 0.1, 0.3 + 0.0025 * 1.3]),
        ("euler", [40.0, 1.2 + 0.025, 0.3 + 0.0025 * 1.2]),
    ):
        text = (ONYX % integrator).replace(
            "derivative, of: velocity}",
            "equal, of: measured}\n  relations:\n    velocity: "
            "{relation: derivative, parent: measured}",
        )
        text = text.replace("  velocity:", "  measured: {role: state, unit: m/s^2}\n  velocity:", 1)
        step = step_of(layout_of(load_task_in(tmp_path, text)), lambda x, u: tensor([40.0]))
        (after,) = step(tensor([10.0, 1.2, 0.3]), tensor([0.0]))
        assert after[0].tolist() == pytest.approx(by_hand, abs=1e-7)


MIXED = {
    "task": "mixed",
    "dt": 0.1,
    "channels": {
        "motor": {"role": "state", "unit": "m"},
        "position": {"role": "state", "unit": "m"},
        "advance": {"role": "state", "unit": "m"},
        "velocity": {"role": "state", "unit": "m/s"},
        "force": {"role": "action", "unit": "N"},
    },
    "learn": {
        "type": "dynamics",
        "model": {"type": "mlp"},
        "outputs": {
            "acceleration": {"relation": "derivative", "of": "velocity"},
            "advance_next": {"relation": "equal", "of": "advance"},
        },
        "relations": {
            "motor": {"relation": "equal", "parent": "position"},
            "position": {"relation": "delta", "parent": "advance"},
        },
    },
}


def test_derivative_delta_and_equal_in_one_chain_by_hand():
    """advance' = 0.5; position' = 3 + 0.5; motor' = position'; velocity' = 2 + 0.1 · 10."""
    layout = layout_of(Task.model_validate(MIXED))
    step = step_of(layout, lambda state, action: tensor([10.0, 0.5]))
    # The motor's own value is of no matter: it is the position, not what it was plus a change.
    (after,) = step(tensor([99.0, 3.0, 0.2, 2.0]), tensor([0.0]))
    assert after[0].tolist() == pytest.approx([3.5, 3.5, 0.5, 3.0], abs=1e-6)


def test_without_outputs_a_state_that_follows_has_none():
    learn = MIXED["learn"] | {"outputs": {}}
    layout = layout_of(Task.model_validate(MIXED | {"learn": learn}))
    assert [name for name, _ in layout.outputs] == ["advance_delta", "velocity_delta"]


@pytest.mark.parametrize(
    ("unit", "rate", "by_hand"),
    [("deg/s", 90.0, 0.1 * math.pi / 2), ("rpm", 60.0, 0.1 * 2 * math.pi), ("rad/s", 2.0, 0.2)],
)
def test_a_rate_in_another_unit_than_its_angle_is_converted(unit, rate, by_hand):
    channels = {
        "angle": {"role": "state", "kind": "angle", "unit": "rad"},
        "rate": {"role": "state", "unit": unit, "derivative_of": "angle"},
        "torque": {"role": "action", "unit": "N*m"},
    }
    outputs = {"next": {"relation": "equal", "of": "rate"}}
    learn = {"type": "dynamics", "model": {"type": "mlp"}, "history": 1, "outputs": outputs}
    task = {"task": "turn", "dt": 0.1, "channels": channels, "learn": learn}
    step = step_of(layout_of(Task.model_validate(task)), lambda x, u: tensor([rate]))
    (after,) = step(tensor([0.0, 0.0]), tensor([0.0]))
    assert after[0].tolist() == pytest.approx([by_hand, rate], rel=1e-6)


PENDULUM = {
    "task": "pendulum",
    "dt": 0.05,
    "channels": {
        "angle": {"role": "state", "kind": "angle", "unit": "rad"},
        "velocity": {"role": "state", "unit": "rad/s", "derivative_of": "angle"},
        "torque": {"role": "action", "unit": "N*m"},
    },
    "learn": {"type": "dynamics", "model": {"type": "mlp"}, "history": 1},
}
ALPHA = {"alpha": Output(relation="derivative", of="velocity")}


def pendulum_step(integrator, dt=0.05, formula=None) -> Step:
    """θ̈ = -9.81 sin θ + u."""
    layout = make_layout(Task.model_validate(PENDULUM | {"dt": dt}), ALPHA, integrator, 1)
    return step_of(layout, formula or (lambda x, u: -9.81 * torch.sin(x[:, :1]) + u))


def test_rk4_is_of_fourth_order_and_keeps_a_pendulums_energy():
    """Half the step: a sixteenth of the error (2⁴); Euler halves its own."""

    def error(integrator, dt):
        step = pendulum_step(integrator, dt)
        state = tensor([1.0, 0.0])
        for _ in range(round(1.0 / dt)):
            (state,) = step(state, tensor([0.0]))
        angle, velocity = state[0].tolist()
        return abs(velocity**2 / 2 - 9.81 * math.cos(angle) + 9.81 * math.cos(1.0))

    assert error("rk4", 0.0625) / error("rk4", 0.03125) > 12
    assert error("euler", 0.0625) / error("euler", 0.03125) < 4
    assert error("rk4", 0.03125) < 1e-4 < error("semi_implicit", 0.03125)


def test_rk4_asks_four_times_and_the_carry_moves_on_once(packed_gru):
    """Equal to four runs by hand from one and the same carry, of which the first one's is kept."""
    step = packed_gru
    state, action = torch.randn(3, 2), torch.randn(3, 1)
    carry = (torch.randn(3, *step.carry_shapes[0]),)

    def change(at):
        features = step.network_inputs(torch.cat([at, action], -1), None)
        outputs, after = step.network(*features, *carry)
        acceleration = outputs * step.output_std + step.output_mean
        return 0.05 * torch.cat([at[:, 1:], acceleration], -1), after

    k1, wanted_carry = change(state)
    k2, _ = change(state + k1 / 2)
    k3, _ = change(state + k2 / 2)
    k4, _ = change(state + k3)
    result, found_carry = step(state, action, *carry)
    expected = step.wrap(state + (k1 + 2 * k2 + 2 * k3 + k4) / 6)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found_carry, wanted_carry, rtol=0, atol=0)


@pytest.fixture
def packed_gru():
    from kinemill.models.gru import GRU
    from kinemill.train.step import make_step

    torch.manual_seed(2)
    layout = make_layout(Task.model_validate(PENDULUM), ALPHA, "rk4", 3)
    scale = scale_of(layout) | {"output_std": torch.tensor([3.0])}
    return make_step(GRU(hidden_size=8), layout, scale).eval()


def test_a_physical_network_sees_and_gives_task_units_unscaled():
    inputs = {}

    def formula(state, action):
        inputs["state"], inputs["action"] = state, action
        return torch.full_like(action, 8.0)

    layout = make_layout(Task.model_validate(PENDULUM), ALPHA, "euler", 1)
    scale = scale_of(layout) | {
        "output_std": torch.tensor([55.0]),
        "feature_mean": torch.full((layout.features,), 3.0),
    }
    step = Step(layout, Formula(formula), scale).double()
    (after,) = step(tensor([0.5, 1.0]), tensor([2.0]))
    assert inputs["state"].tolist() == [[0.5, 1.0]]
    assert inputs["action"].tolist() == [[2.0]]
    assert after[0].tolist() == pytest.approx([0.55, 1.4], abs=1e-6)


def test_a_layout_is_kept_in_a_file_whole():
    layout = layout_of(Task.model_validate(MIXED))
    layout = replace(layout, window="sliding", output_channels=("force",))
    again = type(layout).from_json(layout.to_json())
    assert again.to_json() == layout.to_json()
    np.testing.assert_array_equal(again.drift, layout.drift)
    assert again.encodings == layout.encodings
    assert again.output_channels == ("force",)


TASK = """\
task: cart
dt: 0.01
channels:
  position: {role: state, unit: m}
  velocity: {role: state, unit: m/s}
  copy:     {role: state, unit: m}
  force:    {role: action, unit: N}
learn:
  type: dynamics
  model: {type: mlp}
  integrator: semi_implicit
  relations:
    position: {relation: derivative, parent: velocity}
    copy: {relation: equal, parent: position}
  outputs:
    acceleration: {relation: derivative, of: velocity}
"""
WRONG = [
    ("parent: position", "parent: positon", r"cart.yaml:14: .*did you mean 'position'\?"),
    ("    copy:", "    cpy:", r"cart.yaml:14: .*no state 'cpy'; did you mean 'copy'\?"),
    ("derivative, parent: velocity", "delta, parent: copy", r"cart.yaml:13: .*from itself"),
    ("parent: velocity", "parent: position", r"cart.yaml:13: .*from itself"),
    ("derivative, parent: velocity", "derivative, parent: copy", r"cart.yaml:13: .*from itself"),
    ("equal, parent: position", "equal, parent: velocity", r"cart.yaml:14: .*m/s, not in m"),
    ("equal, parent: position", "derivative, parent: position", r"cart.yaml:14: .*m is not m per"),
    ("of: velocity", "of: velocty", r"cart.yaml:16: .*did you mean 'velocity'\?"),
    ("of: velocity", "of: position", r"cart.yaml:13: .*given by the output 'acceleration'"),
    ("    copy: {relation: equal, parent: position}\n", "", r":14: .*nothing predicts 'copy'"),
    ("semi_implicit", "rk4", r"cart.yaml:14: .*is equal; rk4 needs derivatives"),
    ("semi_implicit", "heun", r"cart.yaml:11: .*'rk4'"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, message):
    assert old in TASK
    with pytest.raises(TaskError, match=message):
        load_task_in(tmp_path, TASK.replace(old, new, 1))


def test_rk4_of_the_usual_deltas_is_refused(tmp_path):
    text = TASK[: TASK.index("  relations:")].replace("semi_implicit", "rk4")
    with pytest.raises(TaskError, match=r"cart.yaml:11: .*delta is predicted; rk4 needs"):
        load_task_in(tmp_path, text)
