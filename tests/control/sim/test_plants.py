"""The plants against the text book, and what their logs show."""

from math import pi, sqrt

import numpy as np
import pytest

from kinemill.control.sim import SIMULATORS, Plant
from kinemill.control.sim.cart_pole_swing_up import CartPoleSwingUp
from kinemill.control.sim.double_cart_pole import UPRIGHT, DoubleCartPole
from kinemill.control.sim.pendulum import Pendulum
from kinemill.task import load_task
from kinemill.task.expressions import Expression

PLANTS = ("cart_pole_swing_up", "double_cart_pole", "pendulum")


def simulate(plant: Plant, start, steps: int, command: float = 0.0):
    advance, _, _ = plant.stepper(np.array(start, dtype=float))
    return np.array([start] + [advance(np.array([command]), 1) for _ in range(steps)])


def test_the_rod_swings_with_the_period_of_a_physical_pendulum():
    angle = simulate(Pendulum(damping=0.0), [0.01, 0.0], 600)[:, 0]
    up = np.flatnonzero((angle[:-1] < 0) & (angle[1:] >= 0))
    times = (up + angle[up] / (angle[up] - angle[up + 1])) * 0.02
    # 2π sqrt(2 L / (3 g)) = 1.63795 s, and 6e-6 of it for the amplitude; a line between rows of
    # 20 ms puts a crossing off by less than 1e-4 of the period.
    assert np.diff(times).mean() == pytest.approx(2 * pi * sqrt(2 / (3 * 9.81)), rel=1e-4)


def test_the_motor_cannot_hold_the_rod_level_but_holds_it_where_statics_says():
    plant = Pendulum(damping=5.0)  # creeps to its rest
    angle = simulate(plant, [0.0, 0.0], 4000, command=1.0)[-1, 0]
    assert angle == pytest.approx(np.arcsin(1.0 / (0.5 * 9.81 * 0.5)), abs=1e-6)


def energy(states):
    """Energy of two rods on a cart, J, from the velocities of their middles (König)."""
    x, inner, bend, v, inner_rate, bend_rate = states.T
    outer, outer_rate = inner + bend, inner_rate + bend_rate
    total, hinge = v**2 / 2 * 1.0, np.stack([v, 0 * v])
    height = 0 * x
    for angle, rate in ((inner, inner_rate), (outer, outer_rate)):
        along = 0.6 * rate * np.stack([np.cos(angle), np.sin(angle)])
        middle = hinge + along / 2
        total = total + 0.2 / 2 * (middle**2).sum(axis=0) + 0.2 * 0.6**2 / 12 / 2 * rate**2
        total = total + 0.2 * 9.81 * (height - 0.3 * np.cos(angle))
        hinge, height = hinge + along, height - 0.6 * np.cos(angle)
    return total


FREE = {
    "pendulum": {"damping": 0.0, "physics_step": 0.002},
    "cart_pole": {"cart_damping": 0.0, "pole_damping": 0.0, "track": 1e6},
    "cart_pole_swing_up": {"cart_damping": 0.0, "pole_damping": 0.0, "track": 1e6},
}


@pytest.mark.parametrize("name", FREE)
def test_the_energy_that_a_task_asks_a_model_about_is_kept_by_its_plant_without_friction(name):
    task, plant = load_task(name), SIMULATORS[name](**{"physics_step": 0.001, **FREE[name]})
    start = np.array([0.1, 2.0, 0.5, 4.0]) if len(plant.joints) == 2 else np.array([2.0, 4.0])
    states = simulate(plant, start, 1500)
    columns = dict(zip(plant.measured, states.T, strict=True))
    values = {state: columns[task.channels[state].source[0].name] for state in task.states}
    actual = Expression(task.verify.energy.formula).value(values)
    moved = Expression(task.verify.energy.formula.partition("-")[0]).value(values)
    # RK4 keeps what is the energy to 1e-8 of what goes to and fro; a coefficient a hundredth off
    # would not be kept to 1e-3.
    assert np.ptp(actual) < 1e-6 * np.ptp(moved)


