"""Costs against values computed by hand, and derived quantities of given states."""

import numpy as np
import pytest

from kinemill.control import Cost
from kinemill.errors import TaskError
from kinemill.task import load_task
from tests.control.conftest import DT, sled_task

STATES = np.array([[1.0, 2.0], [3.0, -1.0]])  # x m, v m/s after each of two actions
ACTIONS = np.array([[0.5], [-1.5]])  # N
PREVIOUS, START = np.array([0.1]), np.array([0.8, 2.0])


def total(*terms, **control):
    cost = Cost(sled_task(cost=list(terms), **control))
    whole = cost.total(STATES, ACTIONS, PREVIOUS, START)
    steps = cost.step_costs(STATES, ACTIONS, PREVIOUS, START)
    assert whole - steps.sum() * DT == pytest.approx(
        sum(term.get("terminal", 0.0) * 4.0 for term in terms), abs=1e-12
    )
    return whole


def test_a_square_counts_every_step_by_dt_and_the_last_one_apart():
    # 0.1 s (2 (1-1)² + 2 (3-1)²) + 3 (3-1)²
    assert total({"of": "position", "target": 1, "weight": 2, "terminal": 3}) == pytest.approx(12.8)


def test_upright_value_and_rate():
    assert total({"of": "velocity", "shape": "upright", "weight": 1}) == pytest.approx(
        DT * (2 - np.cos(2.0) - np.cos(1.0))
    )
    assert total({"of": "force", "shape": "value"}) == pytest.approx(DT * -1.0)
    # The first change is against the action before: 0.4 N, then -2 N, in 0.1 s.
    assert total({"of": "force", "shape": "rate"}) == pytest.approx(DT * (4.0**2 + 20.0**2))
    assert total({"of": "position", "shape": "rate"}) == pytest.approx(DT * (2.0**2 + 20.0**2))


def test_formulas_and_derived_quantities_of_derived_ones():
    result = total({"of": "energy + 1"}, derived={"speed": "abs(velocity)", "energy": "speed**2/2"})
    assert result == pytest.approx(DT * (3.0**2 + 1.5**2))


def test_any_number_of_plans_on_any_number_of_models_at_once():
    cost = Cost(sled_task(cost=[{"of": "position"}, {"of": "force", "shape": "rate"}]))
    states = np.random.default_rng(0).normal(size=(3, 4, 7, 2))
    actions = np.random.default_rng(1).normal(size=(4, 7, 1))
    result = cost.total(states, actions, PREVIOUS, START)
    for model, plan in np.ndindex(3, 4):
        alone = cost.total(states[model, plan], actions[plan], PREVIOUS, START)
        assert result[model, plan] == pytest.approx(alone, rel=1e-12)


def test_an_angle_is_compared_the_short_way_round():
    task = load_task("pendulum", {"control.cost": [{"of": "angle", "target": 3.0}]})
    cost, states = Cost(task), np.array([[-3.0, 0.0]])
    result = cost.total(states, np.zeros((1, 1)), np.zeros(1), states[0])
    assert result == pytest.approx(0.02 * (2 * np.pi - 6.0) ** 2)


def test_the_tip_is_where_the_predicted_angles_put_it():
    """They do not depend on the last step of the plant."""
    task = load_task("double_cart_pole")
    cost, random = Cost(task), np.random.default_rng(0)
    states = random.normal(size=(5, 4, 6))
    names = ["tip_position", "tip_height"]
    result = cost.quantities(states, np.zeros((5, 4, 1)), names)
    x, inner, outer = states[..., 0], states[..., 1], states[..., 2]
    np.testing.assert_allclose(
        result["tip_position"], x + 0.6 * np.sin(inner) + 0.6 * np.sin(inner + outer), atol=1e-12
    )
    from kinemill.control.sim.double_cart_pole import DoubleCartPole

    ends = DoubleCartPole().points(states.reshape(-1, 6)[:, :3])[:, -1]
    np.testing.assert_allclose(result["tip_position"].ravel(), ends[:, 0], atol=1e-12)
    np.testing.assert_allclose(result["tip_height"].ravel(), ends[:, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("control.cost", [{"of": "angel"}], r"control.cost.0.of: 'angel' .* did you mean 'angle'"),
        ("control.cost", [{"of": "angle.real"}], "neither a number, a name nor arithmetic"),
        ("control.cost", [], "at least 1 item"),
        ("control.derived", {"tip": "sin(angel)"}, "did you mean 'angle'"),
        ("control.derived", {"angle": "2 * angle"}, "angle: is already used; choose another name"),
        ("control.derived", {"sin": "2 * angle"}, "is already used"),
        ("control.start", {"torque": [0, 1]}, "no state 'torque'"),
        ("control.plant", "pendulumm", "did you mean 'pendulum'"),
        ("control.controller.type", "mpi", "did you mean 'mppi'"),
        ("control.success", [{"of": "angle", "within": 0.1, "target": "angle"}], "not a number"),
        ("channels.torque.limits", None, "needs `limits`"),
    ],
)
def test_mistakes_are_told_when_the_task_is_read(key, value, said):
    with pytest.raises(TaskError, match=said):
        load_task("pendulum", {key: value})
