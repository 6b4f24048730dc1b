import pytest
import torch

from kinemill.errors import BadInput
from kinemill.models.polynomial import Polynomial


def test_its_terms_are_the_window_and_every_product_of_the_newest_rows():
    network = Polynomial(degree=3, rows=1).build(inputs=2, outputs=1, history=2)
    with torch.no_grad():
        network.head.weight.copy_(torch.arange(1.0, network.head.in_features + 1)[None])
        network.head.bias.zero_()
    result, _ = network(torch.tensor([[2.0, 3.0]]), torch.tensor([[[5.0, 7.0]]]))
    a, b = 2.0, 3.0
    terms = [a * a, a * b, b * b, a**3, a * a * b, a * b * b, b**3, a, b, 5.0, 7.0]
    assert network.head.in_features == len(terms)
    assert result.item() == pytest.approx(sum(k * term for k, term in enumerate(terms, start=1)))


def test_more_products_than_anybody_can_learn_are_refused():
    with pytest.raises(BadInput, match=r"monomials of 40 values.*lower `degree`"):
        Polynomial(degree=5, rows=4).build(inputs=10, outputs=1, history=10)


def test_it_starts_as_the_least_squares_solution_over_all_products():
    """The coefficients of a cubic are identified to float32 precision."""
    random = torch.Generator().manual_seed(0)
    features = torch.randn(500, 4, 2, generator=random)
    y, u = features[:, -1, 0], features[:, -1, 1]
    expected = (0.5 * features[:, 1, 0] + y - 0.3 * y**3 + 0.2 * y * u).unsqueeze(1)
    network = Polynomial(degree=3, rows=1, ridge=0.0).build(inputs=2, outputs=1, history=4)
    with torch.no_grad():
        network.fit([(features[:250], expected[:250]), (features[250:], expected[250:])])
        result, _ = network(features[:, -1], features[:, :-1])
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)
