"""Ensembles: as many trainings in one program, and what their carry says about themselves."""

import pytest
import torch

from kinemill.task.plugins import MODELS
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.batches import MEMBER_STRIDE
from kinemill.train.loop import fit
from tests.models.options import LEAST
from tests.train.conftest import QUIET, pendulum_task, publish, ready

pytestmark = pytest.mark.ci


def trained(packed, folder, **learn):
    module, objective, learn = ready(packed, **learn)
    fit(module, objective, learn, folder, QUIET)
    return module


def data(packed, rows=6, horizon=7):
    """(B, 3, 2), (B, 2, 1), (B, T, 1) measured windows."""
    starts = torch.arange(rows) * 15
    index = starts.unsqueeze(1) + torch.arange(3 + horizon)
    window = torch.from_numpy(packed.values.copy())[index]
    return window[:, :3, :2], window[:, :2, 2:], window[:, 2:-1, 2:]


@pytest.mark.parametrize(
    "model", [{"type": "mlp", "hidden_sizes": [16]}, {"type": "gru", "hidden_size": 8}]
)
def test_a_member_is_what_a_training_of_its_own_seed_would_be(packed, tmp_path, model):
    """One batched program against three trainings: sums in another order, 60 steps apart."""
    whole = trained(packed, tmp_path / "e", ensemble=3, model=model)
    for index in range(3):
        alone = trained(packed, tmp_path / str(index), seed=MEMBER_STRIDE * index, model=model)
        for name, value in alone.named_parameters():
            stacked = whole.member.step.get_parameter(name)[index]
            torch.testing.assert_close(stacked, value, rtol=0, atol=2e-4, msg=name)


def test_members_of_the_same_training_differ(packed):
    module, *_ = ready(packed, ensemble=3)
    head = module.member.step.network.head.weight
    assert not torch.equal(head[0], head[1])
    assert not torch.equal(head[1], head[2])


@pytest.mark.parametrize("model", list(MODELS))
def test_a_rollout_is_the_mean_of_what_the_members_say_on_their_own(packed, model):
    """Angles by their short differences; each member runs on its own predictions alone."""
    outputs = {"alpha": {"relation": "derivative", "of": "velocity"}}
    settings = {"type": model, **LEAST.get(model, {})}
    module, *_ = ready(packed, ensemble=2, model=settings, outputs=outputs)
    module.eval()
    windows = data(packed)
    with torch.no_grad():
        result, offsets, _ = module.bundle(*windows)
        alone = [member.step.rollout(*windows) for member in module.apart().copies]
    for index, one in enumerate(alone):
        own = result + offsets[:, :, index]
        assert module.wrap(own - one).abs().max() < 2e-5  # float32, over 7 steps
    mean = alone[0] + module.wrap(alone[1] - alone[0]) / 2
    assert module.wrap(result - mean).abs().max() < 2e-5
    assert offsets.sum(2).abs().max() < 1e-5


def test_a_measured_state_brings_the_members_together(packed):
    module, *_ = ready(packed, ensemble=3)
    states, _, actions = data(packed)
    with torch.no_grad():
        first, *carry = module(states[:, 0], actions[:, 0], *module.initial_carry(6))
        moved = states[:, 1]
        after, *_ = module(moved, actions[:, 1], *carry)
        fresh = [part if i != module.offsets_index else 0 * part for i, part in enumerate(carry)]
        expected, *_ = module(moved, actions[:, 1], *fresh)
        going_on, *_ = module(first, actions[:, 1], *carry)
        bunched, *_ = module(first, actions[:, 1], *fresh)
    assert torch.equal(after, expected)
    assert not torch.equal(going_on, bunched)


def test_an_ensemble_is_loaded_as_it_was_published(home, packed):
    task = pendulum_task(ensemble=2, loss="gaussian", steps=20)
    ref = publish(home, packed)
    artifact = train.run(task, home, ref, ref, QUIET)
    step = load_model(home.root / artifact.ref.path)
    again = load_model(home.root / artifact.ref.path)
    windows = data(packed)
    with torch.no_grad():
        assert torch.equal(step.rollout(*windows), again.rollout(*windows))
    assert step.belief.members == 2
    assert len(step.belief.measured) == 2


@pytest.mark.parametrize("model", ["arx", "physics", "narx"])
def test_every_member_that_is_fitted_in_closed_form_is_exact(packed, model):
    """The pendulum is linear in their terms; a member with the scaling of another is off by 1 %."""
    alpha = {"outputs": {"alpha": {"relation": "derivative", "of": "velocity"}}}
    settings = {"ensemble": 3, "model": {"type": model, "ridge": 1e-12}}
    module, *_ = ready(packed, **settings, **(alpha if model == "physics" else {}))
    states, past, actions = data(packed)
    starts = torch.arange(6) * 15
    index = starts.unsqueeze(1) + torch.arange(3, 10)
    truth = torch.from_numpy(packed.values.copy())[index][..., :2]
    with torch.no_grad():
        mean, offsets, _ = module.bundle(states, past, actions)
    for member in range(3):
        missed = module.wrap(mean + offsets[:, :, member] - truth) / module.state_std
        assert missed.abs().max() < 1e-3
