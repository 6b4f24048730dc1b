"""A sensor that keeps one value while the robot moves: a frozen encoder or stale messages.

A robot at rest also keeps its values (a pendulum balanced upright holds one encoder step for 1.3
s), so a constant value alone is not a fault. Another signal must contradict it: the channel's
derivative, the channel it is the derivative of, or, without either, the channel's usual behavior.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Seconds, Task, in_unit, rotations
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, ends_smoothly
from kinemill.validate.signal_stats import extremes, held_values, resolution

LEAST_ROWS = 10  # in a slow log two equal values in a row are half a second, and no evidence
_MIN_MOTION = 0.1  # minimum movement that contradicts a constant value, in the unit of the position
# Minimum velocity that counts as movement, as a multiple of its noise; real velocities at rest have
# 0.9 to 1.3.
_NOISE = 3.0
_FINE = 1e-3  # of the span of a position: it can be a step of a sensor that rarely rests
_SHARE = 0.01  # of the span of a velocity: a smaller difference over its rows is no contradiction
_FAR = 10.0  # least length of a rest, as a multiple of that of all others, of a coarse sensor
_END = 0.01  # of the span of a channel: a rest so near to its ends is at a stop
# Velocity that a robot at rest may show, in its unit; movement that contradicts a constant value
# must be faster.
_BIAS = 0.04


@CHECKS.register("stuck")
class Stuck(CheckSettings):
    """No state keeps one value for longer than `seconds` while another channel shows movement.

    At least `LEAST_ROWS` steps are allowed, so that slow logs of a coarse sensor pass.
    """

    phase: ClassVar[Literal["stretch", "episode"]] = "stretch"
    channel_keys: ClassVar[tuple[str, ...]] = ("ignore",)
    seconds: Seconds = 0.5
    """longest allowed constant stretch, s"""
    ignore: list[str] = []
    """channels that are not checked"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the stretches of channel -> (n,) in which a state is frozen."""
        faults: list[Fault] = []
        for name in task.states:
            if name in self.ignore:
                continue
            stretches = held_values(values, name)
            for start, stop in stretches:
                if stop - start - 1 > self._rows(task):
                    rest = _Rest(name, start, stop, stretches, values, task)
                    if proof := self._proof(rest):
                        faults.append(_fault(rest, proof))
        return faults

    def _rows(self, task: Task) -> int:
        """Return the most steps in which a state may keep one value."""
        return max(int(self.seconds / task.dt + 1e-9), LEAST_ROWS)

    def _proof(self, rest: "_Rest") -> str | None:
        """Describe what contradicts the constant value, or return None."""
        name = rest.name
        values = rest.values
        task = rest.task
        element = task.channels[name].kind == "quaternion"
        if element and not _rotation_rests(rest):
            return None  # a rotation about another axis keeps this element constant
        children = [key for key in values if task.channels[key].derivative_of == name]
        rows = slice(rest.start, rest.stop)
        seconds = (rest.stop - rest.start) * task.dt
        for child in children:
            distance = self._traveled(values[child][rows], task.dt)
            least = _MIN_MOTION + seconds * resolution(values, child)
            coarse = max(2.0 * resolution(values, name), _FINE * float(np.ptp(values[name])))
            if distance > least + coarse:
                return (
                    f"{child} shows a movement of {distance:.3g}{in_unit(task.channels[name].unit)}"
                )
        parent = task.channels[name].derivative_of
        if parent:
            path = values[parent][rows]
            line = path[0] + values[name][rest.start] * task.dt * np.arange(len(path))
            remaining = self._unbiased(path - line, task.dt)
            low, high = extremes(values, name)
            error = max(resolution(values, name), _SHARE * (high - low))
            # The steps of a coarse position are the largest changes from row to row.
            coarse = 2.0 * float(np.abs(np.diff(remaining)).max())
            if (distance := _moved(remaining)) > _MIN_MOTION + seconds * error + coarse:
                unit = task.channels[parent].unit
                return f"{parent} moved {distance:.3g}{in_unit(unit)} away from that velocity"
        if children or parent:
            return None
        return self._habit(rest)

    def _traveled(self, velocity: Array, dt: float) -> float:
        """Return the distance that (n,) unit/s covers, in unit; 0 if it is within its noise."""
        level = float(np.sqrt(np.mean(velocity**2)))
        noise = float(np.std(np.diff(velocity))) / np.sqrt(2.0)
        if level <= _NOISE * noise:
            return 0.0
        return float(np.ptp(self._unbiased(np.cumsum(velocity) * dt, dt)))

    def _unbiased(self, path: Array, dt: float) -> Array:
        """Return a path (n,) without the drift that the bias of a velocity adds to it."""
        seconds = dt * np.arange(len(path))
        drift = (path[-1] - path[0]) / max(float(seconds[-1]), dt)
        return path - np.clip(drift, -_BIAS, _BIAS) * seconds

    def _habit(self, rest: "_Rest") -> str | None:
        """Distinguish a frozen sensor from a resting joint by the channel's other rows.

        A sensor is frozen if it is noisy in all other rows, and constant in a long stretch in
        which another state moves as usual. A gripper, which often rests for any time, is not, and
        neither is a heading without noise, which continues from its value after a straight line.
        A coarse sensor repeats values in many rows; it is frozen if it does so many times longer
        than ever else, between its ends, while an action moves as usual.
        """
        if proof := self._longest_by_far(rest):
            return proof
        most = self._rows(rest.task)
        long = [stop - start for start, stop in rest.all_rests if stop - start > most]
        middling = [stop - start > most / 5 for start, stop in rest.all_rests]
        if sum(long) > len(rest.values[rest.name]) / 2 or sum(middling) > len(long):
            return None
        if ends_smoothly(rest.values[rest.name], rest.start, rest.stop, 0.0):
            return None
        if active := rest.active_channels(rest.task.states):
            return f"{active[0]} moves, and {rest.name} never rests at another value"
        return None

    def _longest_by_far(self, rest: "_Rest") -> str | None:
        channel = rest.values[rest.name]
        low, high = extremes(rest.values, rest.name)
        others = [stop - start for start, stop in rest.all_rests if start != rest.start]
        longest = max(others, default=0)
        is_end = min(abs(channel[rest.start] - end) for end in (low, high)) <= _END * (high - low)
        if rest.start == 0 or is_end or rest.stop - rest.start <= _FAR * max(longest, 1):
            return None
        if ends_smoothly(channel, rest.start, rest.stop, 0.0):
            return None
        actions = rest.active_channels(rest.task.actions)
        if not actions or not rest.active_channels(rest.task.states):
            return None
        return f"{actions[0]} moves, and {rest.name} rests for at most {longest} rows elsewhere"


