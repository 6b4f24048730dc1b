"""Learned models with the interface of controllers: each plan as the simulator predicts it."""

import copy

import numpy as np
import pytest

from kinemill.control import LearnedModel, learned_model, make_planner
from kinemill.errors import BadInput
from kinemill.export.interface import describe, with_conformal
from kinemill.export.step_files import write_model
from kinemill.runtime import Conformal, load
from kinemill.task import load_task
from kinemill.task.control import Uncertainty
from kinemill.train.ensemble import Ensemble
from kinemill.train.ensemble_member import Member
from tests.export.conftest import DESCRIPTION, random_step

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
