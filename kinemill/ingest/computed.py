"""Computed channels of a track: expressions of other channels, and time derivatives.

A derivative is that of a local polynomial (Savitzky and Golay 1964) centered on its row, so it has
no phase lag; at the ends of a stretch it is that of the first or last polynomial. Stretches end at
gaps and at NaN, which are never bridged.

Symbols: m rows of a track.
"""

import numpy as np
import polars as pl

from kinemill.ingest.channels import quaternion_signs
from kinemill.ingest.clock import Floats
from kinemill.task import Task
from kinemill.task.channels import magnitude
from kinemill.task.computed import DEGREE, computation_order, half_width
from kinemill.task.expressions import Expression
from kinemill.task.units import rate_factor


def add_computed(frame: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Return a track (m rows) with the computed channels of the task.

    A value that is not finite or too large for statistics becomes NaN, which validation cuts out.
    """
    order = computation_order(task.channels)
    if not order:
        return frame
    values = {name: frame[name].to_numpy() for name in task.logged_numbers}
    signs = quaternion_signs(values, task)
    for name in order:
        channel = task.channels[name]
        with np.errstate(all="ignore"):  # what is not finite becomes NaN
            if channel.expression is not None:
                computed = Expression(channel.expression).value(values)
            else:
                parent = str(channel.of)
                sign = signs.get(parent, 1.0)  # -q and q are the same rotation
                slope = derivative(sign * values[parent], task.dt, half_width(channel, task.dt))
                per_second = rate_factor(channel.unit, task.channels[parent].unit)
                computed = sign * slope / per_second
            result = np.broadcast_to(np.asarray(computed, np.float64), frame.height)
            values[name] = np.where(np.abs(result) <= magnitude(channel), result, np.nan)
    return frame.with_columns(pl.Series(name, values[name]) for name in order)


def derivative(values: Floats, dt: float, half: int) -> Floats:
    """Return the time derivative (m,) of values (m,), per s, without phase lag.

    Args:
        values: NaN splits them into stretches; a stretch of one row has no derivative.
        dt: time step, s.
        half: rows on either side of a row; a shorter stretch uses as many as it has.
    """
    slope = np.full(len(values), np.nan)
    finite = np.isfinite(values)
    edges = np.flatnonzero(np.diff(finite.astype(np.int8), prepend=0, append=0))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if stop - start > 1:
            slope[start:stop] = _stretch_derivative(values[start:stop], dt, half)
    return slope


def _stretch_derivative(values: Floats, dt: float, half: int) -> Floats:
    """Return the derivative of finite values (k,), k > 1."""
    from scipy.signal import savgol_filter

    window = min(2 * half + 1, (len(values) - 1) // 2 * 2 + 1)
    if window < 3:
        return np.gradient(values, dt)
    degree = min(DEGREE, window - 1)
    # Relative to the first value: large offsets cost no digits.
    relative = values - values[0]
    return np.asarray(savgol_filter(relative, window, degree, deriv=1, delta=dt, mode="interp"))
