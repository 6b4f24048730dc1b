import torch

from kinemill.models.mlp import MLP


def test_the_window_holds_the_last_rows_and_the_newest_comes_last():
    network = MLP(hidden_sizes=[4]).build(inputs=2, outputs=1, history=3)
    (window,) = network.warm_up(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    _, after = network(torch.tensor([[5.0, 6.0]]), window)
    assert after.tolist() == [[[3.0, 4.0], [5.0, 6.0]]]


def test_a_history_of_one_needs_no_window():
    network = MLP(hidden_sizes=[4]).build(inputs=2, outputs=1, history=1)
    outputs, after = network(torch.ones(5, 2), torch.zeros(5, 0, 2))
    assert (tuple(outputs.shape), tuple(after.shape)) == ((5, 1), (5, 0, 2))
