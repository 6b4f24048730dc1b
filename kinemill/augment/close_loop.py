"""Loop closing: blend the end of a cyclic motion into its start.

Over the last `seconds` a correction c grows from 0 to the gap e between the first row and the
extrapolated row after the last, and to the difference d of their slopes. With s from 0 to 1 over
that time, L seconds long, it is the quintic Hermite polynomial

    c = e (10 s³ - 15 s⁴ + 6 s⁵) + d L (-4 s³ + 7 s⁴ - 3 s⁵),

whose curvature is zero at both ends. Derivatives are corrected by its derivatives, so that they
stay consistent, and position and slope both close.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kinemill.augment._augmentation import Augmentation, Problems, Rows, Signals, same_again
from kinemill.runtime import wrapped
from kinemill.task import AUGMENTATIONS, Channel, Seconds, rotations, unknown_channels

Floats = NDArray[np.float64]


@AUGMENTATIONS.register("close_loop")
class CloseLoop(Augmentation):
    """Make whole cycles, such as clips of a gait, end where they start; deterministic."""

    type: Literal["close_loop"] = "close_loop"
    channels: Annotated[list[str], Field(min_length=1)] = Field(
        description="periodic channels, such as joints but not the distance traveled; their "
        "derivatives are included"
    )
    seconds: Seconds = Field(default=0.5, description="length of the changed end, s")

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems of unknown names, derivatives, and incomplete quaternions."""
        problems = same_again(self.copies) + unknown_channels(self.channels, channels, "channels")
        for name in self.channels:
            where = ("channels", name)
            if name not in channels:
                continue
            if parent := channels[name].derivative_of:
                what = f"is the derivative of {parent!r}, which includes it; leave it out"
                problems.append((where, what))
            if channels[name].role != "state":
                problems.append((where, f"has the role {channels[name].role}; expected a state"))
        for group in rotations(channels):
            named = [name for name in group if name in self.channels]
            if named and len(named) < len(group):
                what = f"belongs to the quaternion {', '.join(group)}; list all of them"
                problems.append((("channels", named[0]), what))
        return problems

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` with a closed end; fewer than 4 rows stay unchanged."""
        del random
        closed = values.astype(np.float64)
        rows = len(values)
        if rows < 4:
            return values.copy()
        blend = min(round(self.seconds / signals.dt), rows - 2)
        share = np.arange(blend) / blend
        signs = self._signs(values, signals)
        for name in self.channels:
            signal = values[:, signals.where([name])[0]].astype(np.float64)
            gap, slope = _missing(signal, signs.get(name, 1.0), signals.dt)
            gap = float(wrapped(np.asarray(gap), signals.channels[name].kind == "angle"))
            for child, order in self._family(name, signals):
                column = signals.where([child])[0]
                closed[rows - blend :, column] += _correction(
                    share, gap, slope, blend * signals.dt, order
                )
        return signals.with_unit_rotations(closed.astype(np.float32), self.channels)

    def _signs(self, values: Rows, signals: Signals) -> dict[str, float]:
        """Return -1 for elements of a quaternion that ends near its negative start, else 1."""
        # q and -q are the same rotation, so the shorter way may lead to the negative start.
        groups = (group for group in rotations(signals.channels) if set(group) <= {*self.channels})
        return {
            name: float(values[0, columns] @ values[-1, columns] >= 0.0) * 2.0 - 1.0
            for group in groups
            for columns in [signals.where(group)]
            for name in group
        }

    def _family(self, name: str, signals: Signals) -> list[tuple[str, int]]:
        """Return a channel and its derivatives, with their orders."""
        family = {name: 0}
        for _ in signals.columns:
            family |= {
                child: family[parent] + 1
                for child in signals.columns
                if (parent := signals.channels[child].derivative_of) in family and parent
            }
        return list(family.items())


def _missing(x: Floats, sign: float, dt: float) -> tuple[float, float]:
    """Return the gap at the end of x (n,), in its unit, and the difference of slopes, per s."""
    gap = sign * x[0] - (2.0 * x[-1] - x[-2])
    return float(gap), float(sign * (x[1] - x[0]) - (x[-1] - x[-2])) / dt


def _correction(s: Floats, gap: float, slope: float, length: float, order: int) -> Floats:
    """Return the derivative of order `order` of the correction at s (m,) in [0, 1), 1/s^order."""
    step = np.polynomial.Polynomial([0.0, 0.0, 0.0, 10.0, -15.0, 6.0])
    tilt = np.polynomial.Polynomial([0.0, 0.0, 0.0, -4.0, 7.0, -3.0])
    curve = gap * step + slope * length * tilt
    return np.asarray(curve.deriv(order)(s) if order else curve(s)) / length**order
