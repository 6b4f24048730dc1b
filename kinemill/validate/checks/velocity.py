"""A velocity that is not its position's derivative: scaled, flipped, offset, late or unrelated.

Differentiating an encoder amplifies its steps (2.9 mrad at 500 Hz is 1.5 rad/s), so the velocity is
integrated instead: over windows of T s, the integral of the velocity stands against the difference
of the positions. Scale and offset are fitted together, deaf to spikes, and each may be off by a
tolerance and by what the windows scatter. On 32 channels of real logs the scale is within 1 % of 1
and the offset within 0.02 rad/s; the one whose velocity is full of spikes has 3 % and 0.3 rad/s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from kinemill.task import CHECKS, Task, unknown_channels
from kinemill.validate.block_stats import whole
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, remembered
from kinemill.validate.motion import (
    noise_of,
    pairs,
    rms,
    slope_and_offset,
    windows_of,
)
from kinemill.validate.time_lag import lag

# What a velocity is multiplied with when it is in another unit than the task believes.
_FOREIGN = {
    "rad": {"deg/s": 57.29578, "rpm": 9.549297, "turns/s": 0.1591549},
    "m": {"mm/s": 1000.0, "cm/s": 100.0, "km/h": 3.6},
}
_SCATTER = 3.0  # standard errors beyond a tolerance that are still no finding
_SHORT = 0.07  # of scale, granted beside a tolerance where fewer than four windows fit
_FEW = 4.0  # windows that do not overlap, below which their scatter says little
_SHARE = 0.003  # of a velocity's rms that an offset may be, where a log shows no noise


@CHECKS.register("velocity")
class Velocity(CheckSettings):
    """The velocity's integral over `window` follows the position's difference."""

    judges: ClassVar[Literal["episode"]] = "episode"
    window: PositiveFloat = Field(default=0.5, description="s over which velocity is integrated")
    relative: PositiveFloat = Field(
        default=0.03, description="largest error of scale, beside its scatter; real logs have 0.01"
    )
    shape: PositiveFloat = Field(
        default=0.35,
        description="largest rms difference over the rms of the position's difference; a velocity "
        "full of spikes has 0.13, an unrelated one over 1",
    )
    absolute: PositiveFloat = Field(
        default=0.02,
        description="difference over a window that is harmless at any noise, in the position's "
        "unit: a robot at rest with a biased velocity sensor (0.04 rad/s over 0.5 s)",
    )
    noise: PositiveFloat = Field(
        default=2.0, description="offset, over the velocity's own noise, that is harmless"
    )
    lag: PositiveFloat = Field(
        default=0.015,
        description="s, beside half a row, by which a velocity may come after its position (a "
        "backward difference is half a row late) or before it",
    )
    ignore: list[str] = Field(default=[], description="velocity channels that are not checked")

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return ignored channels that the task does not have."""
        return unknown_channels(self.ignore, channels, "ignore")

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows for each velocity of channel -> (n,) that fails."""
        faults: list[Fault] = []
        for name, position in pairs(task):
            if name not in self.ignore:
                fault = self._judge(name, position, values, task)
                faults += [fault] if fault else []
        return faults

    def measure(self, values: Values, task: Task) -> dict[str, float]:
        """Return `<velocity>:scale`, `:offset` in its unit, and `:lag_s`, of those that move."""
        found: dict[str, float] = {}
        for name, position in pairs(task):
            fit = fit_of(values, name, position, self.window, task.dt)
            if fit and rms(fit.moved) > self.absolute and np.isfinite(fit.scale):
                found |= {f"{name}:scale": fit.scale, f"{name}:offset": fit.offset}
                found[f"{name}:lag_s"] = fit.late
        return found

    def _judge(self, name: str, position: str, values: Values, task: Task) -> Fault | None:
        fit = fit_of(values, name, position, self.window, task.dt)
        channel = task.channels[name]
        found = fit and self._explain(fit, channel.unit, task.channels[position].unit)
        if fit is None or found is None:
            return None
        off = rms(fit.said - fit.moved)
        return Fault(
            0,
            len(values[name]),
            name,
            found=f"{found} (rms difference {off:.3g} over {fit.window:g} s)",
            expected=f"the derivative of {position} within {100 * self.relative:g} %, "
            f"in {channel.unit}",
            fix="check the column's name, sign and unit (`source: {name: ..., unit: ...}`); "
            "or name it in validate.velocity.ignore",
        )

    def _explain(self, fit: "Fit", unit: str, parent: str) -> str | None:
        """Say in which way a velocity is not its position's derivative, or None."""
        moves = max(rms(fit.said), rms(fit.moved))
        if not np.isfinite(fit.scale):
            return _explain_scale(fit.scale, parent) if moves > self.absolute else None
        if fit.error > max(self.absolute, self.shape * moves):
            return "a velocity that does not follow the position"
        size, off = max(rms(fit.moved), 1e-12), abs(fit.scale - 1) * rms(fit.moved)
        spread = max(float(np.std(fit.moved)), 1e-12)  # all windows alike: offset or scale?
        tolerance = self.relative + (_SHORT if fit.short else 0.0) + fit.scatter / spread
        # A slope from few windows says little, so there the difference itself has to be large.
        apart = rms(fit.said - fit.moved) if fit.short else max(off, moves - size)
        harmless = 0.1 * self.absolute + fit.half_row
        if abs(fit.scale - 1) > tolerance and apart > harmless:
            return _explain_scale(fit.scale, parent)
        harmless = self.absolute / fit.window
        if not fit.short:
            harmless = min(harmless, max(self.noise * fit.noise, _SHARE * fit.speed))
        if abs(fit.offset) > harmless + fit.scatter / fit.window * max(1.0, size / spread):
            return f"a velocity offset by {fit.offset:.3g} {unit}"
        if abs(fit.late) > self.lag + 0.5 * fit.dt:
            when = "after" if fit.late > 0 else "before"
            return f"a velocity {abs(fit.late):.3g} s {when} its position"
        return None


