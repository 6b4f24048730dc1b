"""Contract of every controller."""

import numpy as np
import pytest

from kinemill.control import Plan, make_planner
from kinemill.errors import BadInput
from kinemill.task.control import CONTROLLERS
from tests.control.conftest import Sled, drive, sled_task


def settings(name):
    return {"type": name, "horizon": 20, "knots": 5, "samples": 64}


def planner(name, models=None, **control):
    task = sled_task(controller=settings(name), **control)
    return make_planner(task, models or [Sled()])


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_sled_is_brought_to_rest_at_the_origin(name):
    states, actions = drive(planner(name), [1.0, 0.0], 80)
    # With 2 N on 1 kg the way there and back takes at least 2 sqrt(1 / 2) = 1.41 s of the 8 s.
    assert np.abs(states[-20:, 0]).max() < 0.15  # m
    assert np.abs(states[-20:, 1]).max() < 0.3  # m/s
    assert np.abs(actions).max() <= 2.0


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_same_seed_gives_the_same_actions_and_another_does_not(name):
    controller, result = planner(name), []
    for seed in (3, 3, 4):
        controller.reset(seed)
        result.append(drive(controller, [1.0, 0.0], 3)[1])
    np.testing.assert_array_equal(result[0], result[1])
    assert not np.array_equal(result[0], result[2])


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_better_plan_is_found_than_the_one_before(name):
    controller = planner(name)
    history, past = np.array([[1.0, 0.0]] * 2), np.zeros((1, 1))

    def cost():
        return controller.costs(history, past, controller.actions(controller.plan.knots[None]))[0]

    idle = cost()
    for _ in range(5):
        controller.act(history, past)
    assert cost() < 0.7 * idle


@pytest.mark.parametrize("name", CONTROLLERS)
def test_plans_that_the_model_cannot_follow_are_left_out(name):
    class Breaks(Sled):
        def rollout(self, states, past_actions, actions):
            result = super().rollout(states, past_actions, actions)
            return np.where(actions[:, :1, :] < 0.0, np.nan, result)

    controller = planner(name, [Breaks()])
    for _ in range(5):
        assert controller.act(np.array([[1.0, 0.0]] * 2), np.zeros((1, 1)))[0] >= -1e-6


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_model_that_fails_altogether_leaves_the_plan_as_it_was(name):
    class Fails(Sled):
        def rollout(self, states, past_actions, actions):
            return np.full((*actions.shape[:2], 2), np.nan)

    assert planner(name, [Fails()]).act(np.zeros((2, 2)), np.zeros((1, 1))) == 0.0


@pytest.mark.parametrize("name", CONTROLLERS)
def test_actions_change_no_faster_than_allowed(name):
    controller = planner(name, max_rate={"force": 3.0})  # N/s: 0.3 N a step
    _, actions = drive(controller, [1.0, 0.0], 15)
    assert np.abs(np.diff(actions[:, 0], prepend=0.0)).max() <= 0.3 + 1e-12
    assert np.abs(actions).max() > 0.5


def test_predictive_sampling_takes_the_cheapest():
    knots = np.array([[[0.0]], [[0.4]], [[-0.2]]])
    made = CONTROLLERS["predictive_sampling"]().update(Plan(knots[0]), knots, np.array([3, 2, 5]))
    np.testing.assert_array_equal(made.knots, [[0.4]])


def test_mppi_weighs_by_the_exponential_of_the_cost():
    knots = np.array([[[0.0]], [[1.0]]])
    selected = CONTROLLERS["mppi"](temperature=0.5, unit="cost")
    made = selected.update(Plan(knots[0]), knots, np.array([1.0, 2.0]))
    np.testing.assert_allclose(made.knots, 1 / (1 + np.e**2))  # e⁻² / (1 + e⁻²)
    # In spreads: the standard deviation of 1 and 2 is 0.5, so λ is 0.25 and the weight e⁻⁴.
    made = CONTROLLERS["mppi"](temperature=0.5).update(Plan(knots[0]), knots, np.array([1.0, 2.0]))
    np.testing.assert_allclose(made.knots, 1 / (1 + np.e**4))


def test_cem_fits_the_elites():
    knots = np.array([[[0.0]], [[1.0]], [[0.5]], [[9.0]]])
    made = CONTROLLERS["cem"](elites=2).update(Plan(knots[0]), knots, np.array([4, 1, 2, 9]))
    np.testing.assert_allclose((made.knots, made.std), ([[0.75]], [[0.25]]))


def test_dial_anneals_over_iterations_and_lets_the_far_end_vary(monkeypatch):
    monkeypatch.setattr("kinemill.control.plan.normal", lambda _, shape: np.ones(shape, np.float32))
    dial = CONTROLLERS["dial"](iterations=2, noise=1.0, samples=2)
    plan = Plan(np.zeros((2, 1)))
    result = [dial.draw(plan, n, None)[1, :, 0] for n in (0, 1)]
    # exp(-n/2 - (1 - k/2)) for knots k = 1, 2
    np.testing.assert_allclose(result[0], [np.exp(-0.5), 1.0])
    np.testing.assert_allclose(result[1], [np.exp(-1.0), np.exp(-0.5)])


def test_the_worst_case_keeps_away_from_what_only_one_model_fears():
    """Return two models of a sled; one predicts a collision with a wall when it is pushed."""

    class Wall(Sled):
        def rollout(self, states, past_actions, actions):
            result = super().rollout(states, past_actions, actions)
            return result + 50.0 * (np.maximum(actions, 0.0) > 0.1)

    history, past = np.array([[-1.0, 0.0]] * 2), np.zeros((1, 1))
    controller = {
        kind: planner("mppi", [Sled(), Wall()], risk={"type": kind}) for kind in ("best", "worst")
    }
    result = {
        kind: [planner_.act(history, past)[0] for _ in range(5)]
        for kind, planner_ in controller.items()
    }
    assert min(result["best"][1:]) > 0.2
    assert max(result["worst"]) < 0.15


def test_members_of_an_ensemble_are_models_too():
    class Two:
        history = 2

        def rollout(self, states, past_actions, actions):
            return np.stack([Sled(m).rollout(states, past_actions, actions) for m in (0.5, 2.0)])

    cached, past = np.array([[1.0, 0.0]] * 2), np.zeros((1, 1))
    joint = planner("mppi", [Two()], risk={"type": "worst"})
    apart = planner("mppi", [Sled(0.5), Sled(2.0)], risk={"type": "worst"})
    np.testing.assert_array_equal(joint.act(cached, past), apart.act(cached, past))


def test_without_a_model_there_is_no_planner(sled):
    with pytest.raises(BadInput, match="is empty; expected one or more"):
        make_planner(sled, [])


def test_cma_es_follows_a_narrow_valley_that_an_isotropic_search_crosses_slowly():
    random = np.random.default_rng(0)
    scales = np.array([1.0, 1e3])

    def cost(knots):
        return ((knots[..., 0] - np.array([0.8, -0.5])) ** 2 @ scales).astype(float)

    found = {}
    for name in ("cma_es", "cem"):
        controller = CONTROLLERS[name](samples=32, iterations=25, least_noise=1e-4)
        plan = Plan(np.zeros((2, 1)))
        for iteration in range(controller.iterations):
            knots = controller.draw(plan, iteration, random)
            plan = controller.update(plan, knots, cost(knots))
        found[name] = float(cost(plan.knots))
    assert found["cma_es"] < 1e-4
    assert found["cma_es"] < found["cem"]
