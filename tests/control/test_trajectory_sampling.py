"""Trajectory sampling through an ensemble: members of particles, and the noise of each step."""

import copy

import numpy as np
import pytest
import torch

from kinemill.control import LearnedModel, make_planner, trajectory_sampling
from kinemill.errors import BadInput
from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.runtime import load
from kinemill.task import load_task
from kinemill.task.control import Uncertainty
from kinemill.train.ensemble import Ensemble
from kinemill.train.ensemble_member import Member, Noise
from tests.export.conftest import DESCRIPTION, random_step

NOW, NONE = np.array([[0.3, -1.0]]), np.zeros((0, 1))  # rad, rad/s
PLANS = np.random.default_rng(0).uniform(-1, 1, (3, 6, 1))


def two_steps():
    first = random_step("mlp", 1)
    second = copy.deepcopy(first)
    for value in second.parameters():
        value.data.mul_(0.5)
    return first, second


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a single model, an ensemble of it and another, and the ensemble with noise."""
    first, second = two_steps()
    torch.manual_seed(0)
    modules = {
        "first": first,
        "pair": Ensemble([Member(first, None), Member(second, None)]).eval(),
        "noisy": Ensemble([Member(item, Noise(4, 2, 2)) for item in (first, second)]).eval(),
    }
    made = {}
    for name, module in modules.items():
        made[name] = tmp_path_factory.mktemp(name)
        write_model(copy.deepcopy(module), describe(DESCRIPTION, module), made[name])
    return made


@torch.no_grad()
def advance(step, rows, actions):
    """Return states (B, 2) after those of `rows` under actions (B, 1, 1), in torch."""
    arguments = rows[:, None], np.zeros((len(rows), 0, 1)), actions
    tensors = [torch.tensor(part, dtype=torch.float32) for part in arguments]
    return step.rollout(*tensors)[:, 0].numpy()


def rollout(folder, **uncertainty):
    return LearnedModel(load(folder), Uncertainty(**uncertainty)).rollout(NOW, NONE, PLANS)


def test_ts_inf_with_little_noise_stays_near_the_rollout_of_the_members(folders):
    plain = rollout(folders["noisy"])
    sampled = rollout(folders["noisy"], sample_noise=True)
    assert sampled.shape == plain.shape == (2, 3, 6, 2)
    # A first log variance of -4 is a std of 0.135 spreads of the outputs, 0.007 rad and 0.04 rad/s.
    first = np.abs(sampled - plain)[:, :, 0].max(axis=(0, 1))
    assert (first > 0.0).all()
    assert (first < 5 * np.array([0.007, 0.041])).all()


def test_ts_1_moves_each_particle_by_a_member_and_uses_each_member_once(folders):
    particles = rollout(folders["pair"], propagation="ts_1")
    before, is_mixed, steps = np.broadcast_to(NOW[-1], (2, 3, 2)), False, two_steps()
    for k in range(PLANS.shape[1]):
        # (members, particles, B, S)
        moved = np.array(
            [[advance(item, rows, PLANS[:, [k]]) for rows in before] for item in steps]
        )
        for plan in range(3):
            straight = [moved[0, 0, plan], moved[1, 1, plan]]
            crossed = [moved[0, 1, plan], moved[1, 0, plan]]
            distances = [np.abs(particles[:, plan, k] - item).max() for item in (straight, crossed)]
            assert min(distances) < 1e-5
            is_mixed |= k > 0 and distances[1] < 1e-5 < distances[0]
        before = particles[:, :, k]
    assert is_mixed


def test_sampled_noise_has_the_learned_variance(folders):
    simulator, many = load(folders["noisy"]), np.zeros((4000, 1, 1))
    sampled = LearnedModel(simulator, Uncertainty(sample_noise=True)).rollout(NOW, NONE, many)
    plain = LearnedModel(simulator).rollout(NOW, NONE, many)
    data = [np.repeat(item[None], 4000, 0).astype(np.float32) for item in (NOW, NONE)]
    _, deviation = simulator.rollout_deviation(*data, many.astype(np.float32))
    apart = (plain - plain.mean(0)).var(axis=0)
    measured = np.array(simulator.interface.belief.measured)
    noise = np.sqrt(deviation[0, 0] ** 2 - apart[0, 0] - measured)
    # 8,000 normal numbers know their standard deviation to 0.8 %; 4 of these.
    np.testing.assert_allclose((sampled - plain)[:, :, 0].std(axis=(0, 1)), noise, rtol=0.035)


def test_a_step_whose_covariance_is_not_finite_or_singular_has_noise_of_its_own_kind():
    covariance = np.array([[[4.0, 2.0], [2.0, 1.0]], [[np.nan] * 2] * 2, [[9.0, 0.0], [0.0, 0.0]]])
    random = np.random.default_rng(0)
    singular, lost, still = trajectory_sampling._noise(covariance, 4000, random)
    np.testing.assert_allclose(singular[:, 0], 2.0 * singular[:, 1], atol=0.05)
    assert singular[:, 0].std() == pytest.approx(2.0, rel=0.05)
    assert np.isnan(lost).all()
    assert still[:, 0].std() == pytest.approx(3.0, rel=0.05)
    assert (still[:, 1] == 0.0).all()


def test_plans_beyond_the_largest_deviation_are_refused(folders):
    simulator = load(folders["pair"])
    data = [np.repeat(item[None], 3, 0).astype(np.float32) for item in (NOW, NONE)]
    members, deviation = simulator.rollout_belief(*data, PLANS.astype(np.float32))
    worst = deviation[:, :, 1].max(axis=1)  # rad/s, by plan
    most = float(np.sort(worst)[:2].mean())
    predicted = rollout(folders["pair"], max_std={"velocity": most})
    refused = np.isnan(predicted).all(axis=(0, 2, 3))
    assert refused.tolist() == (worst > most).tolist()
    np.testing.assert_array_equal(predicted[:, ~refused], np.moveaxis(members, 1, 0)[:, ~refused])


@pytest.mark.parametrize("propagation", ["ts_inf", "ts_1"])
def test_a_planner_rests_where_it_refuses_all_plans_and_counts_the_steps(folders, propagation):
    changed = {"control.controller.samples": 8, "control.controller.horizon": 4}
    changed |= {"control.controller.knots": 4}
    task = load_task("pendulum", changed)
    uncertainty = Uncertainty(max_std={"velocity": 1e-6}, propagation=propagation)
    planner = make_planner(task, [LearnedModel(load(folders["pair"]), uncertainty)])
    assert planner.act(NOW, NONE).tolist() == [0.0]
    assert planner.act(NOW, NONE).tolist() == [0.0]
    assert planner.refused == 2
    planner.reset(0)
    assert planner.refused == 0
    free = make_planner(task, [LearnedModel(load(folders["pair"]))])
    assert free.act(NOW, NONE).tolist() != [0.0]
    assert free.refused == 0


def test_a_model_without_uncertainty_and_an_unknown_state_are_errors(folders):
    with pytest.raises(BadInput, match="is a single model without uncertainty"):
        rollout(folders["first"], max_std={"velocity": 1.0})
    with pytest.raises(BadInput, match="is a single model without uncertainty"):
        rollout(folders["first"], propagation="ts_1")
    with pytest.raises(BadInput, match="model has no learned variance"):
        rollout(folders["pair"], sample_noise=True)
    with pytest.raises(BadInput, match=r"max_std.*no state 'speed'"):
        load_task("pendulum", {"control.uncertainty.max_std": {"speed": 1.0}})
