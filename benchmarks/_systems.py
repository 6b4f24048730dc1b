"""Simulated systems for the end-to-end proof of the gate, as ordinary differential equations.

Each has states that a log shows, hidden states, actions, and a random excitation per episode. A
motion is integrated by Runge-Kutta with substeps. Symbols: T rows, X states, A actions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Derivative = Callable[[Floats, Floats], Floats]
SUBSTEPS = 10
STEEP = 200.0  # of tanh in place of the sign of a velocity


@dataclass(frozen=True)
class System:
    """A system that can be logged.

    Attributes:
        derivative: (states, actions) -> time derivatives of the states.
        start: random generator -> initial states.
        states: name and unit of each state in a log, in the order of `derivative`; the hidden ones
            follow and are not logged.
        actions: name and unit of each action.
        amplitude: of each action.
        dt: time between rows, s.
        slowest: longest period of the excitation, s.
        rows: rows of an episode.
        delay: time that an action takes to act, s.
        control: (states, references) -> actions; None: the excitation is the action.
    """

    derivative: Derivative
    start: Callable[[np.random.Generator], Floats]
    states: dict[str, str]
    actions: dict[str, str]
    amplitude: tuple[float, ...]
    dt: float = 0.01
    slowest: float = 5.0
    rows: int = 1000
    delay: float = 0.0
    control: Callable[[Floats, Floats], Floats] | None = None
    lowest: float = -math.inf


def excitation(system: System, random: np.random.Generator) -> Floats:
    """Return random sines and steps, (T, A), within the amplitude of each action."""
    time = np.arange(system.rows) * system.dt
    columns = list[Floats]()
    for amplitude in system.amplitude:
        periods = system.slowest * random.uniform(0.08, 1.0, 5)
        phases = random.uniform(0.0, 2.0 * np.pi, 5)
        waves = np.sin(2.0 * np.pi * time[:, None] / periods + phases).mean(axis=1)
        levels = random.uniform(-1.0, 1.0, system.rows)[(time / (0.3 * system.slowest)).astype(int)]
        columns.append(amplitude * np.clip(waves + 0.5 * levels, -1.0, 1.0))
    return np.maximum(np.stack(columns, axis=1), system.lowest)


def simulate(system: System, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the logged states (T, X) and the commanded actions (T, A) of one episode."""
    reference = excitation(system, random)
    state = system.start(random)
    late = round(system.delay / system.dt)
    states = np.zeros((system.rows, len(state)))
    actions = (
        np.zeros_like(reference)
        if system.control is None
        else np.zeros((system.rows, len(system.actions)))
    )
    step = system.dt / SUBSTEPS
    for row in range(system.rows):
        states[row] = state
        actions[row] = (
            reference[row] if system.control is None else system.control(state, reference[row])
        )
        action = actions[max(row - late, 0)]
        for _ in range(SUBSTEPS):
            k1 = system.derivative(state, action)
            k2 = system.derivative(state + step / 2.0 * k1, action)
            k3 = system.derivative(state + step / 2.0 * k2, action)
            k4 = system.derivative(state + step * k3, action)
            state = state + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return states[:, : len(system.states)], actions


