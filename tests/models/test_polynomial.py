import pytest
import torch

from kinemill.errors import BadInput
from kinemill.models.polynomial import Polynomial


def test_its_terms_are_the_window_and_every_product_of_the_newest_rows():
    network = Polynomial(degree=3, rows=1).build(inputs=2, outputs=1, history=2)
    with torch.no_grad():
        network.head.weight.copy_(torch.arange(1.0, network.head.in_features + 1)[None])
        network.head.bias.zero_()
    found, _ = network(torch.tensor([[2.0, 3.0]]), torch.tensor([[[5.0, 7.0]]]))
    a, b = 2.0, 3.0
    terms = [5.0, 7.0, a, b, a * a, a * b, b * b, a**3, a * a * b, a * b * b, b**3]
    assert network.head.in_features == len(terms)
    assert found.item() == pytest.approx(sum(k * term for k, term in enumerate(terms, start=1)))


def test_more_products_than_anybody_can_learn_are_refused():
    with pytest.raises(BadInput, match=r"monomials of 40 values; lower `degree` or `rows`"):
        Polynomial(degree=5, rows=4).build(inputs=10, outputs=1, history=10)
