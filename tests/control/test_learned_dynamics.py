"""Learned models with the interface of controllers: each plan as the simulator predicts it."""

import copy

import numpy as np
import pytest
import torch

from kinemill.control import LearnedModel, learned_dynamics, learned_model, make_planner
from kinemill.errors import BadInput
from kinemill.export.interface import describe, with_conformal
from kinemill.export.step_files import write_model
from kinemill.runtime import Conformal, load
from kinemill.task import load_task
from kinemill.task.control import Uncertainty
from kinemill.train.ensemble import Ensemble
from kinemill.train.ensemble_member import Member, Noise
from tests.export.conftest import DESCRIPTION, random_step

pytestmark = pytest.mark.slow

HISTORY = np.array([[0.3, -1.0], [0.2, -1.1], [0.1, -1.2]])  # rad, rad/s
PAST = np.array([[0.5], [-0.5]])  # N·m
PLANS = np.random.default_rng(0).uniform(-1, 1, (5, 7, 1))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a model with three rows of history, and an ensemble of two members."""
    step, result = random_step("mlp", 3), []
    second = copy.deepcopy(step)
    for value in second.parameters():
        value.data.mul_(0.5)
    pair = Ensemble([Member(step, None), Member(second, None)]).eval()
    for name, module in (("one", step), ("two", pair)):
        folder = tmp_path_factory.mktemp(name)
        write_model(copy.deepcopy(module), describe(DESCRIPTION, module), folder)
        result.append(folder)
    return result


def test_every_plan_starts_from_the_same_history(folders):
    simulator = load(folders[0])
    result = LearnedModel(simulator).rollout(HISTORY, PAST, PLANS)
    for plan, states in zip(PLANS, result, strict=True):
        alone = simulator.rollout(HISTORY[None], PAST[None], plan[None])[0]
        np.testing.assert_allclose(states, alone, atol=1e-5)  # float32, other sizes of batch


def test_members_of_an_ensemble_come_first(folders):
    single, members = (
        LearnedModel(load(folder)).rollout(HISTORY, PAST, PLANS) for folder in folders
    )
    assert members.shape == (2, 5, 7, 2)
    np.testing.assert_allclose(members[0, :, :2], single[:, :2], atol=1e-3)
    assert np.abs(members[1] - members[0]).max() > 0.01


def test_a_planner_that_fears_the_worst_hears_both_members(folders):
    task = load_task("pendulum", {"control.risk.type": "worst"})
    planner = make_planner(task, [LearnedModel(load(folders[1]))])
    members = LearnedModel(load(folders[1])).rollout(HISTORY, PAST, PLANS)
    each = planner.cost.total(members, PLANS, planner.last, HISTORY[-1])
    assert planner.history == 3
    np.testing.assert_allclose(planner.costs(HISTORY, PAST, PLANS), each.max(axis=0), rtol=1e-5)


def test_a_model_of_another_robot_is_refused(folders):
    assert learned_model(load_task("pendulum"), folders[0]).history == 3
    with pytest.raises(BadInput, match="is of the channels"):
        learned_model(load_task("cart_pole_swing_up"), folders[0])
    with pytest.raises(BadInput, match="does not exist"):
        learned_model(load_task("pendulum"), folders[0] / "nowhere")


@pytest.mark.ci
def test_a_planner_refuses_plans_after_errors_that_its_intervals_did_not_cover(tmp_path):
    """A plan that is known well enough at first; then each measured row is far from predicted."""
    step = random_step("mlp", 1)
    second = copy.deepcopy(step)
    for value in second.parameters():
        value.data.mul_(0.9)
    pair = Ensemble([Member(step, None), Member(second, None)]).eval()
    conformal = Conformal(((1.0, 1.0),) * 7, ((0.0, 0.0),) * 7, 1, online=True)
    write_model(pair, with_conformal(describe(DESCRIPTION, pair), conformal), tmp_path)
    simulator = load(tmp_path)
    state, action = np.array([[0.1, -1.2]]), np.zeros((1, 0, 1))
    _, deviation = simulator.rollout_deviation(state[None], action, PLANS[:1])
    most = 1.5 * deviation[0].max(axis=0)
    model = LearnedModel(
        simulator, Uncertainty(max_std={"angle": float(most[0]), "velocity": float(most[1])})
    )
    assert model.history == 2
    rows = np.array([[5.0, 9.0], [0.1, -1.2]])
    assert np.isfinite(model.rollout(rows, PAST[:1], PLANS[:1])).all()
    for _ in range(20):  # each is a jump that no prediction covers
        model.observe(rows, PAST[:1])
        model.observe(rows[::-1], PAST[:1])
    assert np.isnan(model.rollout(rows, PAST[:1], PLANS[:1])).all()


NOW, NONE = np.array([[0.3, -1.0]]), np.zeros((0, 1))  # rad, rad/s
SIX_STEPS = np.random.default_rng(0).uniform(-1, 1, (3, 6, 1))


def two_steps():
    first = random_step("mlp", 1)
    second = copy.deepcopy(first)
    for value in second.parameters():
        value.data.mul_(0.5)
    return first, second


@pytest.fixture(scope="module")
def ensembles(tmp_path_factory):
    """Return an ensemble of two models, and the ensemble with noise."""
    first, second = two_steps()
    torch.manual_seed(0)
    modules = {
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
    return LearnedModel(load(folder), Uncertainty(**uncertainty)).rollout(NOW, NONE, SIX_STEPS)


def test_ts_inf_with_little_noise_stays_near_the_rollout_of_the_members(ensembles):
    plain = rollout(ensembles["noisy"])
    sampled = rollout(ensembles["noisy"], sample_noise=True)
    assert sampled.shape == plain.shape == (2, 3, 6, 2)
    # A first log variance of -4 is a std of 0.135 spreads of the outputs, 0.007 rad and 0.04 rad/s.
    first = np.abs(sampled - plain)[:, :, 0].max(axis=(0, 1))
    assert (first > 0.0).all()
    assert (first < 5 * np.array([0.007, 0.041])).all()


def test_ts_1_moves_each_particle_by_a_member_and_uses_each_member_once(ensembles):
    particles = rollout(ensembles["pair"], propagation="ts_1")
    before, is_mixed, steps = np.broadcast_to(NOW[-1], (2, 3, 2)), False, two_steps()
    for k in range(SIX_STEPS.shape[1]):
        # (members, particles, B, S)
        moved = np.array(
            [[advance(item, rows, SIX_STEPS[:, [k]]) for rows in before] for item in steps]
        )
        for plan in range(3):
            straight = [moved[0, 0, plan], moved[1, 1, plan]]
            crossed = [moved[0, 1, plan], moved[1, 0, plan]]
            distances = [np.abs(particles[:, plan, k] - item).max() for item in (straight, crossed)]
            assert min(distances) < 1e-5
            is_mixed |= k > 0 and distances[1] < 1e-5 < distances[0]
        before = particles[:, :, k]
    assert is_mixed


def test_sampled_noise_has_the_learned_variance(ensembles):
    simulator, many = load(ensembles["noisy"]), np.zeros((4000, 1, 1))
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
    singular, lost, still = learned_dynamics._noise(covariance, 4000, random)
    np.testing.assert_allclose(singular[:, 0], 2.0 * singular[:, 1], atol=0.05)
    assert singular[:, 0].std() == pytest.approx(2.0, rel=0.05)
    assert np.isnan(lost).all()
    assert still[:, 0].std() == pytest.approx(3.0, rel=0.05)
    assert (still[:, 1] == 0.0).all()


def test_plans_beyond_the_largest_deviation_are_refused(ensembles):
    simulator = load(ensembles["pair"])
    data = [np.repeat(item[None], 3, 0).astype(np.float32) for item in (NOW, NONE)]
    members, deviation = simulator.rollout_belief(*data, SIX_STEPS.astype(np.float32))
    worst = deviation[:, :, 1].max(axis=1)  # rad/s, by plan
    most = float(np.sort(worst)[:2].mean())
    predicted = rollout(ensembles["pair"], max_std={"velocity": most})
    refused = np.isnan(predicted).all(axis=(0, 2, 3))
    assert refused.tolist() == (worst > most).tolist()
    np.testing.assert_array_equal(predicted[:, ~refused], np.moveaxis(members, 1, 0)[:, ~refused])


@pytest.mark.parametrize("propagation", ["ts_inf", "ts_1"])
def test_a_planner_rests_where_it_refuses_all_plans_and_counts_the_steps(ensembles, propagation):
    changed = {"control.controller.samples": 8, "control.controller.horizon": 4}
    changed |= {"control.controller.knots": 4}
    task = load_task("pendulum", changed)
    uncertainty = Uncertainty(max_std={"velocity": 1e-6}, propagation=propagation)
    planner = make_planner(task, [LearnedModel(load(ensembles["pair"]), uncertainty)])
    assert planner.act(NOW, NONE).tolist() == [0.0]
    assert planner.act(NOW, NONE).tolist() == [0.0]
    assert planner.refused == 2
    planner.reset(0)
    assert planner.refused == 0
    free = make_planner(task, [LearnedModel(load(ensembles["pair"]))])
    assert free.act(NOW, NONE).tolist() != [0.0]
    assert free.refused == 0


def test_a_model_without_uncertainty_and_an_unknown_state_are_errors(ensembles, step_folders):
    with pytest.raises(BadInput, match="is a single model without uncertainty"):
        rollout(step_folders["mlp"], max_std={"velocity": 1.0})
    with pytest.raises(BadInput, match="is a single model without uncertainty"):
        rollout(step_folders["mlp"], propagation="ts_1")
    with pytest.raises(BadInput, match="model has no learned variance"):
        rollout(ensembles["pair"], sample_noise=True)
    with pytest.raises(BadInput, match=r"max_std.*no state 'speed'"):
        load_task("pendulum", {"control.uncertainty.max_std": {"speed": 1.0}})
