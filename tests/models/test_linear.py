"""The linear model in closed form, and the network on its residual."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from kinemill.errors import BadInput
from kinemill.models.linear import Linear
from kinemill.train.layout import make_layout
from tests.conftest import learning_task

INPUTS, OUTPUTS, HISTORY = 3, 2, 4


def batches(weight, bias, count=5, rows=200):
    """Yield batches of random features (N, H, F) and their images under a linear map."""
    for seed in range(count):
        features = torch.randn(rows, HISTORY, INPUTS, generator=torch.Generator().manual_seed(seed))
        yield features, features.flatten(1) @ weight.T + bias


@pytest.fixture
def truth():
    torch.manual_seed(5)
    return torch.randn(OUTPUTS, HISTORY * INPUTS), torch.randn(OUTPUTS)


@pytest.mark.parametrize("residual", [None, {"type": "mlp"}, {"type": "lstm"}])
def test_it_starts_as_the_least_squares_solution_whatever_learns_the_rest(truth, residual):
    network = Linear(ridge=0.0, residual=residual).build(INPUTS, OUTPUTS, HISTORY)
    with torch.no_grad():
        network.fit(batches(*truth))
    features, expected = next(batches(*truth))
    result, *_ = network(features[:, -1], *network.warm_up(features[:, :-1]))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


def test_the_ridge_keeps_weights_of_repeated_columns_small(truth):
    """The same column twice: without a penalty only the sum of its weights is determined."""

    def doubled():
        for features, expected in batches(*truth):
            features[..., 1] = features[..., 0] + 1e-6 * features[..., 1]
            yield features, expected

    largest = []
    for ridge in (0.0, 1e-4):
        network = Linear(ridge=ridge).build(INPUTS, OUTPUTS, HISTORY)
        with torch.no_grad():
            network.fit(doubled())
        largest.append(network.head.weight.abs().max().item())
    assert largest[1] < 10 < largest[0]


def test_the_residual_learns_what_is_not_linear(truth):
    network = Linear(residual={"type": "mlp", "hidden_sizes": [32]}).build(INPUTS, OUTPUTS, HISTORY)
    features, expected = next(batches(*truth))
    expected = expected + torch.sin(2 * features[:, -1, :1])
    with torch.no_grad():
        network.fit([(features, expected)])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        result, *_ = network(features[:, -1], *network.warm_up(features[:, :-1]))
        loss = (result - expected).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_a_linear_model_on_a_linear_model_is_refused():
    with pytest.raises(ValidationError, match="residual of a linear model"):
        Linear(residual={"type": "linear"})


def test_local_joints_see_themselves_and_their_own_command():
    """Two joints that follow their commands; noise of the other joint gets no weight."""
    channels = {
        name: {"role": role, "unit": "rad"}
        for role, names in {"state": ("a", "b"), "action": ("a_goal", "b_goal")}.items()
        for name in names
    }
    layout = make_layout(learning_task("arm", 0.1, channels), {}, "semi_implicit", 2)
    network = Linear(local=True, ridge=0.0).build_for(layout, {})
    features = torch.randn(300, 2, 4, generator=torch.Generator().manual_seed(0))
    own = features[:, -1, 2:] - 0.5 * features[:, 0, :2]  # commands now, places before
    with torch.no_grad():
        network.fit([(features, own + features[:, -1, [1, 0]])])  # and what nobody may use
        effective = (network.head.weight * network.head.mask).unflatten(1, (2, 4)).flip(1)
    assert torch.count_nonzero(effective[0, :, [1, 3]]) == 0
    assert torch.count_nonzero(effective[1, :, [0, 2]]) == 0
    assert effective[0, 1, 2].item() == pytest.approx(1.0, abs=0.2)  # the rest is noise of size 1
    assert effective[0, 0, 0].item() == pytest.approx(-0.5, abs=0.2)
    with pytest.raises(BadInput, match="part of another model"):
        Linear(local=True).build(4, 2, 2)


def driven(ridge):
    """Return a policy's network for two arms of two joints, sizes and synthetic rows."""
    joints = ("left_a", "left_b", "right_a", "right_b")
    goals = tuple(f"{name}_goal" for name in joints)
    layout = SimpleNamespace(observation=joints + goals, actions=goals)
    model = Linear(local=True, groups=["left_*", "right_*"], ridge=ridge)
    random = torch.Generator().manual_seed(0)
    return model.build_acting(layout, (8, 4, 3)), torch.randn(400, 3, 8, generator=random)


def test_an_action_sees_how_others_of_its_group_change_and_not_where_they_are():
    """Exact without ridge; a large ridge removes the weights of other joints only."""
    network, features = driven(0.0)
    change = features[:, -1] - features[:, -2]
    expected = 0.7 * features[:, -1, 4:] + 0.3 * change[:, [5, 4, 7, 6]]
    with torch.no_grad():
        network.fit([(features, expected)])
    result, *_ = network(features[:, -1], *network.warm_up(features[:, :-1]))
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0.0)
    moved = features.clone()
    moved[:, :, [1, 5]] += 10.0  # the other joint and its goal, all along
    other_folder, *_ = network(moved[:, -1], *network.warm_up(moved[:, :-1]))
    torch.testing.assert_close(other_folder[:, 0], expected[:, 0], atol=1e-3, rtol=0.0)
    weight = (network.head.weight * network.head.mask).unflatten(1, (3, 8))
    assert torch.count_nonzero(weight[0, :, [2, 3, 6, 7]]) == 0

    firm, _ = driven(1e6)
    with torch.no_grad():
        firm.fit([(features, expected)])
    weight = firm.head.weight.detach().unflatten(1, (3, 8)).flip(1)
    assert weight[0, :, [1, 5]].abs().max() < 1e-5
    assert weight[0, -1, 4].item() == pytest.approx(0.7, abs=0.1)  # beside noise of 0.3


def test_a_policy_of_local_joints_sees_numbers_alone():
    layout = SimpleNamespace(observation=("a", "a_goal"), actions=("a_goal",))
    with pytest.raises(BadInput, match="leave out angles"):
        Linear(local=True).build_acting(layout, (66, 1, 2))
