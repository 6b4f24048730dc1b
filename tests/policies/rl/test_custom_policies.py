"""A model and a policy class of another package, in a task that learns by reinforcement."""

import sys

import numpy as np
import pytest
import torch

from kinemill.export import stage as export
from kinemill.policies.environments.card import make_card
from kinemill.runtime import load
from kinemill.task.plugins import MODELS
from kinemill.task.protocols import NullReporter
from kinemill.task.reinforcement import ALGORITHMS
from kinemill.train import load_model
from kinemill.train import stage as train
from tests.policies.rl.test_training_loop import POINT, rl_task, site_of

SHOP = '''
from typing import Literal

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from kinemill.task.plugins import MODELS, Model
from kinemill.task.reinforcement import ALGORITHMS
from kinemill.policies.rl.algorithms.ppo import PPO


class Waves(nn.Module):
    carry_shapes = ()

    def __init__(self, inputs, outputs, waves):
        super().__init__()
        self.inner, self.outer = nn.Linear(inputs, waves), nn.Linear(waves, outputs)

    def forward(self, features, *carry):
        return self.outer(torch.sin(self.inner(features))), *carry


@MODELS.register("sines")
class Sines(Model):
    """Sums of sines, of an activation that the library has not heard of."""

    type: Literal["sines"] = "sines"
    waves: int = 5
    activation: str = "sine"

    def build(self, inputs, outputs, history):
        return Waves(inputs, outputs, self.waves)


class FromRest(ActorCriticPolicy):
    """A policy of the library's kind that does nothing before it has learned something."""

    def _build(self, lr_schedule):
        super()._build(lr_schedule)
        with torch.no_grad():
            self.action_net.weight.zero_()
            self.action_net.bias.fill_(0.25)


@ALGORITHMS.register("resting_ppo")
class RestingPPO(PPO):
    type: Literal["resting_ppo"] = "resting_ppo"

    def policy_class(self, site, policy):
        return FromRest
'''
LEARN = {"model": {"type": "sines", "waves": 7}, "steps": 64}
RESTING = {"type": "resting_ppo", "n_steps": 16, "n_epochs": 1}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The folder of a package that is there as long as the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "waveshop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("waveshop", None)
    for family, name in ((MODELS, "sines"), (ALGORITHMS, "resting_ppo")):
        family._loaded.pop(name, None)


@pytest.mark.parametrize("algorithm", ["sac", RESTING], ids=["sac", "its own"])
def test_its_model_learns_and_acts_from_its_file_as_in_the_library(shop, home, algorithm):
    import waveshop  # noqa: F401  enters what it brings

    task, silent = rl_task(POINT, algorithm, **LEARN), (NullReporter(), NullReporter())
    card = make_card(task, home)
    trained = train.run(task, home, card.ref, card.ref, silent)
    policy = load_model(home.root / trained.ref.path)
    learner = task.learn.algorithm.learner(site_of(task))
    learner.start(policy.restart.named())
    observations = np.random.default_rng(0).normal(0.0, 1.0, (5, 2)).astype(np.float32)
    expected = learner.model.predict(observations, deterministic=True)[0]
    assert policy(torch.from_numpy(observations))[0].detach().numpy() == pytest.approx(
        expected, abs=1e-5
    )
    assert policy.core.extractor.network.inner.out_features == 7
    file = load(home.root / export.run(task, home, trained.ref, card.ref).ref.path)
    actual = np.stack([file.act(observation) for observation in observations])
    assert actual == pytest.approx(expected, abs=1e-5)


def test_its_policy_class_is_what_the_library_builds(shop):
    import waveshop

    task = rl_task(POINT, RESTING, **LEARN)
    learner = task.learn.algorithm.learner(site_of(task))
    assert type(learner.model.policy) is waveshop.FromRest
    observations = np.random.default_rng(0).normal(0.0, 1.0, (5, 2)).astype(np.float32)
    assert learner.model.predict(observations, deterministic=True)[0] == pytest.approx(0.25)
    with torch.no_grad():
        head = learner.core()(torch.from_numpy(observations))[0]
    assert head.numpy() == pytest.approx(0.25)
