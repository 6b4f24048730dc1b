"""Time lag between a position and its velocity.

Symbols: n rows, m shifts in rows, dt time step in s.
"""

import numpy as np

from kinemill.validate.faults import Array, runs

_STRETCHES = 20
_STRETCH = 4096  # blocks of a longer log that are searched for a lag, and rows of each
_LARGEST = 1e100  # of numbers whose squares, summed over a log, are finite


def lag(velocity: Array, position: Array, dt: float) -> float:
    """Return by how many s a velocity (n,) comes after the position's slope; 0 where unclear.

    The shift of the slope that leaves the smallest rest, to a part of a row by the parabola through
    the best three. Both are averaged over five rows, for the encoder's sake. Within 0.25 s.
    """
    is_finite = np.isfinite(velocity) & np.isfinite(position)
    first, last = max(runs(is_finite), key=lambda run: run[1] - run[0], default=(0, 0))
    most = min(round(0.25 / dt), (last - first) // 6)
    if most < 2:
        return 0.0
    if max(np.abs(signal[first:last]).max() for signal in (velocity, position)) > _LARGEST:
        return 0.0
    v, x = (_stretches(values[first:last], 16 * most) for values in (velocity, position))
    # At each row but the first and last three: the mean of five rows, and of five differences.
    mean = 0.2 * (v[:, 1:-5] + v[:, 2:-4] + v[:, 3:-3] + v[:, 4:-2] + v[:, 5:-1])
    slope = (x[:, 6:] + x[:, 5:-1] - x[:, 1:-5] - x[:, :-6]) / (10.0 * dt)
    mean -= mean.mean()
    slope -= slope.mean()
    mid = mean[:, most:-most]
    squares = np.square(slope)
    first = float(squares[:, : mid.shape[1]].sum())
    # With each shift a row joins at the end, and one leaves at the beginning.
    change = (squares[:, -2 * most :] - squares[:, : 2 * most]).sum(axis=0)
    power = first + np.concatenate(([0.0], np.cumsum(change)))
    shared = _correlation(slope, mid)  # the first: slope earlier
    rest = power - 2.0 * shared + float(np.square(mid).sum())
    best = _nearest_valley(rest, most)
    unclear = abs(best - most) > 1 and rest[best] > 0.7 * rest[most]
    if unclear or best in {0, 2 * most}:
        return 0.0
    previous, at, following = rest[best - 1 : best + 2]
    bend = previous - 2.0 * at + following
    part = 0.5 * (previous - following) / bend if bend > 0.0 else 0.0
    return float((most - best - part) * dt)


def _nearest_valley(rest: Array, most: int) -> int:
    """Return the shift with the smallest rest (2 most + 1,), of equal ones the nearest to zero.

    A gait repeats itself, so a shift by a whole period leaves as small a rest as none. Two shifts
    count as equal if the rest differs by a tenth of its range, and rises by three tenths between.
    """
    best = int(np.argmin(rest))
    lowest = float(rest[best])
    span = float(np.ptp(rest))
    low = np.flatnonzero(rest <= lowest + 0.1 * span)
    valley = int(low[np.argmin(np.abs(low - most))])
    first, last = sorted((valley, best))
    high = lowest + 0.3 * span
    if not np.any(rest[first : last + 1] > high):
        return best
    start, stop = next(run for run in runs(rest <= high) if run[0] <= valley < run[1])
    return start + int(np.argmin(rest[start:stop]))


def _stretches(values: Array, least: int) -> Array:
    """Return (n,) as (1, n); of a long log some stretches of `least` rows or more, (k, rows)."""
    rows = max(_STRETCH, least)
    if len(values) <= _STRETCHES * rows:
        return values[None]
    firsts = np.linspace(0, len(values) - rows, _STRETCHES).astype(np.intp)
    return values[firsts[:, None] + np.arange(rows)]


def _correlation(long: Array, short: Array) -> Array:
    """Return sum over i, k of long[i, j + k] short[i, k], (i, n) and (i, m) -> (n - m + 1,)."""
    size = 1 << long.shape[1].bit_length()  # lengths that are powers of two transform fast
    spectra = np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size))
    return np.fft.irfft(spectra.sum(axis=0), size)[: long.shape[1] - short.shape[1] + 1]
