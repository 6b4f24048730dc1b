"""Risk measures of the costs of four models, against values computed by hand."""

import threading

import numpy as np
import pytest

from kinemill.control import AsyncPlanner, Online, make_planner
from kinemill.control.planner import RISKS
from kinemill.errors import BadInput
from kinemill.runtime import Watchdog, load
from kinemill.task.control import Risk
from tests.control.conftest import Sled, drive, sled_task

COSTS = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [10.0, 5.0]])  # four models, two plans


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        ({"type": "average"}, 4.0),
        ({"type": "worst"}, 10.0),
        ({"type": "best"}, 1.0),
        # log((e + e² + e³ + e¹⁰) / 4)
        ({"type": "exponential", "aversion": 1.0}, 8.615075),
        # -log((e⁻¹ + e⁻² + e⁻³ + e⁻¹⁰) / 4)
        ({"type": "exponential", "aversion": -1.0}, 1.978608),
        ({"type": "exponential", "aversion": 0.0}, 4.0),
        ({"type": "value_at_risk", "level": 0.5}, 2.0),
        ({"type": "value_at_risk", "level": 0.75}, 3.0),
        ({"type": "value_at_risk", "level": 0.9}, 10.0),
        ({"type": "cvar", "level": 0.5}, 6.5),  # (3 + 10) / 2
        ({"type": "cvar", "level": 0.25}, 5.0),  # (2 + 3 + 10) / 3
        ({"type": "cvar", "level": 0.6}, (10 + 0.6 * 3) / 1.6),  # 1.6 of 4 models
        ({"type": "cvar", "level": 0.9}, 10.0),
    ],
)
def test_by_hand(risk, expected):
    result = RISKS[risk["type"]](COSTS, Risk(**risk))
    np.testing.assert_allclose(result, [expected, 5.0], atol=2e-6)


@pytest.mark.parametrize("kind", sorted(RISKS))
def test_a_plan_that_fails_on_every_model_costs_inf_and_others_do_not(kind):
    costs = np.array([[np.inf, 1.0], [np.inf, 2.0]])
    with np.errstate(invalid="ignore"):
        result = RISKS[kind](costs, Risk(type=kind))
    assert not np.isfinite(result[0])
    assert np.isfinite(result[1])


def test_exponential_risk_of_large_costs_does_not_overflow():
    result = RISKS["exponential"](np.array([[1e4], [2e4]]), Risk(type="exponential"))
    np.testing.assert_allclose(result, 2e4 - np.log(2))


@pytest.fixture(scope="module")
def simulator(step_folders):
    return load(step_folders["mlp"])


class Counting:
    """Policy that returns its number of calls, and records its arguments."""

    history = 3

    def __init__(self):
        self.calls = []

    def reset(self, seed):
        self.calls.clear()

    def act(self, states, past_actions):
        self.calls.append((states, past_actions))
        return np.array([float(len(self.calls))])