def write_logs(system: System, folder: Path, count: int, noise: float, seed: int) -> None:
    """Write CSV logs of `count` episodes with white noise of `noise` standard deviations."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    motions = [simulate(system, random) for _ in range(count)]
    width = np.concatenate([states for states, _ in motions]).std(axis=0)
    names = {"time": "s", **system.states, **system.actions}
    head = ",".join(f"{name} [{unit}]" for name, unit in names.items())
    time = np.arange(system.rows) * system.dt
    for number, (states, actions) in enumerate(motions):
        measured = states + noise * width * random.normal(size=states.shape)
        rows = np.column_stack([time, measured, actions])
        path = folder / f"run_{number:02d}.csv"
        np.savetxt(path, rows, fmt="%.7g", delimiter=",", header=head, comments="")


def _sign(value: Floats | float) -> Floats | float:
    return np.tanh(STEEP * np.asarray(value))


def _near(*center: float, width: float = 0.2) -> Callable[[np.random.Generator], Floats]:
    return lambda random: np.array(center) + width * random.normal(size=len(center))


def _pendulum(x: Floats, u: Floats) -> Floats:
    return np.array([x[1], (u[0] - 0.05 * x[1] - 0.1 * _sign(x[1]) - 4.9 * np.sin(x[0])) / 0.3])


def _arm(x: Floats, u: Floats) -> Floats:
    """Planar arm of three links with point masses at their ends, gravity and dry friction."""
    masses = np.array([1.0, 0.7, 0.4])
    lengths = np.array([0.4, 0.3, 0.2])
    angle = np.cumsum(x[:3])  # of each link, from straight down
    rate = np.cumsum(x[3:])
    carried = np.cumsum(masses[::-1])[::-1]
    coupled = np.minimum.outer(carried, carried) * np.multiply.outer(lengths, lengths)
    apart = np.subtract.outer(angle, angle)
    joint = u - 0.3 * x[3:] - 0.2 * np.tanh(20.0 * x[3:])
    forces = joint - np.append(joint[1:], 0.0)
    gravity = 9.81 * carried * lengths * np.sin(angle)
    turning = (coupled * np.sin(apart)) @ rate**2
    inertia = coupled * np.cos(apart) + 0.02 * np.eye(3)
    turned = np.asarray(np.linalg.solve(inertia, forces - gravity - turning), np.float64)
    return np.concatenate([x[3:], np.diff(turned, prepend=0.0)])


def _cart_pole(x: Floats, u: Floats) -> Floats:
    sine, cosine = np.sin(x[1]), np.cos(x[1])
    pushed = (u[0] - 0.5 * x[2] - 2.0 * x[0] + 0.05 * x[3] ** 2 * sine) / 1.1
    turned = (-9.81 * sine - cosine * pushed - 0.1 * x[3]) / (0.5 * (4.0 / 3.0 - cosine**2 / 11.0))
    return np.array([x[2], x[3], pushed - 0.045 * turned * cosine, turned])


def _backlash(x: Floats, u: Floats) -> Floats:
    apart = x[0] - x[1]
    force = 200.0 * (apart - np.clip(apart, -0.02, 0.02)) + 2.0 * (x[2] - x[3])
    driven = (u[0] - force - 1.0 * x[2]) / 0.5
    return np.array([x[2], x[3], driven, (force - 0.5 * x[3] - 4.0 * x[1]) / 1.0])


def _motor(x: Floats, u: Floats) -> Floats:
    friction = (0.1 + 0.15 * np.exp(-((x[0] / 0.5) ** 2))) * _sign(x[0]) + 0.02 * x[0]
    return np.array([(0.5 * u[0] - friction) / 0.05])


def _tanks(x: Floats, u: Floats) -> Floats:
    first, second = np.sqrt(np.maximum(x, 0.0))
    return np.array([0.05 * u[0] - 0.06 * first, 0.06 * first - 0.05 * second])


def _vehicle(x: Floats, u: Floats) -> Floats:
    speed = max(x[0], 2.0)
    front = u[0] - np.arctan2(x[1] + 1.2 * x[2], speed)
    rear = -np.arctan2(x[1] - 1.4 * x[2], speed)
    pushes = [9000.0 * math.sin(1.4 * math.atan(8.0 * slip)) for slip in (front, rear)]
    return np.array(
        [
            u[1] - 0.1 * (x[0] - 12.0) + x[1] * x[2],
            sum(pushes) / 1500.0 - speed * x[2],
            (1.2 * pushes[0] - 1.4 * pushes[1]) / 2500.0,
        ]
    )


def _drone(x: Floats, u: Floats) -> Floats:
    thrust = u.sum() / 1.2
    turned = (u[1] - u[0]) * 0.2 / 0.02 - 0.5 * x[5]
    drag = 0.2 * x[3:5]
    return np.array(
        [*x[3:], -thrust * np.sin(x[2]) - drag[0], thrust * np.cos(x[2]) - 9.81 - drag[1], turned]
    )


def _hover(x: Floats, goal: Floats) -> Floats:
    """Return the thrusts that take a planar drone to (x, z)."""
    tilt = np.clip(0.15 * (x[0] - goal[0]) + 0.25 * x[3], -0.5, 0.5)
    turn = 0.02 * (30.0 * (tilt - x[2]) - 8.0 * x[5]) / 0.2
    lift = 1.2 * (9.81 + 4.0 * (goal[1] - x[1]) - 3.0 * x[4])
    return np.clip(np.array([lift - turn, lift + turn]) / 2.0, 0.0, 15.0)


def _van_der_pol(x: Floats, u: Floats) -> Floats:
    return np.array([x[1], (1.0 - x[0] ** 2) * x[1] - x[0] + u[0]])


def _bouc_wen(x: Floats, u: Floats) -> Floats:
    slip = 10.0 * x[1] - 5.0 * (abs(x[1]) * x[2] + 0.6 * x[1] * abs(x[2]))
    return np.array([x[1], u[0] - 0.8 * x[1] - 20.0 * x[0] - x[2], slip])


def _delayed(x: Floats, u: Floats) -> Floats:
    return np.array([(2.0 * np.tanh(u[0]) - x[0]) / 1.5])


def _rod(x: Floats, u: Floats) -> Floats:
    flow = 0.08 * np.diff(x, prepend=x[0], append=x[-1])
    heated = np.append(0.5 * u[0], np.zeros(len(x) - 1))
    return np.diff(flow) + heated - 0.01 * (x - 20.0)


_JOINT, _SPEED = "rad", "rad/s"
SYSTEMS = {
    "pendulum": System(
        _pendulum, _near(0.0, 0.0), {"angle": _JOINT, "velocity": _SPEED}, {"torque": "N*m"}, (4.0,)
    ),
    "arm": System(
        _arm,
        _near(*[0.0] * 6, width=0.1),
        {f"q{n}": _JOINT for n in (1, 2, 3)} | {f"dq{n}": _SPEED for n in (1, 2, 3)},
        {f"tau{n}": "N*m" for n in (1, 2, 3)},
        (8.0, 4.0, 1.5),
    ),
    "cart_pole": System(
        _cart_pole,
        _near(*[0.0] * 4),
        {"x": "m", "theta": _JOINT, "x_velocity": "m/s", "theta_velocity": _SPEED},
        {"force": "N"},
        (4.0,),
    ),
    "backlash": System(
        _backlash,
        _near(*[0.0] * 4, width=0.02),
        {"motor_position": "m", "load_position": "m"}
        | {"motor_velocity": "m/s", "load_velocity": "m/s"},
        {"force": "N"},
        (3.0,),
    ),
    "motor": System(_motor, _near(0.0), {"velocity": _SPEED}, {"voltage": "V"}, (3.0,)),
    "tanks": System(
        _tanks,
        lambda random: random.uniform(0.5, 2.0, 2),
        {"level_1": "m", "level_2": "m"},
        {"pump_voltage": "V"},
        (3.0,),
        dt=1.0,
        slowest=200.0,
        lowest=0.0,
    ),
    "vehicle": System(
        _vehicle,
        lambda random: np.array([12.0, 0.0, 0.0]) + random.normal(size=3) * [1.0, 0.1, 0.1],
        {"vx": "m/s", "vy": "m/s", "yaw_rate": _SPEED},
        {"steering_angle": _JOINT, "acceleration_command": "m/s^2"},
        (0.12, 1.5),
    ),
    "drone": System(
        _drone,
        _near(*[0.0] * 6, width=0.05),
        {"x": "m", "z": "m", "pitch": _JOINT}
        | {"x_velocity": "m/s", "z_velocity": "m/s", "pitch_rate": _SPEED},
        {"thrust_1": "N", "thrust_2": "N"},
        (1.5, 1.0),
        slowest=8.0,
        control=_hover,
    ),
    "van_der_pol": System(
        _van_der_pol, _near(1.0, 0.0), {"x": "m", "x_velocity": "m/s"}, {"force": "N"}, (1.5,),
        dt=0.02, slowest=10.0,
    ),
    "bouc_wen": System(
        _bouc_wen,
        _near(*[0.0] * 3, width=0.05),
        {"y": "m", "y_velocity": "m/s"},
        {"force": "N"},
        (6.0,),
    ),
    "dead_time": System(
        _delayed, _near(0.0), {"temperature": "degC"}, {"heater_voltage": "V"}, (1.5,),
        dt=0.1, slowest=20.0, delay=0.8,
    ),
    "rod": System(
        _rod,
        lambda random: 20.0 + random.uniform(0.0, 5.0, 5),
        {f"temperature_{n}": "degC" for n in (1, 2, 3, 4, 5)},
        {"heater_power": "W"},
        (4.0,),
        dt=1.0,
        slowest=300.0,
        lowest=0.0,
    ),
}  # fmt: skip
