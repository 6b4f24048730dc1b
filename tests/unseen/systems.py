"""Synthetic systems of a structure that no part of the package was developed on.

Each is a generator of whole episodes with known physics, as logs or as packed rows. They stand for
real cases in which a verdict was wrong: see `test_verdicts.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """A plant with its sensors.

    Attributes:
        name: of the task.
        dt: time step of the logs, s.
        channels: settings of each, states first.
        episode: (generator, rows) -> (rows, channels), in the channels' units.
    """

    name: str
    dt: float
    channels: Mapping[str, Mapping[str, str]]
    episode: Callable[[np.random.Generator, int], Array]

    @property
    def states(self) -> list[str]:
        """Names of the states."""
        return [name for name, one in self.channels.items() if one["role"] == "state"]

    def episodes(self, count: int, rows: int, seed: int) -> list[Array]:
        """Return episodes (rows, channels), each from a generator of its own."""
        return [self.episode(np.random.default_rng([seed, k]), rows) for k in range(count)]


def colored(
    random: np.random.Generator, rows: int, dt: float, band: tuple[float, float], rms: float
) -> Array:
    """Return a random multisine of 12 lines in `band` Hz, (rows,), of root mean square `rms`."""
    lines, time = 12, np.arange(rows) * dt
    frequency = random.uniform(*band, lines)
    phase = random.uniform(0.0, 2 * np.pi, lines)
    return rms * np.sqrt(2 / lines) * np.sin(2 * np.pi * np.outer(time, frequency) + phase).sum(1)


def steps(random: np.random.Generator, rows: int, hold: int, size: float) -> Array:
    """Return values in [-size, size] that are held for `hold` rows each, (rows,)."""
    return np.repeat(random.uniform(-size, size, rows // hold + 1), hold)[:rows]


def _state(unit: str, **more: str) -> dict[str, str]:
    return {"role": "state", "unit": unit, **more}


def _action(unit: str) -> dict[str, str]:
    return {"role": "action", "unit": unit}


FINE = 5  # integration steps within one row


def _axis(random: np.random.Generator, rows: int) -> Array:
    """m v' = F - b v - f tanh(v / v0): m 2 kg, b 40 N s/m, f 8 N, v0 0.01 m/s.

    The position is counted in steps of 10 µm, the velocity has a noise of 2 mm/s.
    """
    dt = 0.002
    force = colored(random, rows, dt, (0.2, 1.2), 12.0) + steps(random, rows, 20, 8.0)
    x, v, result = random.uniform(-0.3, 0.3), 0.0, np.empty((rows, 3))
    for k in range(rows):
        result[k] = x, v, force[k]
        for _ in range(FINE):
            v += dt / FINE * (force[k] - 40.0 * v - 8.0 * np.tanh(v / 0.01)) / 2.0
            x += dt / FINE * v
    result[:, 0] = np.round(result[:, 0] / 1e-5) * 1e-5
    result[:, 1] += random.normal(size=rows) * 2e-3
    return result


# Travels decimeters in an episode and millimeters in a window of 35 rows.
AXIS = System(
    "axis",
    0.002,
    {
        "position": _state("m", kind="coordinate"),
        "velocity": _state("m/s", derivative_of="position"),
        "force": _action("N"),
    },
    _axis,
)

MODES = np.array([4.0, 9.0, 14.0])  # Hz
DAMPING = 0.01
SHAPES = np.array([[1.0, 0.8, 0.6], [0.9, -0.5, -0.8], [0.7, -0.9, 0.9]])  # sensor, mode


def _structure(random: np.random.Generator, rows: int) -> Array:
    """q'' = -2 ζ ω q' - ω² q + F of three modes; accelerations at three places, 1 % noise."""
    dt, fine = 0.01, 20
    omega = 2 * np.pi * MODES
    force = colored(random, rows * fine, dt / fine, (1.0, 18.0), 1.0)
    q, rate, result = np.zeros(3), np.zeros(3), np.empty((rows, 4))
    for k in range(rows * fine):
        acceleration = force[k] - 2 * DAMPING * omega * rate - omega**2 * q
        if k % fine == 0:
            result[k // fine] = *(SHAPES @ acceleration), force[k]
        rate += dt / fine * acceleration
        q += dt / fine * rate
    result[:, :3] += 0.01 * result[:, :3].std(0) * random.normal(size=(rows, 3))
    return result


STRUCTURE = System(
    "structure",
    0.01,
    {**{f"acceleration_{k}": _state("m/s^2") for k in (1, 2, 3)}, "force": _action("N")},
    _structure,
)


def _pendulum(random: np.random.Generator, rows: int) -> Array:
    """θ'' = -25 sin θ - 0.3 θ' + 8 u, noise of 0.1 mrad and 1 mrad/s."""
    dt = 0.02
    torque = steps(random, rows, 15, 1.0)
    angle, rate, result = random.uniform(-1.0, 1.0), 0.0, np.empty((rows, 3))
    for k in range(rows):
        result[k] = angle, rate, torque[k]
        for _ in range(FINE):
            rate += dt / FINE * (-25.0 * np.sin(angle) - 0.3 * rate + 8.0 * torque[k])
            angle += dt / FINE * rate
    result[:, :2] += random.normal(size=(rows, 2)) * [1e-4, 1e-3]
    return result


PENDULUM = System(
    "swing",
    0.02,
    {
        "angle": _state("rad", kind="angle"),
        "rate": _state("rad/s", derivative_of="angle"),
        "torque": _action("N*m"),
    },
    _pendulum,
)


STIFFER = 60.0  # of each slide's spring, by the other's place, 1/(m s)²


def _arm(random: np.random.Generator, rows: int, resting: float = 0.0) -> Array:
    """Two slides on one elastic link: a spring that no linear model has, nor simple mechanics.

    a1 = 10 u1 - 20 q1 - 60 q1 q2² - 4 v1, a2 = 8 u2 - 15 q2 - 60 q2 q1² - 3 v2. Without action over
    the last `resting` of the rows, they come to rest within a second; sensors have a noise of
    1 mm and 1 mm/s.
    """
    dt, still = 0.02, round(rows * (1.0 - resting))
    drive = np.stack([steps(random, rows, 12, 1.0), steps(random, rows, 17, 1.0)], axis=1)
    drive[still:] = 0.0
    q, v, result = random.uniform(-0.3, 0.3, 2), np.zeros(2), np.empty((rows, 6))
    for k in range(rows):
        result[k] = *q, *v, *drive[k]
        for _ in range(FINE):
            first = 10 * drive[k, 0] - (20 + STIFFER * q[1] ** 2) * q[0] - 4 * v[0]
            second = 8 * drive[k, 1] - (15 + STIFFER * q[0] ** 2) * q[1] - 3 * v[1]
            v = v + dt / FINE * np.array([first, second])
            q = q + dt / FINE * v
    result[:, :4] += random.normal(size=(rows, 4)) * 1e-3
    return result


ARM_CHANNELS = {
    "reach": _state("m"),
    "lift": _state("m"),
    "reach_rate": _state("m/s", derivative_of="reach"),
    "lift_rate": _state("m/s", derivative_of="lift"),
    "reach_drive": _action("1"),
    "lift_drive": _action("1"),
}
ARM = System("arm", 0.02, ARM_CHANNELS, _arm)


def _resting_arm(random: np.random.Generator, rows: int) -> Array:
    """Return an episode of the arm that is over after 60 % of its rows; it rests in a third."""
    return _arm(random, rows, resting=0.4)


RESTING_ARM = System("arm", 0.02, ARM_CHANNELS, _resting_arm)


def _mass(random: np.random.Generator, rows: int) -> Array:
    """x'' = -30 x - 1.2 x' + 5 F, exactly as the action is held; noise of 1e-4 of a meter, m/s."""
    dt = 0.02
    force = steps(random, rows, 9, 1.0)
    x, v, result = random.uniform(-0.1, 0.1), 0.0, np.empty((rows, 3))
    for k in range(rows):
        result[k] = x, v, force[k]
        for _ in range(FINE):
            v += dt / FINE * (-30.0 * x - 1.2 * v + 5.0 * force[k])
            x += dt / FINE * v
    result[:, :2] += random.normal(size=(rows, 2)) * 1e-4
    return result


# Linear: no model can be better than a linear one.
MASS = System(
    "mass",
    0.02,
    {
        "position": _state("m"),
        "velocity": _state("m/s", derivative_of="position"),
        "force": _action("N"),
    },
    _mass,
)


def _drive(random: np.random.Generator, rows: int) -> Array:
    """A positioning drive with stiction under its own controller: moves, then holds for long.

    v' = 60 i - 4 v - 6 tanh(v / 0.005), i by a controller toward set-points held for 1.5 s.
    """
    dt, target = 0.01, steps(random, rows, 150, 0.2)
    x, v, result = float(target[0]), 0.0, np.empty((rows, 3))
    for k in range(rows):
        expected = np.clip(12.0 * (target[k] - x), -0.4, 0.4)
        current = float(np.clip(1.5 * (expected - v), -0.6, 0.6))
        result[k] = x, v, current
        for _ in range(10 * FINE):
            v += dt / FINE / 10 * (60.0 * current - 4.0 * v - 6.0 * np.tanh(v / 0.005))
            x += dt / FINE / 10 * v
    result[:, 1] += random.normal(size=rows) * 2e-3
    return result


DRIVE = System(
    "drive",
    0.01,
    {
        "position": _state("m"),
        "velocity": _state("m/s", derivative_of="position"),
        "current": _action("A"),
    },
    _drive,
)


def write_csv(path: Path, system: System, values: Array) -> None:
    """Write an episode as a log, time in s first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(len(values)) * system.dt
    header = ",".join(["timestamp", *system.channels])
    table = np.column_stack([time, values])
    np.savetxt(path, table, fmt="%.9g", delimiter=",", header=header, comments="")


def write_task(path: Path, system: System, settings: Mapping[str, object]) -> None:
    """Write the task file of a system, with more settings beside its channels."""
    task = {"task": system.name, "dt": system.dt, "channels": dict(system.channels)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        yaml.safe_dump(
            {**task, "ingest": {"time": "timestamp", "min_file_age": 0}, **settings},
            sort_keys=False,
        )
    )
