"""What every architecture must do, so that a new one is tested before its author writes a test."""

import pytest
import torch

from kinemill.spec import MODELS

INPUTS, OUTPUTS, HISTORY, BATCH = 5, 3, 4, 6


@pytest.fixture(params=list(MODELS))
def network(request):
    torch.manual_seed(0)
    return MODELS[request.param](type=request.param).build(INPUTS, OUTPUTS, HISTORY).eval()


def zeros(network, batch=BATCH):
    return tuple(torch.zeros(batch, *shape) for shape in network.carry_shapes)


def test_shapes_are_those_promised(network):
    outputs, *carry = network(torch.randn(BATCH, INPUTS), *zeros(network))
    assert outputs.shape == (BATCH, OUTPUTS)
    assert [tuple(part.shape[1:]) for part in carry] == list(network.carry_shapes)


def test_warming_up_at_once_equals_warming_up_step_by_step(network):
    features = torch.randn(BATCH, HISTORY - 1, INPUTS)
    carry = zeros(network)
    for row in features.unbind(1):
        _, *rest = network(row, *carry)
        carry = tuple(rest)
    for at_once, one_by_one in zip(network.warm_up(features), carry, strict=True):
        torch.testing.assert_close(at_once, one_by_one, rtol=0, atol=1e-6)


def test_the_history_matters(network):
    newest = torch.randn(1, INPUTS)
    one, other = (
        network(newest, *network.warm_up(torch.randn(1, HISTORY - 1, INPUTS)))[0] for _ in range(2)
    )
    assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("where", ["features", "history"])
def test_nan_in_one_row_reaches_all_outputs_of_that_row_and_no_other(network, where):
    features, past = torch.randn(BATCH, INPUTS), torch.randn(BATCH, HISTORY - 1, INPUTS)
    (features[2] if where == "features" else past[2, -1])[0] = torch.nan
    outputs, *_ = network(features, *network.warm_up(past))
    assert torch.isnan(outputs[2]).all()
    assert torch.isfinite(outputs[[0, 1, 3, 4, 5]]).all()


def test_rows_of_a_batch_do_not_see_each_other(network):
    features, past = torch.randn(BATCH, INPUTS), torch.randn(BATCH, HISTORY - 1, INPUTS)
    whole, *_ = network(features, *network.warm_up(past))
    alone, *_ = network(features[3:4], *network.warm_up(past[3:4]))
    torch.testing.assert_close(whole[3:4], alone, rtol=0, atol=1e-6)


def test_every_parameter_learns(network):
    past = network.warm_up(torch.randn(BATCH, HISTORY - 1, INPUTS))
    outputs, *_ = network(torch.randn(BATCH, INPUTS), *past)
    outputs.square().sum().backward()
    still = [name for name, value in network.named_parameters() if value.grad is None]
    assert still == []
