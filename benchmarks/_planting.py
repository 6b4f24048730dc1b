"""Sound episodes of a simulated cart-pole, and fifteen kinds of faults, each planted alone.

Sizes: levels in which a sensor is off are 3 to 10 times its noise; heights of spikes and steps,
clipping and dead bands 5 to 20 % of the channel's limits (an angle without limits: of half a turn);
scales are off by 5 to 20 %. A kind returns None if the episode cannot show it: nothing
moves, or there is no second joint to swap with.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import EXAMPLES
from kinemill.control.sim import SIMULATORS
from kinemill.task import Task, load_task
from kinemill.validate.faults import Values
from kinemill.validate.motion import velocity_pairs

SECONDS = 5.0


@dataclass(frozen=True)
class Episode:
    """A sound episode: channel -> (n,), in the units of its task."""

    name: str
    task: Task
    values: Values


def simulated_episodes(seed: int, logs: int) -> list[Episode]:
    """Return the episodes of logs of 15 s, on the time step of their task."""
    task, simulator = load_task(EXAMPLES / "cart_pole.yaml"), SIMULATORS["cart_pole"]()
    rows, episodes = round(SECONDS / task.dt), list[Episode]()
    for number in range(logs):
        log = simulator.log(15.0, np.random.default_rng([seed, number]))
        stamps = log["timestamp"]
        grid = np.arange(stamps[0], stamps[-1], task.dt)
        columns = {
            name: np.interp(grid, stamps, log[task.channels[name].source[0].name])
            for name in task.columns
        }
        for start in range(0, len(grid) - rows + 1, rows):
            values = {name: column[start : start + rows] for name, column in columns.items()}
            episodes.append(Episode(f"cart_pole-{number}@{grid[start]:.1f}", task, values))
    return episodes


@dataclass(frozen=True)
class Planted:
    """An episode with one defect, the channels that may be named for it, and its size."""

    values: Values
    channels: tuple[str | None, ...]
    size: str


Plant = Callable[[Values, Task, np.random.Generator], Planted | None]
KINDS: dict[str, tuple[Plant, tuple[str, ...]]] = {}


def kind(title: str, *names: str):
    """Register a way to plant, and the checks that name it."""

    def register(plant: Plant) -> Plant:
        KINDS[title] = (plant, names)
        return plant

    return register


def reach(task: Task, name: str) -> float:
    """Return half of what a channel may span, in its unit."""
    limits = task.channels[name].limits
    return 0.5 * (limits[1] - limits[0]) if limits else np.pi


@dataclass(frozen=True)
class Motion:
    """An episode and one of its velocities, with the position that it is the slope of."""

    values: Values
    task: Task
    velocity: str
    position: str

    @property
    def pair(self) -> tuple[str, str]:
        """The names of velocity and position."""
        return self.velocity, self.position

    @property
    def speed(self) -> NDArray[np.float64]:
        """The column of the velocity."""
        return self.values[self.velocity]

    def reach(self, name: str) -> float:
        """Return half of what a channel may span, in its unit."""
        return reach(self.task, name)

    def changed(self, name: str, column, size: str, channels=None) -> Planted:
        """Return the episode with another column; by default its channel has to be named."""
        return Planted({**self.values, name: column}, channels or (name,), size)


def of_pair(title: str, *names: str):
    """Register a way to plant into a velocity, or its position, that moves."""

    def register(plant: Callable[[Motion, np.random.Generator], Planted | None]):
        @kind(title, *names)
        def planted(values: Values, task: Task, random) -> Planted | None:
            pairs = [pair for pair in velocity_pairs(task) if _moves(values, task, pair[0])]
            if not pairs:
                return None
            return plant(Motion(values, task, *pairs[random.integers(len(pairs))]), random)

        return planted

    return register


def _moves(values: Values, task: Task, velocity: str, where: slice = slice(None)) -> bool:
    """Return whether a velocity has an rms of at least 5 % of the limits."""
    return bool(np.sqrt(np.mean(values[velocity][where] ** 2)) > 0.05 * reach(task, velocity))


def _share(random) -> float:
    return float(random.uniform(0.05, 0.2))


def _sign(random) -> float:
    return float(random.choice([-1.0, 1.0]))


def _random_slice(rows: int, length: int, random) -> slice:
    start = int(random.integers(5, rows - length - 5))
    return slice(start, start + length)


@kind("out of limits", "limits")
def beyond_limits(values: Values, task: Task, random) -> Planted | None:
    """Hold a limited channel 5 to 20 % of its limits beyond one of them, for 3 to 20 rows."""
    limited = [name for name in task.columns if task.channels[name].limits]
    name, share, sign = limited[random.integers(len(limited))], _share(random), _sign(random)
    low, high = task.channels[name].limits or (0.0, 0.0)
    where = _random_slice(len(values[name]), int(random.integers(3, 21)), random)
    column = values[name].copy()
    column[where] = (high if sign > 0 else low) + sign * share * reach(task, name)
    return Planted({**values, name: column}, (name,), f"{share:.0%}")


def _spike(motion: Motion, name: str, random) -> Planted:
    share, column = _share(random), motion.values[name].copy()
    column[_random_slice(len(column), int(random.integers(1, 3)), random)] += (
        _sign(random) * share * motion.reach(name)
    )
    return motion.changed(name, column, f"{share:.0%} of {name}")


@of_pair("spike in a velocity", "spike", "max_jump", "limits")
def velocity_spike(motion: Motion, random) -> Planted | None:
    """Add 5 to 20 % of the limits to one or two rows."""
    return _spike(motion, motion.velocity, random)


@of_pair("spike in a position", "spike", "max_jump", "limits")
def position_spike(motion: Motion, random) -> Planted | None:
    """Add 5 to 20 % of the limits to one or two rows."""
    return _spike(motion, motion.position, random)


@of_pair("slipped encoder", "slip", "max_jump")
def slipped(motion: Motion, random) -> Planted | None:
    """Add 5 to 20 % of the limits to a position from some row on."""
    share, column = _share(random), motion.values[motion.position].copy()
    rows = len(column)
    column[int(random.integers(rows // 10, 9 * rows // 10)) :] += (
        _sign(random) * share * motion.reach(motion.position)
    )
    return motion.changed(motion.position, column, f"{share:.0%}")


@of_pair("frozen sensor", "stuck")
def frozen_sensor(motion: Motion, random) -> Planted | None:
    """Repeat one value of a position or velocity for 0.6 to 1.5 s in which the robot moves."""
    seconds, name = float(random.uniform(0.6, 1.5)), motion.pair[int(random.integers(2))]
    values, dt = motion.values, motion.task.dt
    where = _random_slice(len(values[name]), round(seconds / dt), random)
    if not _moves(values, motion.task, motion.velocity, where):
        return None
    if name == motion.velocity:  # what it would hide is how its position leaves a straight line
        path = values[motion.position][where]
        line = path[0] + values[name][where.start] * dt * np.arange(len(path))
        if np.ptp(path - line) < 0.05 * motion.reach(motion.position):
            return None
    column = values[name].copy()
    column[where] = column[where.start]
    return motion.changed(name, column, f"{seconds:.1f} s of {name}")


@of_pair("clipped velocity", "saturated")
def clipped(motion: Motion, random) -> Planted | None:
    """Clip a velocity 5 to 20 % of its limits below its peak."""
    share, reach_ = _share(random), motion.reach(motion.velocity)
    end = float(np.abs(motion.speed).max()) - share * reach_
    beyond = np.abs(motion.speed) > end
    if end <= 0.05 * reach_ or np.count_nonzero(beyond[1:] & beyond[:-1]) < 4:
        return None
    return motion.changed(motion.velocity, np.clip(motion.speed, -end, end), f"{share:.0%}")


@of_pair("dead band", "dead_band")
def dead_band(motion: Motion, random) -> Planted | None:
    """Set velocities below 5 to 20 % of the limits to zero."""
    share = _share(random)
    small = np.abs(motion.speed) < share * motion.reach(motion.velocity)
    if small.all():
        return None
    return motion.changed(motion.velocity, np.where(small, 0.0, motion.speed), f"{share:.0%}")


@of_pair("wrap-around of a velocity", "wrap_around")
def wrapped(motion: Motion, random) -> Planted | None:
    """Let a velocity come back at the other end beyond 50 to 90 % of its peak."""
    share, column = float(random.uniform(0.5, 0.9)), motion.speed
    end = share * float(np.abs(column).max())
    wrong = column - 2 * end * np.round(column / (2 * end))
    return motion.changed(motion.velocity, wrong, f"{share:.0%} of the peak")


@of_pair("scaled velocity", "velocity")
def scaled(motion: Motion, random) -> Planted | None:
    """Multiply or divide a velocity by 1.05 to 1.2."""
    factor = float(1.0 + _share(random)) ** _sign(random)
    return motion.changed(motion.velocity, factor * motion.speed, f"{factor:.2f}", motion.pair)


@of_pair("offset velocity", "velocity")
def offset(motion: Motion, random) -> Planted | None:
    """Add 3 to 10 times its noise to a velocity."""
    times = _sign(random) * float(random.uniform(3.0, 10.0))
    slope = np.gradient(motion.values[motion.position], motion.task.dt)
    noise = 1.4826 * float(np.median(np.abs(motion.speed - slope)))
    column = motion.speed + times * noise
    return motion.changed(motion.velocity, column, f"{times:.1f} x noise", motion.pair)


@of_pair("late velocity", "velocity")
def late(motion: Motion, random) -> Planted | None:
    """Delay a velocity by 3 to 10 rows."""
    rows = int(random.integers(3, 11))
    wrong = np.concatenate((np.full(rows, motion.speed[0]), motion.speed[:-rows]))
    return motion.changed(motion.velocity, wrong, f"{rows} rows", motion.pair)


@of_pair("flipped sign", "velocity")
def flipped(motion: Motion, random) -> Planted | None:
    """Count a velocity, or a position, the other way round."""
    name = motion.pair[int(random.integers(2))]
    return motion.changed(name, -motion.values[name], name, motion.pair)


@kind("swapped channels", "swapped")
def swapped(values: Values, task: Task, random) -> Planted | None:
    """Exchange two velocities, or two positions, of one unit."""
    candidates = list(velocity_pairs(task))
    if (
        len(candidates) < 2
        or task.channels[candidates[0][0]].unit != task.channels[candidates[1][0]].unit
    ):
        return None
    which = int(random.integers(2))
    if not all(_moves(values, task, velocity) for velocity, _ in candidates):
        return None
    one, other = candidates[0][which], candidates[1][which]
    names = (*candidates[0], *candidates[1])
    return Planted({**values, one: values[other], other: values[one]}, names, f"{one}, {other}")


@of_pair("degrees for radians", "angle_unit")
def degrees(motion: Motion, random) -> Planted | None:
    """Give an angle, or its velocity, in degrees."""
    if motion.task.channels[motion.position].unit != "rad":
        return None
    name = motion.pair[int(random.integers(2))]
    return motion.changed(name, np.degrees(motion.values[name]), name)


@of_pair("wrong rate of the clock", "time_unit", "velocity")
def wrong_rate(motion: Motion, random) -> Planted | None:
    """Play the log 2 to 5 times too slowly: rows are closer in time than the task believes.

    With one joint alone nothing tells this from a scaled velocity, so that name counts there.
    """
    factor, task = float(random.choice([2.0, 2.5, 4.0, 5.0])), motion.task
    rows = np.arange(len(motion.values[task.states[0]]))
    played = {name: np.interp(rows / factor, rows, item) for name, item in motion.values.items()}
    pairs = list(velocity_pairs(task))
    if not all(_moves(played, task, velocity) for velocity, _ in pairs):
        return None
    channels = (None,) if len(pairs) > 1 else (None, *motion.pair)
    return Planted(played, channels, f"{factor:g} times")
