"""Contract of every architecture; new ones are tested automatically."""

import pytest
import torch

from kinemill.task import MODELS
from kinemill.train.layout import make_layout
from kinemill.train.relations import Output
from kinemill.train.step import SCALES
from tests.conftest import learning_task
from tests.dataset.packing import PENDULUM
from tests.models.options import LEAST, MORE, OPTIONS

HISTORY, BATCH = 4, 6
CASES = [(name, LEAST.get(name, {})) for name in MODELS] + list(OPTIONS.items()) + MORE
TASK = learning_task("pendulum", 0.02, PENDULUM)
ALPHA = {"alpha": Output(relation="derivative", of="velocity")}


def make_network(name, options):
    torch.manual_seed(0)
    layout = make_layout(TASK, ALPHA, "semi_implicit", HISTORY)
    sizes = (2, layout.features, layout.features, 1, 1)
    scale = {key: torch.ones(size).double() for key, size in zip(SCALES, sizes, strict=True)}
    settings = MODELS[name].model_validate({"type": name, **options})
    return settings.build_for(layout, scale), layout


@pytest.fixture(params=CASES, ids=[f"{name}-{len(options)}" for name, options in CASES])
def network(request):
    network, _ = make_network(*request.param)
    return network.eval()


def inputs(network, *leading):
    """Inputs of a network: features, and their values for physical models."""
    features = torch.randn(*leading, 4)
    if not getattr(network, "physical", False):
        return (features,)
    return torch.randn(*leading, 2), torch.randn(*leading, 1), features


def zeros(network, batch=BATCH):
    return tuple(torch.zeros(batch, *shape) for shape in network.carry_shapes)


def test_shapes_are_those_promised(network):
    outputs, *carry = network(*inputs(network, BATCH), *zeros(network))
    assert outputs.shape == (BATCH, 1)
    assert [tuple(part.shape[1:]) for part in carry] == [*map(tuple, network.carry_shapes)]


def test_warming_up_at_once_equals_warming_up_step_by_step(network):
    rows = inputs(network, BATCH, HISTORY - 1)
    carry = zeros(network)
    for row in zip(*(part.unbind(1) for part in rows), strict=True):
        _, *rest = network(*row, *carry)
        carry = tuple(rest)
    for at_once, one_by_one in zip(network.warm_up(*rows), carry, strict=True):
        torch.testing.assert_close(at_once, one_by_one, rtol=0, atol=1e-6)


def test_the_history_matters(network):
    if not network.carry_shapes:
        pytest.skip("it carries nothing")
    newest = inputs(network, 1)
    one, other = (
        network(*newest, *network.warm_up(*inputs(network, 1, HISTORY - 1)))[0] for _ in range(2)
    )
    assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("where", ["features", "history"])
def test_nan_in_one_row_reaches_all_outputs_of_that_row_and_no_other(network, where):
    present, past = inputs(network, BATCH), inputs(network, BATCH, HISTORY - 1)
    if where == "history" and not network.carry_shapes:
        pytest.skip("it carries nothing")
    for part in present if where == "features" else past:
        (part[2] if where == "features" else part[2, -1])[0] = torch.nan
    outputs, *_ = network(*present, *network.warm_up(*past))
    assert torch.isnan(outputs[2]).all()
    assert torch.isfinite(outputs[[0, 1, 3, 4, 5]]).all()


def test_every_parameter_learns(network):
    past = network.warm_up(*inputs(network, BATCH, HISTORY - 1))
    outputs, *_ = network(*inputs(network, BATCH), *past)
    outputs.square().sum().backward()
    still = [name for name, value in network.named_parameters() if value.grad is None]
    assert still == []


WITH = [(name, options) for name, options in OPTIONS.items() if "dropout" in options]


@pytest.mark.parametrize(("name", "options"), WITH, ids=[name for name, _ in WITH])
def test_drop_out_is_of_training_alone(name, options):
    network, _ = make_network(name, options)
    row, carry = torch.randn(BATCH, 4), zeros(network)
    one, other = network(row, *carry)[0], network(row, *carry)[0]
    assert not torch.equal(one, other)
    network.eval()
    assert torch.equal(network(row, *carry)[0], network(row, *carry)[0])


@pytest.mark.parametrize(("name", "options"), WITH, ids=[name for name, _ in WITH])
def test_without_bias_nothing_in_is_nothing_out(name, options):
    """Of maps without a constant term, and activations through the origin."""
    network, _ = make_network(name, options)
    outputs, *_ = network.eval()(torch.zeros(1, 4), *zeros(network, 1))
    own = "position" in dict(network.named_parameters())  # a Transformer's positions are constants
    assert (outputs.abs().max() > 0) == own
