"""V-trace by its definition, and actors that lag behind their learner."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from stable_baselines3.common.buffers import RolloutBuffer

from kinemill.errors import BadInput, ProcessLost
from kinemill.rl.learner_context import copy_factory
from kinemill.rl.sync_vec_env import Copies
from kinemill.rl.vec_env import CopiesEnv, LocalWorker
from kinemill.rl.vtrace import TraceSettings, v_trace
from kinemill.train.checkpoint import pack_tensors
from tests.rl.test_training_loop import CART, POINT, rl_task, site_of

GAMMA = 0.9


def trajectories(ratio=0.7, seed=0):
    """Random steps of 4 environments: log ratios, rewards, values, next values, ends."""
    random = np.random.default_rng(seed)
    shape = (9, 4)
    values = random.normal(size=(10, 4))
    dones = random.random(shape) < 0.25
    ended = np.where(random.random(shape) < 0.5, 0.0, random.normal(size=shape))  # or cut off
    following = np.where(dones, ended, values[1:])
    parts = random.normal(0.0, ratio, shape), random.normal(size=shape), values[:-1], following
    return [torch.from_numpy(one) for one in (*parts, dones)]


def by_definition(parts, settings):
    """Eq. (1) of Espeholt et al. (2018) as sums of products, in float64."""
    ratios, rewards, values, following, dones = (one.numpy() for one in parts)
    ratios = np.exp(ratios)
    rho, c = np.minimum(settings.rho_bar, ratios), np.minimum(settings.c_bar, ratios)
    targets, advantages = values.copy(), np.zeros_like(values)
    steps, rows = rewards.shape
    for row in range(rows):
        for start in range(steps):
            weight = 1.0
            for step in range(start, steps):
                delta = rewards[step, row] + GAMMA * following[step, row] - values[step, row]
                targets[start, row] += weight * rho[step, row] * delta
                weight *= GAMMA * settings.trace_lambda * c[step, row]
                if dones[step, row]:
                    break
        for step in range(steps):
            is_last = dones[step, row] or step == steps - 1
            after = following[step, row] if is_last else targets[step + 1, row]
            delta = rewards[step, row] + GAMMA * after - values[step, row]
            advantages[step, row] = rho[step, row] * delta
    return targets, advantages


@pytest.mark.parametrize(
    "settings",
    [TraceSettings(GAMMA), TraceSettings(GAMMA, 1.5, 0.8), TraceSettings(GAMMA, 2.0, 1.0, 0.6)],
)
def test_v_trace_is_its_definition(settings):
    parts = trajectories()
    targets, advantages = by_definition(parts, settings)
    actual = v_trace(*parts, settings)
    assert actual.values.numpy() == pytest.approx(targets, abs=1e-12)
    assert actual.advantages.numpy() == pytest.approx(advantages, abs=1e-12)


def test_on_policy_v_trace_gives_the_returns_of_generalized_advantage_estimation():
    """With equal policies and lambda 1: stable-baselines3's returns, rewards with what is cut."""
    _, rewards, values, following, dones = trajectories()
    actual = v_trace(
        torch.zeros_like(rewards), rewards, values, following, dones, TraceSettings(GAMMA)
    )
    buffer = RolloutBuffer(9, Box(-1, 1, (1,)), Discrete(2), "cpu", 1.0, GAMMA, 4)
    starts = np.concatenate([np.zeros((1, 4), bool), dones[:-1].numpy()])
    for step in range(9):
        bootstrapped = rewards[step] + GAMMA * torch.where(dones[step], following[step], 0.0)
        buffer.add(
            np.zeros((4, 1)), np.zeros((4, 1)), bootstrapped.numpy(), starts[step],
            values[step], torch.zeros(4),
        )  # fmt: skip
    buffer.compute_returns_and_advantage(following[-1], dones[-1].numpy())
    assert actual.values.numpy() == pytest.approx(buffer.returns, abs=1e-5)
    assert actual.advantages.numpy() == pytest.approx(buffer.advantages, abs=1e-5)


