"""The cart-pole against the text book: energy, momentum, friction, sensors."""

from math import cos, pi, sin

import mujoco
import numpy as np
import pytest

from kinemill.control.sim.cart_pole import CartPole

FREE = {"cart_damping": 0.0, "pole_damping": 0.0, "track": 1e6}
M, m, L, g = 1.0, 0.2, 0.6, 9.81  # kg, kg, m, m/s²: the defaults
l, J = L / 2, m * L**2 / 3  # m to the center of mass, kg·m² about the hinge  # noqa: E741


def simulate(plant, seconds, start, force=0.0):
    """Return (n, 4) x, θ, their rates, at every millisecond."""
    model = plant.model()
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.ctrl[0] = start[:2], start[2:], force
    rows = []
    for _ in range(round(seconds / plant.physics_step)):
        rows.append([*data.qpos, *data.qvel])
        mujoco.mj_step(model, data)
    return np.array(rows)


def test_without_friction_energy_and_momentum_are_kept():
    x, angle, v, w = simulate(CartPole(**FREE), 10.0, [0, 2.8, 0.5, 1.0]).T
    energy = (
        (M + m) * v**2 / 2
        + m * l * np.cos(angle) * v * w
        + J * w**2 / 2
        - m * g * l * np.cos(angle)
    )
    momentum = (M + m) * v + m * l * np.cos(angle) * w
    # RK4 at 1 ms: local error of the order (ω h)^5 = 1e-11 a step, over 10,000 steps.
    assert np.ptp(energy) < 1e-6  # J, of 2.1 J exchanged
    assert np.ptp(momentum) < 1e-8  # kg·m/s
    assert x[-1] != 0.0


def test_under_a_constant_force_the_cart_settles_where_friction_holds_it():
    plant = CartPole(track=1e6)
    states = simulate(plant, 60.0, [0, 0, 0, 0], force=1.0)
    assert states[-1, 2] == pytest.approx(1.0 / 0.5, rel=1e-3)  # F / b


def test_the_end_stop_gives_way_softly_and_holds():
    states = simulate(CartPole(), 6.0, [0, 0, 0, 0], force=10.0)
    assert 1.4 < states[-1, 0] < 1.55  # m; the stop is at 1.5
    assert states[:, 0].max() < 1.6
    assert np.isfinite(states).all()


def derivative(state, u, b=0.5, c=0.006):
    """Text-book equations of the cart-pole, hanging down at 0 (Florian 2007, friction linear)."""
    _, angle, v, w = state
    mass = np.array([[M + m, m * l * cos(angle)], [m * l * cos(angle), J]])
    rest = np.array([u - b * v + m * l * w**2 * sin(angle), -c * w - m * g * l * sin(angle)])
    return np.array([v, w, *np.linalg.solve(mass, rest)])


def test_the_logged_forces_in_the_text_book_equations_give_the_logged_motion():
    log = CartPole().log(2.0, np.random.default_rng(3))
    intervals = np.diff(np.round(log["timestamp"], 3))
    state = np.array([log["qpos_cart"][0], log["qpos_pole"][0], 0.0, 0.0])
    worst = np.zeros(2)
    for k, seconds in enumerate(intervals):
        worst = np.maximum(worst, np.abs(state[:2] - [log["qpos_cart"][k], log["qpos_pole"][k]]))
        steps = 4
        for _ in range(steps):
            u, h = log["ctrl_cart"][k], seconds / steps
            k1 = derivative(state, u)
            k2 = derivative(state + h / 2 * k1, u)
            k3 = derivative(state + h / 2 * k2, u)
            k4 = derivative(state + h * k3, u)
            state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    # Half an encoder step at the start, 0.025 mm and 0.77 mrad, and again at the row itself.
    assert worst[0] < 1e-3
    assert worst[1] < 5e-3


def test_positions_come_in_whole_encoder_steps():
    log = CartPole().log(3.0, np.random.default_rng(0))
    counts = log["qpos_pole"] * 4096 / (2 * pi)
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
    steps = log["qpos_cart"] / 5e-5
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert len(set(np.round(counts))) > 50


def test_velocities_carry_the_noise_stated_and_forces_none():
    rows = 20_000
    still = np.zeros((rows, 4))
    log = CartPole()._measure(np.arange(rows) * 0.01, still, still[:, 0], np.random.default_rng(0))
    # The standard deviation of n normal numbers is known to 1 / sqrt(2 n) = 0.5 %; 4 of these.
    assert log["qvel_cart"].std() == pytest.approx(0.005, rel=0.02)
    assert log["qvel_pole"].std() == pytest.approx(0.02, rel=0.02)
    assert not log["ctrl_cart"].any()


def test_stamps_jitter_by_a_millisecond_and_never_go_back():
    gaps = np.diff(CartPole().log(10.0, np.random.default_rng(0))["timestamp"])
    assert 0.0085 < gaps.min() < 0.0095
    assert 0.0105 < gaps.max() < 0.0115
    assert gaps.mean() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_episodes_stay_on_the_track_within_the_motor_and_move_the_pole(seed):
    log = CartPole().log(15.0, np.random.default_rng(seed))
    assert np.abs(log["qpos_cart"]).max() < 1.5  # m, the end stop
    assert np.abs(log["ctrl_cart"]).max() <= 10.0  # N
    assert log["qpos_pole"].std() > 0.2  # rad
    assert log["qvel_cart"].std() > 0.1  # m/s
    assert np.abs(log["qvel_pole"]).max() < 30.0  # rad/s, the task's limit