@dataclass(frozen=True)
class _Rest:
    """A stretch of rows, `start` to `stop` (not included), in which a state keeps one value."""

    name: str
    start: int
    stop: int
    all_rests: list[tuple[int, int]]
    values: Values
    task: Task

    def active_channels(self, names: Sequence[str]) -> list[str]:
        """Return the other channels that move in these rows about as much as usual."""
        usual = {name: float(np.std(self.values[name])) for name in names if name != self.name}
        rows = slice(self.start, self.stop)
        return [n for n, std in usual.items() if np.std(self.values[n][rows]) > std / 4 > 0.0]


def _rotation_rests(rest: _Rest) -> bool:
    """Return whether every element of the quaternion that a state is part of keeps its value."""
    (elements,) = [names for names in rotations(rest.task.channels) if rest.name in names]
    return all(
        any(
            start <= rest.start and rest.stop <= stop
            for start, stop in held_values(rest.values, element)
        )
        for element in elements
    )


def _moved(path: Array) -> float:
    """Return the distance that (n,) covers without its largest step, which can be a slip."""
    change = np.diff(path)
    change[np.argmax(np.abs(change))] = 0.0
    return float(np.ptp(np.cumsum(change)))


def _fault(rest: _Rest, proof: str) -> Fault:
    channel = rest.values[rest.name]
    return Fault(
        rest.start,
        # Resampling mixed the last frozen sample into the row after it.
        min(rest.stop + 1, len(channel)),
        rest.name,
        actual=f"{channel[rest.start]:.6g}{in_unit(rest.task.channels[rest.name].unit)} for "
        f"{(rest.stop - rest.start - 1) * rest.task.dt:.3g} s while {proof}",
        expected="a value that changes when the robot moves",
        fix="check the sensor and its cable; or name it in validate.stuck.ignore",
    )