def test_it_rests_until_it_knows_enough_and_after_a_gap(simulator):
    policy, now = Counting(), [0.0]
    online = Online(policy, simulator)
    guard = Watchdog(
        simulator, online, max_age=0.5, deadline=30.0, clock=lambda: now[0], sent=online.sent
    )

    def tick(position):
        now[0] += 1.0
        if position is not None:
            guard.observe([position, 0.0])
        return guard.act().action.tolist()

    assert [tick(0.1), tick(0.2)] == [[0.0], [0.0]]  # at rest: two rows of three
    assert [tick(0.3), tick(0.4)] == [[1.0], [2.0]]
    states, past = policy.calls[-1]
    np.testing.assert_allclose(states[:, 0], [0.2, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_array_equal(past, [[0.0], [1.0]])  # what was sent from 0.2 and from 0.3
    assert tick(None) == [0.0]  # stale: nobody knows the state that this acted from
    assert [tick(0.5), tick(0.6)] == [[0.0], [0.0]]
    assert tick(0.7) == [3.0]
    guard.close()


class Held(Sled):
    """A sled whose rollouts wait until a test lets them go."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()
        self.free.set()

    def rollout(self, states, past_actions, actions):
        assert self.free.wait(30.0)
        return super().rollout(states, past_actions, actions)


class Single(Sled):
    """A sled that forgets that it gets many plans."""

    def rollout(self, states, past_actions, actions):
        return super().rollout(states, past_actions, actions)[:1]


def test_a_model_with_another_number_of_plans_is_named_with_the_shape(sled):
    planner = make_planner(sled, [Single()])
    plans, steps = planner.controller.samples, planner.controller.horizon
    message = (
        rf"Single\.rollout: returned an array \(1, {steps}, 2\); expected \({plans}, {steps}, 2\)"
    )
    with pytest.raises(BadInput, match=message):
        planner.act(np.array([[1.0, 0.0]] * 2), np.zeros((1, 1)))


def test_async_planner_follows_its_plan_until_the_next_is_done(sled):
    model = Held()
    planner = AsyncPlanner(make_planner(sled, [model]))
    states, past = np.array([[1.0, 0.0]] * 2), np.zeros((1, 1))
    first = planner.act(states, past)
    planner._pending.result(30.0)
    model.free.clear()
    used = planner.act(states, past)  # the plan of the first call, at its second step
    assert planner.delays == [1]
    plan = planner._actions
    np.testing.assert_array_equal(used, plan[1])
    followed = [planner.act(states, past) for _ in range(3)]
    np.testing.assert_array_equal(followed, plan[2:5])  # nobody waits for the planning
    model.free.set()
    planner._pending.result(30.0)
    planner.act(states, past)
    assert planner.delays == [1, 4]
    assert first.shape == used.shape == (1,)
    planner.close()


class Lagging(AsyncPlanner):
    """Its plans take at most three steps: there is no clock between the steps of a test."""

    calls = 0

    def act(self, states, past_actions):
        action = super().act(states, past_actions)
        self.calls += 1
        if self.calls % 3 == 0:
            self._pending.result(30.0)
        return action


def test_async_planner_with_late_plans_brings_a_sled_to_rest(sled):
    planner = Lagging(make_planner(sled, [Sled()]))
    planner.models = planner._planner.models
    states, _ = drive(planner, [1.0, 0.0], 80)
    planner.close()
    assert max(planner.delays) <= 3
    assert np.abs(states[-1]).max() < 0.1


class Lost(Sled):
    """A model in which every plan diverges."""

    def rollout(self, states, past_actions, actions):
        return np.full_like(super().rollout(states, past_actions, actions), np.nan)


def test_refusal_of_all_plans_is_logged_once(caplog):
    planner = make_planner(sled_task(), [Lost()])
    for _ in range(3):
        planner.act(np.zeros((2, 2)), np.zeros((1, 1)))
    assert planner.refused == 3
    (record,) = caplog.records
    assert "no plan has a finite cost" in record.message


def test_risk_of_one_model_is_logged_once(caplog):
    planner = make_planner(sled_task(risk={"type": "cvar"}), [Sled()])
    for _ in range(3):
        planner.act(np.zeros((2, 2)), np.zeros((1, 1)))
    (record,) = caplog.records
    assert "control.risk has no effect" in record.message


def test_batch_of_states_is_refused():
    with pytest.raises(BadInput, match=r"states: has shape \(1, 1, 2\); expected \(H, S\)"):
        make_planner(sled_task(), [Sled()]).act(np.zeros((1, 1, 2)), np.zeros((0, 1)))


def test_controller_without_a_choice_is_refused():
    with pytest.raises(ValueError, match="elites: 8 is not less than samples: 8"):
        sled_task(controller={"type": "cem", "samples": 8, "elites": 8})
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        sled_task(controller={"type": "mppi", "samples": 1})