@dataclass(frozen=True)
class Fit:
    """A velocity as scale x (its position's change) + offset, `late` s after it.

    `said`, `moved` (m,) are its integral and the position's difference over windows of `window` s,
    `apart` s from each other; `error` is the rms of what the fit leaves, and `scatter` what the
    mean of that may be off by chance, in the position's unit; `noise` and `speed` are the
    velocity's own noise and rms, unit/s, and `span` the range of its
    values or of the position's slope, the smaller one; 0 in a log that is not short.
    """

    said: Array
    moved: Array
    window: float
    apart: float
    dt: float
    scale: float
    offset: float
    late: float
    error: float
    noise: float
    speed: float
    span: float

    @property
    def half_row(self) -> float:
        """Change of the integral when the velocity is read half a row earlier or later.

        In the position's unit; 0 unless the log is short. A simulator that moves the position
        with the velocity after the step (semi-implicit Euler) is half a row off the trapezoids:
        by dt / 2 times the change of the velocity, which only a long path makes negligible.
        """
        return 0.5 * self.dt * self.span if self.short else 0.0

    @property
    def scatter(self) -> float:
        """Standard error of the mean over windows, as many as fit side by side, three times."""
        return _SCATTER * self.error / float(np.sqrt(self.alone))

    @property
    def alone(self) -> float:
        """Windows that do not overlap."""
        return max(1.0, self.apart * len(self.said) / self.window)

    @property
    def short(self) -> bool:
        """Whether there are too few windows to tell how much they scatter."""
        return self.alone < _FEW


def fit_of(values: Values, name: str, position: str, window: float, dt: float) -> Fit | None:
    """Fit a velocity to its position, once for a track."""
    return remembered(
        values, ("fit", name, window), lambda: _fitted(values, name, position, window, dt)
    )


def _fitted(values: Values, name: str, position: str, window: float, dt: float) -> Fit | None:
    """Fit a velocity of channel -> (n,) over windows of `window` s; None without one."""
    velocity, path = values[name], values[position]
    said, moved, length, apart = windows_of(values, name, position, window, dt)
    if not len(said):
        return None
    scale, offset, error = _line(said, moved, length)
    late = 0.0
    if scale > 0.0 or error > 0.3 * rms(said):  # else it is flipped: half a period late, as well
        finite = whole(values, name) and whole(values, position)
        late = lag(velocity, path, dt, finite=finite)
    if late and error > 0.02 * rms(moved):
        said, moved, length, apart = windows_of(values, name, position, window, dt, late)
        scale, offset, error = _line(said, moved, length)
    known = velocity if whole(values, name) else velocity[np.isfinite(velocity)]
    few = apart * len(said) < _FEW * length
    return Fit(
        said,
        moved,
        length,
        apart,
        dt,
        scale,
        offset,
        late,
        error=error,
        noise=noise_of(values, name, position, dt),
        speed=rms(known),
        span=min(_range(velocity), _range(np.diff(path)) / dt) if few else 0.0,
    )


def _range(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.ptp(known)) if len(known) else 0.0


def _line(said: Array, moved: Array, window: float) -> tuple[float, float, float]:
    """Return scale, offset in unit/s, and the rms that both leave of (m,) and (m,) in unit."""
    scale, offset = slope_and_offset(said, moved, window)
    rest = said - (scale if np.isfinite(scale) else 1.0) * moved - offset * window
    return scale, offset, rms(rest)


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