def impala(runner="in_process", spec=POINT, **settings):
    algorithm = {"type": "impala", "n_steps": 8, **settings}
    return rl_task(spec, algorithm, num_envs=4, runner=runner)


def learned(task, steps=320, seed=1):
    site = site_of(task)
    learner = task.learn.algorithm.learner(site)
    values = learner.advance(steps, seed)
    weights = learner.restart_weights()
    site.environment.close()
    return values, weights


SPACES = {"type": "python", "path": "tests.environments.spaces:Nested"}
PIXELS = {**SPACES, "path": "tests.environments.spaces:Pixels", "wrappers": ["frame_stack"]}


@pytest.mark.filterwarnings("ignore:.*text")
@pytest.mark.parametrize("spec", [POINT, CART, SPACES, PIXELS])
def test_a_rollout_has_the_likelihoods_of_the_learner(spec):
    """Numbers, choices, both in one action, and images: without a lag each ratio is 1."""
    learner = impala(spec=spec).learn.algorithm.learner(site_of(impala(spec=spec)))
    learner.advance(32, 1)
    (rollout,) = learner.model._collect()
    rows, actions = (
        torch.tensor(one).flatten(0, 1) for one in (rollout.rows[:-1], rollout.actions)
    )
    single = actions[:, 0] if spec == CART else actions
    _, log_probs, _ = learner.model.policy.evaluate_actions(rows, single)
    behavior = torch.tensor(rollout.log_probs).flatten()
    assert log_probs.detach().numpy() == pytest.approx(behavior.numpy(), abs=1e-4)


def test_copies_in_this_process_do_not_lag():
    values, _ = learned(impala())
    assert (values["policy_lag"], values["policy_lag_max"]) == (0.0, 0.0)
    assert values["clipped_ratio"] < 0.6


class Concurrent(LocalWorker):
    """A worker that counts as concurrent, and dies on request: in a call, or before the next."""

    concurrent = True

    def __init__(self, make):
        super().__init__(Copies(make, 2))
        self._make, self.is_dead, self.is_unreachable, self.failing_restarts = make, False, False, 0

    def begin(self, name, *args):
        if self.is_unreachable:
            raise ProcessLost("worker", "has ended")
        super().begin(name, *args)

    def result(self):
        if self.is_dead:
            raise ProcessLost("worker", "has ended")
        return super().result()

    def restart(self):
        self.failing_restarts -= 1
        self.is_dead, self.is_unreachable = False, self.failing_restarts >= 0
        self._copies = Copies(self._make, 2)


def with_workers(task):
    """Return a learner with two concurrent workers, and the workers."""
    site = site_of(task)
    make = copy_factory(task, [])
    workers = [Concurrent(make), Concurrent(make)]
    learner = task.learn.algorithm.learner(replace(site, environment=CopiesEnv(workers, [2, 2])))
    return learner, workers


@pytest.mark.parametrize("order", ["fixed", "arrival"])
def test_workers_beside_the_learner_act_with_the_policy_before_the_last_update(order):
    learner, _ = with_workers(impala(order=order))
    values = learner.advance(320, 1)
    assert values["policy_lag_max"] == 1.0
    assert values["policy_lag"] == pytest.approx(0.9)  # of ten updates the first has no lag
    again, _ = with_workers(impala(order=order))
    again.advance(320, 1)
    assert pack_tensors(learner.state()[0]) == pack_tensors(again.state()[0])


def test_a_worker_that_died_is_replaced_with_new_episodes():
    learner, workers = with_workers(impala())
    learner.advance(64, 1)
    workers[1].is_dead = True
    assert learner.advance(320, None)["replaced_actors"] == 1.0
    for _ in range(2):
        workers[0].is_dead = True
        learner.advance(learner.step + 64, None)
    workers[0].is_dead = True
    with pytest.raises(ProcessLost, match="4 workers died in a round"):
        learner.advance(learner.step + 64, None)


@pytest.mark.parametrize("seed", [None, 2], ids=["in a round", "before a round"])
def test_a_worker_that_is_lost_before_a_call_is_replaced(seed):
    learner, workers = with_workers(impala())
    learner.advance(64, 1)
    workers[1].is_unreachable = True
    assert learner.advance(320, seed)["replaced_actors"] == 1.0
    assert np.isfinite(learner.model._latest[1]).all()