@pytest.mark.parametrize(("step", "lost"), [(0.002, 2e-4), (0.01, 0.05)])
def test_two_free_poles_keep_their_energy(step, lost):
    plant = DoubleCartPole(cart_damping=0.0, pole_damping=0.0, track=1e6, physics_step=step)
    states = simulate(plant, [0.0, 2.8, 0.4, 0.3, 1.0, -2.0], round(10 / step))
    # RK4 is of fourth order: a fifth of the step loses 625 times less. At the step that the plant
    # has, 1 % of the 5 J that go to and fro.
    assert np.ptp(energy(states)) < lost  # J in 10 s
    assert np.ptp(states[:, 1]) > 3.0


def test_a_swinging_pole_keeps_its_energy_at_fifty_hertz():
    plant = CartPoleSwingUp(cart_damping=0.0, pole_damping=0.0, track=1e6)
    x, angle, v, w = simulate(plant, [0.0, 2.8, 0.0, 0.0], 500).T
    actual = 0.6 * v**2 + 0.06 * np.cos(angle) * v * w + 0.012 * w**2 - 0.5886 * np.cos(angle)
    assert np.ptp(actual) < 2e-4  # J: (10 rad/s · 0.02 s)^5 / 120 = 3e-6 a step, at the bottom only
    assert x[-1] != 0.0


@pytest.mark.parametrize("name", PLANTS)
def test_rows_of_a_log_are_the_plant_under_the_logged_command(name):
    plant = SIMULATORS[name]()
    log = plant.log(4.0, np.random.default_rng(0))
    states = np.stack([log[column] for column in plant.measured], axis=1)
    advance, low, high = plant.stepper(states[0])
    replayed = [advance(np.array([u]), plant.period) for u in log[plant.commanded[0]]]
    np.testing.assert_allclose(replayed[:-1], states[1:], atol=1e-9)
    assert np.abs(log[plant.commanded[0]]).max() <= high[0] == -low[0]
    np.testing.assert_allclose(np.diff(log["timestamp"]), plant.dt, atol=1e-12)
    assert plant.quiet() is plant or plant.quiet() == plant


@pytest.mark.parametrize("name", PLANTS)
def test_logs_show_poles_hanging_level_and_upright(name):
    plant = SIMULATORS[name]()
    logs = [plant.log(6.0, np.random.default_rng(seed)) for seed in range(30)]
    angles = np.concatenate([log[plant.measured[len(plant.joints) > 1]] for log in logs])
    folded = np.abs((angles + pi) % (2 * pi) - pi)
    shares = np.histogram(folded, [0, pi / 3, 2 * pi / 3, pi])[0] / len(folded)
    assert shares.min() > 0.04  # of 9,000 rows: at least 7 s of a pole near the top
    if "qpos_cart" in log_columns(plant):
        cart = np.concatenate([log["qpos_cart"] for log in logs])
        assert np.abs(cart).max() < plant.track + 0.1


def log_columns(plant):
    return (*plant.measured, *plant.commanded)


@pytest.mark.parametrize("name", PLANTS)
def test_links_in_pictures_keep_their_lengths(name):
    plant = SIMULATORS[name]()
    positions = np.random.default_rng(0).normal(size=(7, len(plant.joints)))
    lengths = np.linalg.norm(np.diff(plant.points(positions), axis=1), axis=2)
    np.testing.assert_allclose(lengths, 1.0 if name == "pendulum" else 0.6, atol=1e-12)


def test_two_poles_are_balanced_by_the_regulator_and_fall_without_it():
    plant = DoubleCartPole()
    start = UPRIGHT + np.array([0.3, 0.1, -0.05, 0.0, 0.0, 0.0])
    clamped, _ = plant.run(np.zeros((400, 1)), np.full(400, 2), start)
    np.testing.assert_allclose(clamped[-1], UPRIGHT, atol=1e-3)  # after 8 s
    assert np.abs(simulate(plant, start, 100)[-1, 1] - pi) > 0.5  # rad, after 1 s
