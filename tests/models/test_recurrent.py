"""The recurrent cells compute what torch's own compute, which are the reference."""

import pytest
import torch
from torch import nn

from kinemill.models.gru import GRU
from kinemill.models.lstm import LSTM
from kinemill.models.rnn import RNN

LAYERS = 2


@pytest.mark.parametrize(("ours", "torchs"), [(GRU, nn.GRU), (LSTM, nn.LSTM), (RNN, nn.RNN)])
def test_with_the_same_weights_and_sequence_the_carry_is_the_same(ours, torchs):
    torch.manual_seed(1)
    network = ours(hidden_size=7, layers=LAYERS).build(inputs=3, outputs=2, history=6)
    reference = torchs(3, 7, num_layers=LAYERS, batch_first=True)
    with torch.no_grad():
        for layer in range(LAYERS):
            for end, own in (("ih", network.from_input), ("hh", network.from_hidden)):
                reference.get_parameter(f"weight_{end}_l{layer}").copy_(own[layer].weight)
                reference.get_parameter(f"bias_{end}_l{layer}").copy_(own[layer].bias)
    features = torch.randn(4, 5, 3)
    _, expected = reference(features)
    wanted = expected if isinstance(expected, tuple) else (expected,)
    for found, part in zip(network.warm_up(features), wanted, strict=True):
        torch.testing.assert_close(found, part.transpose(0, 1), rtol=0, atol=1e-6)