def test_a_replacement_that_dies_counts_and_is_replaced():
    learner, workers = with_workers(impala())
    learner.advance(64, 1)
    workers[0].is_unreachable, workers[0].failing_restarts = True, 2
    assert learner.advance(320, None)["replaced_actors"] == 3.0
    workers[0].is_unreachable, workers[0].failing_restarts = True, 3
    with pytest.raises(ProcessLost, match="4 workers died in a round"):
        learner.advance(640, 2)


@pytest.mark.slow
def test_processes_repeat_exactly_in_a_fixed_order():
    task = impala({"type": "processes", "workers": 2}, order="fixed")
    values, weights = learned(task)
    assert values["policy_lag_max"] == 1.0
    assert 0.5 < values["policy_lag"] <= 1.0
    _, again = learned(task)
    assert pack_tensors({"networks": weights}) == pack_tensors({"networks": again})


@pytest.mark.slow
def test_a_process_that_dies_is_replaced_and_too_many_end_the_training():
    task = impala({"type": "processes", "workers": 2})
    site = site_of(task)
    learner = task.learn.algorithm.learner(site)
    learner.advance(64, 1)
    os.kill(site.environment.workers[0].pid, 9)
    assert learner.advance(256, None)["replaced_actors"] == 1.0
    model = learner.model
    model._replaced = 3
    os.kill(site.environment.workers[1].pid, 9)
    with pytest.raises(ProcessLost, match="4 workers died in a round"):
        learner.advance(512, None)
    site.environment.close()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"arguments": {}, "steps": 3}, 5.0),  # cut off: 1 / (1 - 0.8)
        ({"arguments": {"ends": 3}}, 1.75),  # ended: the mean of 1, 1.8, 2.44
    ],
)
def test_the_critic_knows_what_is_cut_off_and_what_has_ended(environment, expected):
    where = {"type": "python", "path": "tests.environments.plants:Steady", **environment}
    algorithm = {"type": "impala", "gamma": 0.8, "n_steps": 12}
    task = rl_task(where, algorithm, optimizer={"type": "adam", "lr": 0.02}, num_envs=4)
    learner = task.learn.algorithm.learner(site_of(task))
    learner.advance(6_000, 3)
    value = learner.model.policy.predict_values(torch.ones(1, 1)).item()
    assert value == pytest.approx(expected, abs=0.25)


def test_choices_and_the_native_environment_are_learned():
    task = rl_task(
        CART,
        {"type": "impala", "gamma": 0.98},
        num_envs=8,
        runner="native",
        optimizer={"type": "adam", "lr": 5e-3},
        model={"type": "mlp", "hidden_sizes": [32]},
    )
    site = site_of(task)
    learner = task.learn.algorithm.learner(site)
    learner.advance(2_000, 1)
    first = np.mean([one["return"] for one in site.environment.drain()])
    learner.advance(24_000, None)
    last = [one["return"] for one in site.environment.drain()][-50:]
    assert first < 40.0  # random pushes return 22
    assert np.mean(last) > 80.0


def test_state_dependent_exploration_is_refused():
    task = impala(sde_sample_freq=4)
    site = site_of(task)
    with pytest.raises(BadInput, match="ppo or a2c"):
        task.learn.algorithm.learner(site)


@pytest.mark.slow
def test_ray_actors_act_beside_the_learner_and_are_replaced():
    ray = pytest.importorskip("ray")
    task = impala({"type": "ray", "workers": 2})
    site = site_of(task)
    learner = task.learn.algorithm.learner(site)
    values = learner.advance(320, 1)
    assert values["policy_lag_max"] >= 1.0
    ray.kill(site.environment.workers[0]._actor)
    assert learner.advance(640, None)["replaced_actors"] == 1.0
    groups, state = learner.state()
    other = task.learn.algorithm.learner(site)
    other.restore(groups, state)
    other.advance(960, 2)
    assert other.step >= 960
    site.environment.close()
