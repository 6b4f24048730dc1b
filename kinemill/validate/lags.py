"""By how much a velocity comes later than the position that it is of.

Symbols: n rows, m shifts in rows, dt time step in s.
"""

from typing import cast

import numpy as np

from kinemill.validate.faults import Array, runs

_DIRECT = 200_000  # products from which a Fourier transform is faster than sums one by one
_STRETCHES, _STRETCH = 20, 4096  # of a longer log in which a lag is looked for, of so many rows


def lag(velocity: Array, position: Array, dt: float, *, finite: bool = False) -> float:
    """Return by how many s a velocity (n,) comes after the position's slope; 0 where unclear.

    The shift of the slope that leaves the smallest rest, to a part of a row by the parabola through
    the best three. Both are averaged over five rows, for the encoder's sake. Within 0.25 s.
    Whoever knows that all rows are `finite` says so.
    """
    first, last = 0, len(velocity)
    if not finite:
        known = np.isfinite(velocity) & np.isfinite(position)
        first, last = max(runs(known), key=lambda run: run[1] - run[0], default=(0, 0))
    most = min(round(0.25 / dt), (last - first) // 6)
    if most < 2:
        return 0.0
    v, x = (_spread(values[first:last], 16 * most) for values in (velocity, position))
    total = np.cumsum(v, axis=1)
    v = total[:, 4:].copy()
    v[:, 1:] -= total[:, :-5]
    v /= 5.0
    # The mean of five central differences, at the same rows.
    slope = (x[:, 6:] + x[:, 5:-1] - x[:, 1:-5] - x[:, :-6]) / (10.0 * dt)
    v = v[:, 1:-1]
    v, slope = v - v.mean(), slope - slope.mean()
    mid = v[:, most:-most]
    squares = np.pad(np.cumsum(slope**2, axis=1), ((0, 0), (1, 0)))
    power = (squares[:, mid.shape[1] :] - squares[:, : -mid.shape[1]]).sum(axis=0)
    shared = _correlation(slope, mid)  # the first: slope earlier
    rest = power - 2.0 * shared + float(np.sum(mid**2))
    best = int(np.argmin(rest))
    unclear = abs(best - most) > 1 and rest[best] > 0.7 * rest[most]
    if unclear or best in {0, 2 * most}:
        return 0.0
    before, at, after = rest[best - 1 : best + 2]
    bend = before - 2.0 * at + after
    part = 0.5 * (before - after) / bend if bend > 0.0 else 0.0
    return float((most - best - part) * dt)


def _spread(values: Array, least: int) -> Array:
    """Return (n,) as (1, n); of a long log some stretches of `least` rows or more, (k, rows)."""
    rows = max(_STRETCH, least)
    if len(values) <= _STRETCHES * rows:
        return values[None]
    firsts = np.linspace(0, len(values) - rows, _STRETCHES).astype(np.intp)
    return values[firsts[:, None] + np.arange(rows)]


def _correlation(long: Array, short: Array) -> Array:
    """Return sum over i, k of long[i, j + k] short[i, k], (i, n) and (i, m) -> (n - m + 1,).

    Of long logs by Fourier transform: sums one by one take a second for a log of an hour.
    """
    rows, shifts = short.shape[1], long.shape[1] - short.shape[1] + 1
    if rows * shifts < _DIRECT:
        each = (np.correlate(one, other, "valid") for one, other in zip(long, short, strict=True))
        return np.sum(list(each), axis=0)
    from scipy.fft import next_fast_len

    size = cast("int", next_fast_len(long.shape[1], real=True))
    spectra = np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size))
    return np.fft.irfft(spectra.sum(axis=0), size)[:shifts]
