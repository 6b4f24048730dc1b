"""Fifteen kinds of faults of a log, each planted alone into an episode without faults.

Sizes: levels in which a sensor is off are 3 to 10 times its noise; heights of spikes and steps,
clipping and dead bands 5 to 20 % of the channel's limits (an angle without limits: of half a turn);
scales are off by 5 to 20 %. A kind returns None if the episode cannot show it: nothing
moves, or there is no second joint to swap with.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kinemill.task import Task
from kinemill.validate.faults import Values
from kinemill.validate.motion import velocity_pairs


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


def _pair(values: Values, task: Task, random) -> tuple[str, str] | None:
    """Return a (velocity, position) that moves: rms of at least 5 % of the limits."""
    candidates = [
        pair
        for pair in velocity_pairs(task)
        if np.sqrt(np.mean(values[pair[0]] ** 2)) > 0.05 * reach(task, pair[0])
    ]
    return candidates[random.integers(len(candidates))] if candidates else None


def _noise(values: Values, task: Task, velocity: str, position: str) -> float:
    slope = np.gradient(values[position], task.dt)
    return 1.4826 * float(np.median(np.abs(values[velocity] - slope)))


def _share(random) -> float:
    return float(random.uniform(0.05, 0.2))


def _sign(random) -> float:
    return float(random.choice([-1.0, 1.0]))


def _changed(values: Values, name: str, column, channels, size: str) -> Planted:
    return Planted({**values, name: column}, channels, size)


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
    return _changed(values, name, column, (name,), f"{share:.0%}")


def _spike(values: Values, name: str, task: Task, random) -> Planted:
    share, column = _share(random), values[name].copy()
    column[_random_slice(len(column), int(random.integers(1, 3)), random)] += (
        _sign(random) * share * reach(task, name)
    )
    return _changed(values, name, column, (name,), f"{share:.0%} of {name}")


@kind("spike in a velocity", "spike", "max_jump", "limits")
def velocity_spike(values: Values, task: Task, random) -> Planted | None:
    """Add 5 to 20 % of the limits to one or two rows."""
    pair = _pair(values, task, random)
    return pair and _spike(values, pair[0], task, random)


@kind("spike in a position", "spike", "max_jump", "limits")
def position_spike(values: Values, task: Task, random) -> Planted | None:
    """Add 5 to 20 % of the limits to one or two rows."""
    pair = _pair(values, task, random)
    return pair and _spike(values, pair[1], task, random)


@kind("slipped encoder", "slip", "max_jump")
def slipped(values: Values, task: Task, random) -> Planted | None:
    """Add 5 to 20 % of the limits to a position from some row on."""
    pair = _pair(values, task, random)
    if pair is None:
        return None
    share, column = _share(random), values[pair[1]].copy()
    rows = len(column)
    column[int(random.integers(rows // 10, 9 * rows // 10)) :] += (
        _sign(random) * share * reach(task, pair[1])
    )
    return _changed(values, pair[1], column, (pair[1],), f"{share:.0%}")


@kind("frozen sensor", "stuck")
def frozen_sensor(values: Values, task: Task, random) -> Planted | None:
    """Repeat one value of a position or velocity for 0.6 to 1.5 s in which the robot moves."""
    pair = _pair(values, task, random)
    if pair is None:
        return None
    seconds, name = float(random.uniform(0.6, 1.5)), pair[int(random.integers(2))]
    where = _random_slice(len(values[name]), round(seconds / task.dt), random)
    if np.sqrt(np.mean(values[pair[0]][where] ** 2)) < 0.05 * reach(task, pair[0]):
        return None
    if name == pair[0]:  # what it would hide is how its position leaves a straight line
        path = values[pair[1]][where]
        line = path[0] + values[name][where.start] * task.dt * np.arange(len(path))
        if np.ptp(path - line) < 0.05 * reach(task, pair[1]):
            return None
    column = values[name].copy()
    column[where] = column[where.start]
    return _changed(values, name, column, (name,), f"{seconds:.1f} s of {name}")


@kind("clipped velocity", "saturated")
def clipped(values: Values, task: Task, random) -> Planted | None:
    """Clip a velocity 5 to 20 % of its limits below its peak."""
    pair = _pair(values, task, random)
    if pair is None:
        return None
    share, column = _share(random), values[pair[0]]
    end = float(np.abs(column).max()) - share * reach(task, pair[0])
    beyond = np.abs(column) > end
    if end <= 0.05 * reach(task, pair[0]) or np.count_nonzero(beyond[1:] & beyond[:-1]) < 4:
        return None
    return _changed(values, pair[0], np.clip(column, -end, end), (pair[0],), f"{share:.0%}")


@kind("dead band", "dead_band")
def dead_band(values: Values, task: Task, random) -> Planted | None:
    """Set velocities below 5 to 20 % of the limits to zero."""
    pair = _pair(values, task, random)
    if pair is None:
        return None
    share, column = _share(random), values[pair[0]]
    small = np.abs(column) < share * reach(task, pair[0])
    if small.all():
        return None
    return _changed(values, pair[0], np.where(small, 0.0, column), (pair[0],), f"{share:.0%}")


@kind("wrap-around of a velocity", "wrap_around")
def wrapped(values: Values, task: Task, random) -> Planted | None:
    """Let a velocity come back at the other end beyond 50 to 90 % of its peak."""
    pair = _pair(values, task, random)
    if pair is None:
        return None
    share, column = float(random.uniform(0.5, 0.9)), values[pair[0]]
    end = share * float(np.abs(column).max())
    wrong = column - 2 * end * np.round(column / (2 * end))
    return _changed(values, pair[0], wrong, (pair[0],), f"{share:.0%} of the peak")


@kind("scaled velocity", "velocity")
def scaled(values: Values, task: Task, random) -> Planted | None:
    """Multiply or divide a velocity by 1.05 to 1.2."""
    pair = _pair(values, task, random)
    if pair is None:
        return None
    factor = float(1.0 + _share(random)) ** _sign(random)
    return _changed(values, pair[0], factor * values[pair[0]], pair, f"{factor:.2f}")


@kind("offset velocity", "velocity")
def offset(values: Values, task: Task, random) -> Planted | None:
    """Add 3 to 10 times its noise to a velocity."""
    pair = _pair(values, task, random)
    if pair is None:
        return None
    times = _sign(random) * float(random.uniform(3.0, 10.0))
    size = times * _noise(values, task, *pair)
    return _changed(values, pair[0], values[pair[0]] + size, pair, f"{times:.1f} x noise")


@kind("late velocity", "velocity")
def late(values: Values, task: Task, random) -> Planted | None:
    """Delay a velocity by 3 to 10 rows."""
    pair = _pair(values, task, random)
    if pair is None:
        return None
    rows, column = int(random.integers(3, 11)), values[pair[0]]
    wrong = np.concatenate((np.full(rows, column[0]), column[:-rows]))
    return _changed(values, pair[0], wrong, pair, f"{rows} rows")


@kind("flipped sign", "velocity")
def flipped(values: Values, task: Task, random) -> Planted | None:
    """Count a velocity, or a position, the other way round."""
    pair = _pair(values, task, random)
    if pair is None:
        return None
    name = pair[int(random.integers(2))]
    return _changed(values, name, -values[name], pair, name)


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
    if not all(
        np.sqrt(np.mean(values[velocity] ** 2)) > 0.05 * reach(task, velocity)
        for velocity, _ in candidates
    ):
        return None
    one, other = candidates[0][which], candidates[1][which]
    names = (*candidates[0], *candidates[1])
    return Planted({**values, one: values[other], other: values[one]}, names, f"{one}, {other}")


@kind("degrees for radians", "angle_unit")
def degrees(values: Values, task: Task, random) -> Planted | None:
    """Give an angle, or its velocity, in degrees."""
    pair = _pair(values, task, random)
    if pair is None or task.channels[pair[1]].unit != "rad":
        return None
    name = pair[int(random.integers(2))]
    return _changed(values, name, np.degrees(values[name]), (name,), name)


@kind("wrong rate of the clock", "time_unit", "velocity")
def wrong_rate(values: Values, task: Task, random) -> Planted | None:
    """Play the log 2 to 5 times too slowly: rows are closer in time than the task believes.

    With one joint alone nothing tells this from a scaled velocity, so that name counts there.
    """
    pair = _pair(values, task, random)
    factor = float(random.choice([2.0, 2.5, 4.0, 5.0]))
    rows = len(values[task.states[0]])
    if pair is None:
        return None
    later = np.arange(rows) / factor
    played = {name: np.interp(later, np.arange(rows), item) for name, item in values.items()}
    if not all(
        np.sqrt(np.mean(played[velocity] ** 2)) > 0.05 * reach(task, velocity)
        for velocity, _ in velocity_pairs(task)
    ):
        return None
    count = len(list(velocity_pairs(task)))
    return Planted(played, (None,) if count > 1 else (None, *pair), f"{factor:g} times")
