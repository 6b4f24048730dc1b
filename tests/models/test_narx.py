"""Forward selection of terms: a system with three terms, and the bounds of the selection."""

import numpy as np
import pytest
import torch

from kinemill.errors import BadInput
from kinemill.models.narx import Narx
from kinemill.models.networks.narx import forward_selection
from kinemill.models.networks.narx_terms import MAX_CANDIDATES
from kinemill.task.portfolio import TaskFacts
from kinemill.train.layout import make_layout
from tests.conftest import learning_task


def layout_with(states, actions, history=3):
    channels = {f"y{k}": {"role": "state", "unit": "m"} for k in range(states)}
    channels |= {f"u{k}": {"role": "action", "unit": "N"} for k in range(actions)}
    return make_layout(learning_task("box", 0.1, channels), {}, "semi_implicit", history)


def network_of(states=1, actions=1, history=3, **settings):
    layout = layout_with(states, actions, history)
    scale = {"output_std": torch.ones(states).double()}
    return Narx(**settings).build_for(layout, scale)


def windows(rows=3000, history=3, seed=0):
    """Random windows, and -0.3 y + 0.5 u - 0.2 y³ + 0.3 u y[k-1] - 0.4 |y| of each."""
    random = torch.Generator().manual_seed(seed)
    states = torch.randn(rows, history, 1, generator=random)
    actions = torch.randn(rows, history, 1, generator=random)
    y, previous, u = states[:, -1], states[:, -2], actions[:, -1]
    targets = -0.3 * y + 0.5 * u - 0.2 * y**3 + 0.3 * u * previous - 0.4 * y.abs()
    return [(states, actions, torch.empty(rows, history, 0), targets)]


def test_it_finds_the_equation_and_nothing_else():
    """The error of other rows replaces that in free run; the smallest exact model is kept."""
    network, other = network_of(ridge=1e-12), windows(seed=1)

    def error():
        states, actions, features, targets = other[0]
        carry = network.warm_up(states[:, :-1], actions[:, :-1], features[:, :-1])
        result, *_ = network(states[:, -1], actions[:, -1], features[:, -1], *carry)
        return float((result - targets).square().mean().sqrt())

    with torch.no_grad():
        network.select(windows(), error)
        network.fit(windows())
        assert error() < 1e-4
    used = int((network.terms.factors.sum(1) > 0).sum())
    # Around the mean, the cube has a square, and the product with the row before is one with y and
    # one with the change: at most y³, y², |y|, u y and u (y - before), and products of u alone.
    assert 3 <= used <= 8


def test_the_order_is_that_of_the_error_reduction():
    """Three orthogonal columns with weights 1, 3 and 2; the fourth repeats the first."""
    columns = torch.linalg.qr(
        torch.randn(200, 5, generator=torch.Generator().manual_seed(0)).double()
    )
    basis = columns.Q - columns.Q.mean(0)
    library = torch.cat([basis[:, 1:4], basis[:, 1:2] * 7.0], dim=1)
    targets = library[:, :3] @ torch.tensor([[1.0], [3.0], [2.0]]).double()
    order = forward_selection(basis[:, :1], library.clone(), targets, 4)
    assert order[:2] == [1, 2]
    assert len(order) == 3
    assert order[2] in {0, 3}


def test_noise_is_not_selected():
    random = torch.Generator().manual_seed(0)
    linear = torch.randn(4000, 3, generator=random).double()
    library = torch.randn(4000, 50, generator=random).double()
    noise = torch.randn(4000, 2, generator=random).double()
    targets = linear @ torch.ones(3, 2).double() + 0.1 * noise
    assert len(forward_selection(linear, library, targets, 30)) <= 1


@pytest.mark.parametrize(("states", "actions"), [(1, 1), (4, 2), (12, 6), (60, 30)])
def test_the_candidates_of_many_channels_are_bounded(states, actions):
    network = network_of(states, actions, history=20)
    candidates = network.terms.candidates()
    assert len(candidates) <= MAX_CANDIDATES
    assert network.selection_rows * len(candidates) <= 8_000_000
    assert len({tuple(sorted(row)) for row in candidates.tolist()}) == len(candidates)
    rows = torch.randn(5, 20, states + actions)
    assert network.terms.values(rows).shape[1] == 1 + int(candidates.max())


def test_too_many_channels_are_refused():
    with pytest.raises(BadInput, match="300 channels"):
        network_of(200, 100)


def test_a_value_inside_the_dead_zone_counts_as_nothing():
    network = network_of(history=1)
    values = network.terms.values(torch.tensor([[[0.2, 2.0]]]))[0].tolist()
    outside = values[-4:]  # of y and u beyond 0.3, then beyond 1.0 standard deviations
    np.testing.assert_allclose(outside, [0.0, 1.7, 0.0, 1.0], atol=1e-6)


def test_levels_count_from_zero_unless_they_are_far_from_it():
    """A velocity with a mean of half a standard deviation, and a level with one of ten."""
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(4000, 1, 2, generator=random) + torch.tensor([0.5, 10.0])
    terms = network_of(history=1).terms
    with torch.no_grad():
        terms.scale_to(rows)
    assert terms.rest.tolist() == [0.0, pytest.approx(10.0, abs=0.1)]
    magnitudes = terms.values(torch.tensor([[[0.0, 10.0]]]))[0, 7:9]
    assert magnitudes.abs().max() < 0.1


def test_a_portfolio_tries_it_unless_there_are_many_channels():
    facts = TaskFacts(("y",), ("u",), frozenset(), (), {}, {}, longest=10, horizon=20, history=2)
    proposals = Narx.candidates(facts)
    assert [proposal.settings["history"] for proposal in proposals] == [2, 5, 10, 5, 10]
    assert [proposal.trains for proposal in proposals] == [False, False, False, True, True]
    joints = TaskFacts(tuple(f"y{k}" for k in range(30)), ("u",), frozenset(), (), {}, {}, 10, 20)
    assert not any(candidate.trains for candidate in Narx.candidates(joints))
    many = TaskFacts(tuple(f"y{k}" for k in range(61)), (), frozenset(), (), {}, {}, 10, 20)
    assert Narx.candidates(many) == []
