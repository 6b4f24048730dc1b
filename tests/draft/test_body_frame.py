"""Gyros and velocities of vehicles: derivatives of the pose only where the frames agree."""

import numpy as np
import pytest

from kinemill.draft.draft_check import check_draft
from tests.draft.test_derivatives import channel, draft_of, parents_of

TIME = 0.02 * np.arange(3000)


def flight(tilt, heading):
    """Return position, body velocity, angles and body rates of a flight of 60 s; world velocity.

    Kinematics of Diebel 2006, "Representing Attitude", angles 1-2-3.

    Args:
        tilt: largest roll, rad; pitch reaches 0.4 of it.
        heading: largest yaw, rad.
    """
    waves = [(tilt, 0.9, 0.0), (0.4 * tilt, 0.53, 1.0), (heading, 0.35, 0.5)]
    phi, theta, psi = (a * np.sin(w * TIME + s) for a, w, s in waves)
    rates = [a * w * np.cos(w * TIME + s) for a, w, s in waves]
    c, s = np.cos, np.sin
    body_rates = [
        rates[0] - rates[2] * s(theta),
        rates[1] * c(phi) + rates[2] * c(theta) * s(phi),
        rates[2] * c(theta) * c(phi) - rates[1] * s(phi),
    ]
    u, v, w = 8 + 3 * np.sin(0.4 * TIME), 0.5 * np.sin(0.7 * TIME), 0.5 * np.sin(1.1 * TIME)
    across = [s(phi) * v + c(phi) * w, c(phi) * v - s(phi) * w]
    world = [
        c(psi) * (c(theta) * u + s(theta) * across[0]) - s(psi) * across[1],
        s(psi) * (c(theta) * u + s(theta) * across[0]) + c(psi) * across[1],
        c(theta) * across[0] - s(theta) * u,
    ]
    steps = [0.01 * (one[1:] + one[:-1]) for one in world]
    position = [np.concatenate(([0.0], np.cumsum(step))) for step in steps]
    return position, [u, v, w], [phi, theta, psi], body_rates, world, rates


def log_of(tmp_path, names, *columns, noise=0.0):
    random = np.random.default_rng(0)
    every = [one for group in columns for one in group]
    noisy = [one + noise * one.std() * random.normal(size=len(one)) for one in every]
    return draft_of(tmp_path, TIME, **dict(zip(names.split(), noisy, strict=True)))


POSE = "pos_x pos_y pos_z roll pitch yaw"
PARENTS = dict(
    zip(["vel_x", "vel_y", "vel_z", "gyro_x", "gyro_y", "gyro_z"], POSE.split(), strict=True)
)


@pytest.mark.parametrize(
    ("tilt", "heading", "noise"), [(0.8, 3.0, 0.0), (0.3, 0.4, 2e-4), (0.1, 0.4, 2e-4)]
)
def test_a_gyro_and_a_body_velocity_follow_no_pose(tmp_path, tilt, heading, noise):
    position, velocity, angles, rates, *_ = flight(tilt, heading)
    names = f"{POSE} {' '.join(PARENTS)}"
    draft = log_of(tmp_path, names, position, angles, velocity, rates, noise=noise)
    parents = parents_of(draft)
    # A yaw rate is the slope of the yaw within 3 % as long as the vehicle hardly tilts.
    assert parents == ({"gyro_z": "yaw"} if tilt == 0.1 else {})
    checked = check_draft(draft)
    assert (checked.refused, checked.cut) == ([], [])


@pytest.mark.parametrize(("noise", "is_stuck"), [(0.0, False), (2e-4, True)])
def test_world_velocities_and_rates_of_angles_follow_the_pose(tmp_path, noise, is_stuck):
    position, _, angles, _, velocity, rates = flight(0.8, 1.0)
    if is_stuck:
        angles[0][800:1200] = angles[0][800]
    names = f"{POSE} {' '.join(PARENTS)}"
    draft = log_of(tmp_path, names, position, angles, velocity, rates, noise=noise)
    parents = parents_of(draft)
    assert parents == PARENTS


def test_letters_of_an_aircraft_are_body_rates_even_near_level(tmp_path):
    position, velocity, angles, rates, *_ = flight(0.02, 0.02)
    names = "x y z phi theta psi u v w p q r"
    draft = log_of(tmp_path, names, position, angles, velocity, rates)
    assert not any(column.derivative_of for column in draft.columns)
    yaw_rate = channel(draft, "yaw_rate")
    assert yaw_rate.unit == "rad/s"
    assert "in the frame of the vehicle, by its letter" in yaw_rate.notes


def test_forward_velocity_next_to_a_quaternion_follows_no_pose(tmp_path):
    """A planar robot that drives mostly against y: its speed follows -y in half of the windows."""
    psi = -1.57 + 0.9 * np.sin(0.35 * TIME)
    speed = 0.6 + 0.5 * np.sin(0.8 * TIME)
    world = (speed * np.cos(psi), speed * np.sin(psi))
    x, y = (np.concatenate(([0.0], np.cumsum(0.01 * (v[1:] + v[:-1])))) for v in world)
    pose = {"pose_x": x, "pose_y": y, "rotation_x": 0.0 * psi, "rotation_y": 0.0 * psi}
    rotation = {"rotation_z": np.sin(psi / 2), "rotation_w": np.cos(psi / 2)}
    draft = draft_of(tmp_path, TIME, **pose, **rotation, linear_velocity_x=speed)
    column = channel(draft, "linear_velocity_x")
    assert (column.derivative_of, column.scale) == (None, 1.0)
    assert "in the frame of the vehicle: rotation_x to rotation_w" in column.notes[-1]
