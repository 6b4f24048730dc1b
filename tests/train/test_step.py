import math
from dataclasses import replace

import pytest
import torch

from kinemill.task import MODELS
from kinemill.train.layout import layout_of, make_layout
from kinemill.train.scaling import scale_of
from kinemill.train.step import Step, make_step
from tests.models.options import LEARN, LEAST
from tests.train.conftest import pendulum_task

H, T, B = 3, 5, 4


def step_of(packed, model="mlp", outputs=None, integrator="semi_implicit") -> Step:
    torch.manual_seed(0)
    settings = MODELS[model].model_validate({"type": model, **LEAST.get(model, {})})
    task = pendulum_task(**LEARN.get(model, {"outputs": outputs or {}}), integrator=integrator)
    layout = layout_of(task)  # history 3
    return make_step(settings, layout, scale_of(packed, layout)).eval()


class Constant(torch.nn.Module):
    """A network whose scaled outputs are given."""

    carry_shapes = ((H - 1, 4),)

    def __init__(self, outputs):
        super().__init__()
        self.outputs = torch.tensor(outputs)

    def warm_up(self, features):
        return (features,)

    def forward(self, features, window):
        return self.outputs.expand(len(features), -1), window


def test_an_angle_moves_by_addition_and_wraps_at_pi(packed):
    """3.1 rad + 0.2 rad is 3.3 rad, which is 3.3 - 2π."""
    step = step_of(packed)
    step.network = Constant([0.2 / float(packed.delta_std[0]), 0.0])
    after, _ = step(torch.tensor([[3.1, 0.0]]), torch.zeros(1, 1), torch.zeros(1, H - 1, 4))
    assert after[0].tolist() == pytest.approx([3.3 - 2 * math.pi, 0.0], abs=1e-6)


@pytest.mark.parametrize("model", list(MODELS))
def test_a_turn_of_the_angle_changes_nothing(packed, model):
    step = step_of(packed, model)
    states, past, actions = torch.randn(B, H, 2), torch.randn(B, H - 1, 1), torch.randn(B, T, 1)
    turned = states + torch.tensor([2 * math.pi, 0.0])
    result, expected = step.rollout(turned, past, actions), step.rollout(states, past, actions)
    difference = step.wrap(result - expected)
    assert difference.abs().max() < 1e-4  # cos and sin of a float32 angle one turn further


@pytest.mark.parametrize("model", list(MODELS))
def test_a_rollout_is_the_step_fed_with_its_own_output(packed, model):
    step = step_of(packed, model)
    states, past, actions = torch.randn(B, H, 2), torch.randn(B, H - 1, 1), torch.randn(B, T, 1)
    carry = step.initial_carry(B)
    for k in range(H - 1):
        _, *rest = step(states[:, k], past[:, k], *carry)
        carry = tuple(rest)
    state, rows = states[:, -1], []
    for k in range(T):
        state, *rest = step(state, actions[:, k], *carry)
        carry = tuple(rest)
        rows.append(state)
    torch.testing.assert_close(
        step.rollout(states, past, actions), torch.stack(rows, 1), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("model", list(MODELS))
@pytest.mark.parametrize("where", ["states", "past_actions", "actions"])
def test_nan_anywhere_spoils_its_own_row_alone(packed, model, where):
    step = step_of(packed, model)
    inputs = {
        "states": torch.randn(B, H, 2),
        "past_actions": torch.randn(B, H - 1, 1),
        "actions": torch.randn(B, T, 1),
    }
    # Equations of motion look at no older state; the exported files guard those too.
    inputs[where][1, -1 if model == "rigid_body" and where == "states" else 0, 0] = torch.nan
    rolled = step.rollout(*inputs.values())
    assert torch.isnan(rolled[1]).all()
    assert torch.isfinite(rolled[[0, 2, 3]]).all()


def test_a_channel_that_never_moves_in_training_scales_by_one(packed):
    still = replace(packed, std=packed.std * [1, 1, 0])
    layout = make_layout(pendulum_task(), {}, "euler", H)
    assert scale_of(still, layout)["feature_std"].tolist()[-1] == 1.0
