"""A velocity that is not the derivative of its position: scaled, flipped, offset or unrelated.

Differentiating an encoder amplifies its steps (2.9 mrad at 500 Hz is 1.5 rad/s), so the velocity is
integrated instead: over windows of T s, the integral of the velocity stands against the difference
of the positions. On 32 channels of real logs the two agree within 1 %, and within 4 % on the one
whose velocity is full of spikes.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from kinemill.spec import CHECKS, Settings, Task, unknown_channels
from kinemill.validate.faults import Array, Fault, Values, runs

# What a velocity is multiplied with when it is in another unit than the task believes.
_FOREIGN = {
    "rad": {"deg/s": 57.29578, "rpm": 9.549297, "turns/s": 0.1591549},
    "m": {"mm/s": 1000.0, "cm/s": 100.0, "km/h": 3.6},
}


@CHECKS.register("velocity")
class Velocity(Settings):
    """The velocity's integral over `window` follows the position's difference."""

    judges: ClassVar[Literal["stretch", "episode"]] = "episode"
    window: PositiveFloat = Field(default=0.5, description="s over which velocity is integrated")
    relative: PositiveFloat = Field(
        default=0.1, description="largest error of scale; real logs stay below 0.04"
    )
    shape: PositiveFloat = Field(
        default=0.35,
        description="largest rms difference over the rms of the position's difference; a velocity "
        "full of spikes has 0.13, an unrelated one over 1",
    )
    absolute: PositiveFloat = Field(
        default=0.02,
        description="rms difference below which nothing is judged, in the position's unit: a robot "
        "at rest with a biased velocity sensor (0.04 rad/s over 0.5 s)",
    )
    ignore: list[str] = Field(default=[], description="velocity channels that are not checked")

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return ignored channels that the task does not have."""
        return unknown_channels(self.ignore, channels, "ignore")

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows for each velocity of channel -> (n,) that fails."""
        faults: list[Fault] = []
        for name, channel in task.channels.items():
            if channel.derivative_of and name not in self.ignore:
                fault = self._judge(name, values[name], values[channel.derivative_of], task)
                faults += [fault] if fault else []
        return faults

    def _judge(self, name: str, velocity: Array, position: Array, task: Task) -> Fault | None:
        said, moved, window = _windows(velocity, position, self.window, task.dt)
        channel = task.channels[name]
        parent = channel.derivative_of or ""
        if not len(said) or _rms(said - moved) <= self.absolute:
            return None
        found = self._explain(said, moved, window, (channel.unit, task.channels[parent].unit))
        if found is None:
            return None
        return Fault(
            0,
            len(position),
            name,
            found=f"{found} (rms difference {_rms(said - moved):.3g} over {window:g} s)",
            expected=f"the derivative of {parent} within {100 * self.relative:g} %, "
            f"in {channel.unit}",
            fix="check the column's name, sign and unit (`source: {name: ..., unit: ...}`); "
            "or name it in validate.velocity.ignore",
        )

    def _explain(
        self, said: Array, moved: Array, window: float, units: tuple[str, str]
    ) -> str | None:
        """Say in which way `said` is not `moved`, both (m,) in the position's unit, or None."""
        error = said - moved
        offset, scale = float(np.median(error)), _scale(said, moved)
        size = max(self.absolute, self.relative * _rms(moved))
        if abs(offset) > size and _rms(error - offset) < 0.5 * _rms(error):
            return f"a velocity offset by {offset / window:.3g} {units[0]}"
        if abs(scale - 1) > self.relative:
            return _explain_scale(scale, units[1])
        if _rms(error) > self.shape * _rms(moved):
            return "a velocity that does not follow the position"
        return None


def _windows(
    velocity: Array, position: Array, window: float, dt: float
) -> tuple[Array, Array, float]:
    """Compare (n,) unit/s and (n,) unit over every window without NaN.

    Returns:
        the integral of the velocity (m,) and the difference of the positions (m,), in unit, and the
        windows' length in s: `window`, or half of the longest stretch without NaN.
    """
    known = np.isfinite(velocity) & np.isfinite(position)
    longest = max((stop - start for start, stop in runs(known)), default=0)
    rows = min(max(1, round(window / dt)), longest // 2)
    if rows < 1:
        return np.empty(0), np.empty(0), window
    filled = np.where(known, velocity, 0.0)
    path = np.concatenate(([0.0], np.cumsum(0.5 * dt * (filled[1:] + filled[:-1]))))
    unknown = np.concatenate(([0], np.cumsum(~known)))
    whole = unknown[rows + 1 :] == unknown[: -rows - 1]
    said, moved = path[rows:] - path[:-rows], position[rows:] - position[:-rows]
    return said[whole], moved[whole], rows * dt


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _scale(said: Array, moved: Array) -> float:
    """Return the s that minimises sum |said - s moved|: a weighted median, deaf to spikes."""
    used = moved != 0.0
    if not used.any():
        return float("inf")
    ratio, weight = said[used] / moved[used], np.abs(moved[used])
    order = np.argsort(ratio)
    total = np.cumsum(weight[order])
    return float(ratio[order][np.searchsorted(total, total[-1] / 2)])


def _explain_scale(scale: float, unit: str) -> str:
    if not np.isfinite(scale):
        return "a velocity while the position never changes"
    sign = "its sign flipped" if scale < 0 else ""
    for name, factor in _FOREIGN.get(unit, {}).items():
        if abs(abs(scale) / factor - 1) < 0.05:
            guess = f"{abs(scale):.3g} times too large, as if in {name}"
            return f"a velocity {guess}{' and ' + sign if sign else ''}"
        if abs(abs(scale) * factor - 1) < 0.05 and factor > 1:
            guess = f"{1 / abs(scale):.3g} times too small, as if the position were in {name[:-2]}"
            return f"a velocity {guess}{' and ' + sign if sign else ''}"
    if sign and abs(scale + 1) < 0.1:
        return f"a velocity with {sign}"
    if abs(scale) < 0.02:
        return "a velocity near zero while the position moves"
    return f"a velocity {scale:.3g} times the position's derivative"
