"""Recurrent cells against the cells of torch."""

import pytest
import torch
from torch import nn

from kinemill.models.gru import GRU
from kinemill.models.lstm import LSTM
from kinemill.models.rnn import RNN

LAYERS = 2
PAIRS = [(GRU, nn.GRU), (LSTM, nn.LSTM), (RNN, nn.RNN)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("ours", "torchs"), PAIRS)
def test_with_the_same_weights_and_sequence_the_carry_is_the_same(ours, torchs, bias):
    torch.manual_seed(1)
    network = ours(hidden_size=7, layers=LAYERS, bias=bias).build(inputs=3, outputs=2, history=6)
    reference = torchs(3, 7, num_layers=LAYERS, bias=bias, batch_first=True)
    with torch.no_grad():
        for layer in range(LAYERS):
            for end, own in (("ih", network.from_input), ("hh", network.from_hidden)):
                reference.get_parameter(f"weight_{end}_l{layer}").copy_(own[layer].weight)
                if bias:
                    reference.get_parameter(f"bias_{end}_l{layer}").copy_(own[layer].bias)
    features = torch.randn(4, 5, 3)
    _, expected = reference(features)
    target = expected if isinstance(expected, tuple) else (expected,)
    for result, part in zip(network.warm_up(features), target, strict=True):
        torch.testing.assert_close(result, part.transpose(0, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("ours", "torchs"), PAIRS)
def test_what_goes_up_is_normalized_and_what_is_carried_is_not(ours, torchs):
    """Two layers of torch, with `torch.nn.LayerNorm` after each, are the reference."""
    torch.manual_seed(2)
    network = ours(hidden_size=7, layers=2, layer_norm=True).build(inputs=3, outputs=2, history=6)
    below, expected = torch.randn(4, 5, 3), []
    features, norm = below, nn.LayerNorm(7)
    for layer, size in enumerate((3, 7)):
        reference = torchs(size, 7, batch_first=True)
        with torch.no_grad():
            for end, own in (("ih", network.from_input), ("hh", network.from_hidden)):
                for kind in ("weight", "bias"):
                    value = getattr(own[layer], kind)
                    reference.get_parameter(f"{kind}_{end}_l0").copy_(value)
        below, last = reference(below)
        expected.append(last[0] if isinstance(last, tuple) else last)
        below = norm(below)
    result = network.warm_up(features[:, :-1])
    outputs, hidden, *_ = network(features[:, -1], *result)
    target = torch.cat([part.transpose(0, 1) for part in expected], 1)
    torch.testing.assert_close(hidden, target, rtol=0, atol=1e-6)
    head = network.head(torch.cat([below[:, -1], features[:, -1]], 1))
    torch.testing.assert_close(outputs, head, rtol=0, atol=1e-6)
