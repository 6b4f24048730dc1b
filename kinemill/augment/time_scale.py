"""Time scaling: the same path at another speed, with its derivatives rescaled.

Played f times as fast, x(f t) has the velocity f x'(f t) and the acceleration f² x''(f t). The task
defines the scaling of actions: position commands do not change, and the torques of a robot without
load by gravity and friction grow as f². There is no such law for a torque under gravity; do not use
this augmentation there.

Rows are interpolated by a cubic spline. Linear interpolation would cut every peak by a different
share, which causes spikes in the velocity of a fast motion.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.augment._augmentation import ORDERED, Augmentation, Problems, Rows, Signals
from kinemill.task import AUGMENTATIONS, Channel, unknown_channels
from kinemill.task.bounds import Power, Ratio


@AUGMENTATIONS.register("time_scale")
class TimeScale(Augmentation):
    """Play the episode at a random speed; states are interpolated, actions and rewards held."""

    type: Literal["time_scale"] = "time_scale"
    factor: Annotated[tuple[Ratio, Ratio], ORDERED] = (0.9, 1.1)
    """lowest and highest speed; 2 is twice as fast"""
    between: Literal["cubic", "linear"] = "cubic"
    """interpolation; linear: for states that jump, such as counters"""
    powers: dict[str, Power] = {}
    """power of the factor by channel; default: the order of a derivative, else 0"""

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: powers of unknown channels, or of derivatives, which are fixed."""
        problems = unknown_channels(self.powers, channels, "powers")
        for name in self.powers:
            if name in channels and channels[name].derivative_of:
                what = f"is the derivative of {channels[name].derivative_of!r}; its power is fixed"
                problems.append((("powers", name), what))
        if not any(channel.derivative_of for channel in channels.values()) and not self.powers:
            problems.append((("powers",), "no channel is a derivative and none has a power"))
        return problems

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return `values` (n, C) at every factor-th row: (m, C), m = (n - 1) / factor + 1."""
        rows = len(values)
        factor, spots = self._spots(rows, random)
        source = _previous_rows(spots)
        scaled = np.empty((len(spots), values.shape[1]))
        for column, name in enumerate(signals.columns):
            signal = values[:, column]
            is_held = signals.channels[name].role in {"action", "reward"}
            scaled[:, column] = signal[source] if is_held else self._at(spots, signal)
            scaled[:, column] *= factor ** self.powers.get(name, signals.order(name))
        return signals.with_unit_rotations(scaled.astype(np.float32), signals.columns)

    def source_rows(
        self, rows: int, signals: Signals, random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the last row at or before each row of the copy, (m,); images are held."""
        del signals
        return _previous_rows(self._spots(rows, random)[1])

    def _at(self, spots: NDArray[np.float64], signal: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return a signal (n,) at fractional rows (m,)."""
        from scipy.interpolate import CubicSpline

        rows = np.arange(len(signal))
        if self.between == "linear" or len(signal) < 4:
            return np.interp(spots, rows, signal)
        return np.asarray(CubicSpline(rows, signal.astype(np.float64))(spots))

    def _spots(self, rows: int, random: np.random.Generator) -> tuple[float, NDArray[np.float64]]:
        """Return the speed, and the fractional row of the original for each row, (m,)."""
        factor = random.uniform(*self.factor)
        count = int((rows - 1) / factor) + 1
        return factor, np.minimum(np.arange(count) * factor, rows - 1)


def _previous_rows(spots: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(spots + 1e-9).astype(np.int64)
