import pytest
import torch
from torch import nn

from kinemill.models.mlp import MLP
from kinemill.models.networks.layers import activation


def test_with_every_option_it_is_what_torch_makes_of_the_same_layers():
    """`torch.nn.Sequential` of Linear, LayerNorm and activation is the reference."""
    settings = MLP(hidden_sizes=[7, 6], activation="gelu", layer_norm=True, dropout=0.4, bias=False)
    network = settings.build(inputs=2, outputs=3, history=2).eval()
    shapes = [(4, 7), (7, 6), (6, 3)]
    linear = [nn.Linear(*shape, bias=False) for shape in shapes]
    own = [*network.layers, network.head]
    for reference, layer in zip(linear, own, strict=True):
        reference.load_state_dict(layer.state_dict())
    norms = [nn.LayerNorm(size, bias=False) for size in (7, 6)]
    reference = nn.Sequential(
        linear[0], norms[0], nn.GELU(), linear[1], norms[1], nn.GELU(), linear[2]
    )
    rows = torch.randn(5, 2, 2)
    result, _ = network(rows[:, 1], rows[:, 0])
    torch.testing.assert_close(result, reference(rows.flatten(1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("relu", nn.ReLU()),
        ("leaky_relu", nn.LeakyReLU()),
        ("gelu", nn.GELU()),
        ("sigmoid", nn.Sigmoid()),
        ("tanh", nn.Tanh()),
        ("silu", nn.SiLU()),
        ("elu", nn.ELU()),
    ],
)
def test_activations_are_those_of_torch_and_keep_nan(name, reference):
    x = torch.tensor([-30.0, -1.5, 0.0, 2e-3, 4.0, 50.0, torch.nan])
    result = activation(name)(x)
    torch.testing.assert_close(result, reference(x), rtol=0, atol=1e-6, equal_nan=True)
    assert torch.isnan(result[-1])
