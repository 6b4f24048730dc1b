import torch

from kinemill.models.lstm import LSTM


def test_the_unit_computes_what_torch_computes():
    """`torch.nn.LSTM` is the reference: same weights, same sequence, same hidden state and cell."""
    torch.manual_seed(1)
    ours = LSTM(hidden_size=7, layers=2).build(inputs=3, outputs=2, history=6)
    reference = torch.nn.LSTM(3, 7, num_layers=2, batch_first=True)
    with torch.no_grad():
        for layer in range(2):
            reference.get_parameter(f"weight_ih_l{layer}").copy_(ours.from_input[layer].weight)
            reference.get_parameter(f"bias_ih_l{layer}").copy_(ours.from_input[layer].bias)
            reference.get_parameter(f"weight_hh_l{layer}").copy_(ours.from_hidden[layer].weight)
            reference.get_parameter(f"bias_hh_l{layer}").copy_(ours.from_hidden[layer].bias)
    features = torch.randn(4, 5, 3)
    _, expected = reference(features)
    for found, wanted in zip(ours.warm_up(features), expected, strict=True):
        torch.testing.assert_close(found, wanted.transpose(0, 1), rtol=0, atol=1e-6)
