"""A velocity that is not its position's derivative: scaled, inverted, offset, late or unrelated.

Differentiating an encoder amplifies its steps (2.9 mrad at 500 Hz is 1.5 rad/s), so the velocity
is integrated instead: over windows of T s, the integral of the velocity is compared with the
difference of the positions. A robust fit estimates scale and offset. Each may deviate by a
tolerance plus the scatter of the windows. On 32 channels of real logs the scale is within 1 % of 1
and the offset within 0.02 rad/s; the one channel with many spikes has 3 % and 0.3 rad/s.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Ratio, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, memoize
from kinemill.validate.motion import (
    noise_of_velocity,
    rms,
    slope_and_offset,
    velocity_pairs,
    windows_of,
)
from kinemill.validate.signal_stats import resolution
from kinemill.validate.time_lag import lag

# Factor on a velocity whose unit differs from the declared one.
_UNIT_FACTORS = {
    "rad": {"deg/s": 57.29578, "rpm": 9.549297, "turns/s": 0.1591549},
    "m": {"mm/s": 1000.0, "cm/s": 100.0, "km/h": 3.6},
}
_SCATTER = 3.0  # allowed standard errors beyond a tolerance
_SHORT = 0.07  # additional tolerance of the scale if fewer than four windows fit
_MIN_WINDOWS = 4.0  # non-overlapping windows below which their scatter is unreliable
_SHARE = 0.003  # allowed offset relative to the velocity's rms, for a log without noise
_FINE = 0.003  # share of the velocity's range that can be half of a step of its sensor
_WINDOW = 0.5  # integration window of the velocity, s
_HALF = 8.0  # windows in half of a log, from which halves are compared as well
# Largest rms difference, relative to the rms of the position's difference; a velocity with many
# spikes has 0.13, an unrelated one more than 1.
_SHAPE = 0.35
# Difference over a window that is always allowed, in the position's unit: a robot at rest with a
# biased velocity sensor (0.04 rad/s over 0.5 s).
_ABSOLUTE = 0.02
_NOISE = 2.0  # largest offset, as a multiple of the velocity's noise
# Largest lag or lead of a velocity against its position in addition to half a row, s (a backward
# difference is half a row late).
_LAG = 0.015


@CHECKS.register("velocity")
class Velocity(CheckSettings):
    """The velocity's integral over `window` follows the position's difference."""

    phase: ClassVar[Literal["episode"]] = "episode"
    channel_keys: ClassVar[tuple[str, ...]] = ("ignore",)
    relative: Ratio = 0.03
    """largest relative error of scale beyond its scatter; real logs have 0.01"""
    ignore: list[str] = []
    """velocity channels that are not checked"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault for each velocity of channel -> (n,) that fails, or fails in one half."""
        return [
            fault
            for name, position in velocity_pairs(task)
            if name not in self.ignore
            for fault in self._find(name, position, values, task)
        ]

    def measure(self, values: Values, task: Task) -> dict[str, float]:
        """Return `<velocity>:scale`, `:offset` in its unit, and `:lag_s`, for those that move."""
        measured: dict[str, float] = {}
        for name, position in velocity_pairs(task):
            fit = fit_of(values, name, position, _WINDOW, task.dt)
            if fit and rms(fit.moved) > _ABSOLUTE and np.isfinite(fit.scale):
                measured |= {f"{name}:scale": fit.scale, f"{name}:offset": fit.offset}
                measured[f"{name}:lag_s"] = fit.late
        return measured

    def _find(self, name: str, position: str, values: Values, task: Task) -> list[Fault]:
        if fault := self._check_velocity(name, position, values, task):
            return [fault]
        rows = len(values[name])
        if rows * task.dt < 2.0 * _HALF * _WINDOW:
            return []
        # An offset that appears within a log is lost in the scatter of all its windows.
        faults = list[Fault]()
        for start, stop in ((0, rows // 2), (rows // 2, rows)):
            half = {key: values[key][start:stop] for key in (name, position)}
            if fault := self._check_velocity(name, position, half, task):
                faults.append(replace(fault, start=start, stop=stop))
        return faults

    def _check_velocity(self, name: str, position: str, values: Values, task: Task) -> Fault | None:
        fit = fit_of(values, name, position, _WINDOW, task.dt)
        channel = task.channels[name]
        problem = fit and self._explain(fit, channel.unit, task.channels[position].unit)
        if fit is None or problem is None:
            return None
        off = rms(fit.integral - fit.moved)
        return Fault(
            0,
            len(values[name]),
            name,
            actual=f"{problem} (rms difference {off:.3g} over {fit.window:g} s)",
            expected=f"the derivative of {position} within {100 * self.relative:g} %, "
            f"in {channel.unit}",
            fix="check the column's name, sign and unit (`source: {name: ..., unit: ...}`); "
            "or name it in validate.velocity.ignore",
        )

    def _explain(self, fit: "Fit", unit: str, parent: str) -> str | None:
        """Describe how a velocity differs from its position's derivative, or return None."""
        moves = max(rms(fit.integral), rms(fit.moved))
        least = _ABSOLUTE + fit.rounding
        if not np.isfinite(fit.scale):
            return _explain_scale(fit.scale, parent) if moves > least else None
        if fit.error > max(least, _SHAPE * moves):
            return "a velocity that does not follow the position"
        size = max(rms(fit.moved), 1e-12)
        off = abs(fit.scale - 1) * rms(fit.moved)
        deviation = max(
            float(np.std(fit.moved)), 1e-12
        )  # with identical windows offset and scale are indistinguishable
        tolerance = self.relative + (_SHORT if fit.short else 0.0) + fit.scatter / deviation
        # A slope from few windows is unreliable, so the difference itself must be large, too.
        apart = rms(fit.integral - fit.moved) if fit.short else max(off, moves - size)
        harmless = 0.1 * _ABSOLUTE + fit.half_row + fit.rounding
        if abs(fit.scale - 1) > tolerance and apart > harmless:
            return _explain_scale(fit.scale, parent)
        harmless = _ABSOLUTE / fit.window
        if not fit.short:
            harmless = min(harmless, max(_NOISE * fit.noise, _SHARE * fit.speed))
        harmless += fit.rounding / fit.window
        if abs(fit.offset) > harmless + fit.scatter / fit.window * max(1.0, size / deviation):
            return f"a velocity offset by {fit.offset:.3g}{in_unit(unit)}"
        if abs(fit.late) > _LAG + 0.5 * fit.dt:
            when = "after" if fit.late > 0 else "before"
            return f"a velocity {abs(fit.late):.3g} s {when} its position"
        return None


@dataclass(frozen=True)
class Fit:
    """A velocity as scale x (its position's change) + offset, `late` s after it.

    Attributes:
        integral: integral of the velocity over each window, (m,) unit of the position.
        moved: difference of the positions over each window, (m,) unit.
        window: length of a window, s.
        apart: distance between the starts of two windows, s.
        dt: time step, s.
        scale: factor of the fit.
        offset: offset of the fit, unit/s.
        late: delay of the velocity, s.
        error: rms residual of the fit, unit.
        noise: noise of the velocity, unit/s.
        speed: rms of the velocity, unit/s.
        span: range of the velocity, or of the position's slope if that is smaller, unit/s; 0 for
            a log that is not short.
        rounding: change over a window that the resolutions of both allow, unit.
    """

    integral: Array
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
    rounding: float

    @property
    def half_row(self) -> float:
        """Change of the integral when the velocity is read half a row earlier or later.

        In the position's unit; 0 unless the log is short. A simulator with semi-implicit Euler
        steps differs from the trapezoidal rule by half a row: dt / 2 times the change of the
        velocity, which is negligible only for a long path.
        """
        return 0.5 * self.dt * self.span if self.short else 0.0

    @property
    def scatter(self) -> float:
        """Three standard errors of the mean over non-overlapping windows."""
        return _SCATTER * self.error / float(np.sqrt(self.alone))

    @property
    def alone(self) -> float:
        """Number of non-overlapping windows."""
        return max(1.0, self.apart * len(self.integral) / _WINDOW)

    @property
    def short(self) -> bool:
        """Whether the windows are too few to estimate their scatter."""
        return self.alone < _MIN_WINDOWS


def fit_of(values: Values, name: str, position: str, window: float, dt: float) -> Fit | None:
    """Fit a velocity (n,) to its position (n,), over `window` s; cached per track."""
    return memoize(
        values, ("fit", name, window), lambda: _fitted(values, name, position, window, dt)
    )


def _fitted(values: Values, name: str, position: str, window: float, dt: float) -> Fit | None:
    """Fit a velocity of channel -> (n,) over windows of `window` s; None if no window fits."""
    velocity = values[name]
    path = values[position]
    integral, moved, length, apart = windows_of(values, name, position, window, dt)
    if not len(integral):
        return None
    scale, offset, error = _line(integral, moved, length)
    late = 0.0
    if scale > 0.0 or error > 0.3 * rms(
        integral
    ):  # an inverted velocity also looks half a period late
        late = lag(velocity, path, dt)
    if late and error > 0.02 * rms(moved):
        integral, moved, length, apart = windows_of(values, name, position, window, dt, late)
        scale, offset, error = _line(integral, moved, length)
    is_short = apart * len(integral) < _MIN_WINDOWS * length
    return Fit(
        integral,
        moved,
        length,
        apart,
        dt,
        scale,
        offset,
        late,
        error=error,
        noise=noise_of_velocity(values, name, position, dt),
        speed=rms(velocity[np.isfinite(velocity)]),
        span=min(_range(velocity), _range(np.diff(path)) / dt) if is_short else 0.0,
        rounding=resolution(values, position)
        + length * max(resolution(values, name), _FINE * _range(velocity)),
    )


def _range(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.ptp(finite)) if len(finite) else 0.0


def _line(integral: Array, moved: Array, window: float) -> tuple[float, float, float]:
    """Return scale, offset in unit/s, and rms residual in unit of a line through (m,), (m,)."""
    scale, offset = slope_and_offset(integral, moved, window)
    rest = integral - (scale if np.isfinite(scale) else 1.0) * moved - offset * window
    return scale, offset, rms(rest)


def _explain_scale(scale: float, unit: str) -> str:
    if not np.isfinite(scale):
        return "a velocity while the position never changes"
    sign = "its sign inverted" if scale < 0 else ""
    for name, factor in _UNIT_FACTORS.get(unit, {}).items():
        if abs(abs(scale) / factor - 1) < 0.05:
            guess = f"{abs(scale):.3g} times too large, as if in {name}"
            return f"a velocity {guess}{' and ' + sign if sign else ''}"
        if abs(abs(scale) * factor - 1) < 0.05 and factor > 1:
            position = f", as if the position were in {name[:-2]}" if name.endswith("/s") else ""
            guess = f"{1 / abs(scale):.3g} times too small{position}"
            return f"a velocity {guess}{' and ' + sign if sign else ''}"
    if sign and abs(scale + 1) < 0.1:
        return f"a velocity with {sign}"
    if abs(scale) < 0.02:
        return "a velocity near zero while the position moves"
    return f"a velocity {scale:.3g} times the position's derivative"
