"""Normalization by the replay buffer: statistics, when they change, and what it cannot wrap."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import nn

from kinemill.errors import BadInput
from kinemill.rl.running_norm import RunningNorm, fold, norms_of
from tests.rl.test_training_loop import POINT, rl_task, settings_of, site_of


def norm_of(rows) -> RunningNorm:
    """Return a layer with the statistics of rows (N, E)."""
    norm = RunningNorm(Box(-np.inf, np.inf, (rows.shape[1],)))
    norm.update(rows, len(rows))
    return norm


def learner_of(name="sac", **learn):
    return (task := rl_task(POINT, {**settings_of(name), "running_norm": True}, **learn)), (
        task.learn.algorithm.learner(site_of(task))
    )


def test_outputs_have_mean_0_and_standard_deviation_1_in_any_unit():
    rows = np.random.default_rng(0).normal([0.3, 2000.0], [0.05, 400.0], (500, 2))
    outputs = norm_of(rows)(torch.from_numpy(rows.astype(np.float32))).numpy()
    assert outputs.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-3)
    assert outputs.std(axis=0) == pytest.approx([1.0, 1.0], abs=1e-3)


def test_a_constant_number_of_an_observation_becomes_zero():
    outputs = norm_of(np.full((10, 1), 3.0))(torch.full((1, 1), 3.0))
    assert outputs.item() == 0.0


def test_a_folded_layer_takes_observations_without_normalization():
    rows = np.random.default_rng(0).normal([5.0, -1.0], [0.1, 20.0], (100, 2))
    norm, layer, inputs = norm_of(rows), nn.Linear(2, 3), torch.tensor([[5.1, -30.0]])
    expected = layer(norm(inputs))
    fold(norm, [nn.ReLU(), layer])
    torch.testing.assert_close(layer(inputs), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["sac", "td3", "tqc"])
def test_actor_critics_and_targets_have_the_statistics_of_the_replay_buffer(name):
    _, learner = learner_of(name, num_envs=1)
    learner.advance(110, 0)
    norms, buffer = norms_of(learner.model.policy), learner.model.replay_buffer
    assert len(norms) == {"sac": 3, "tqc": 3, "td3": 4}[name]
    rows = buffer.observations[: int(norms[0].steps), 0]
    assert 105 <= len(rows) <= 110
    for norm in norms:
        assert norm.mean.numpy() == pytest.approx(rows.mean(axis=0), abs=1e-5)
        assert norm.std.numpy() == pytest.approx(np.maximum(rows.std(axis=0), 1e-4), rel=1e-3)


def test_a_warm_start_keeps_its_statistics_until_the_new_buffer_has_more_steps():
    task, learner = learner_of(num_envs=1)
    learner.advance(150, 0)
    other = task.learn.algorithm.learner(site_of(task))
    other.start(learner.restart_weights())
    other.advance(140, 1)
    assert torch.equal(norms_of(other.model.policy)[0].std, norms_of(learner.model.policy)[0].std)
    other.advance(170, 1)
    assert int(norms_of(other.model.policy)[0].steps) > 150


def test_statistics_follow_a_full_replay_buffer():
    algorithm = {**settings_of("sac"), "running_norm": True, "buffer_size": 100}
    task = rl_task(POINT, algorithm, num_envs=1)
    learner = task.learn.algorithm.learner(site_of(task))
    learner.advance(120, 0)
    buffer, norm = learner.model.replay_buffer, norms_of(learner.model.policy)[0]
    assert buffer.full
    buffer.observations[:] = 7.0
    learner.advance(130, None)  # more than 5 % further steps, a tenth of the buffer
    assert norm.mean.tolist() == pytest.approx([6.5, 6.5], abs=0.5)


def test_other_networks_than_perceptrons_are_refused():
    with pytest.raises(BadInput, match="running_norm: needs plain perceptrons"):
        learner_of(model={"type": "mlp", "hidden_sizes": [8], "layer_norm": True})
