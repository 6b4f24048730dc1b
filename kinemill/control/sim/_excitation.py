"""Excitation signals that reveal dynamics: many frequencies, many amplitudes, sudden changes.

Every signal is a function of time stamps (n,) s and a generator, without unit, within [-1, 1].
Bandwidths follow Pintelon and Schoukens 2012, chapter 5: excite where the model has to be right.
"""

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]

LOWEST = 0.3
HIGHEST = 3.0  # Hz: from the centering controller's band to beyond the pole's swing
SINES = 8
HOLD = (0.1, 0.6)  # s between random steps


def multisine(t: Signal, random: np.random.Generator) -> Signal:
    """Return a sum of sines of random frequency and phase, (n,), scaled to a peak of 1."""
    hertz = np.exp(random.uniform(np.log(LOWEST), np.log(HIGHEST), SINES))
    phase = random.uniform(0.0, 2.0 * np.pi, SINES)
    total = np.sin(2.0 * np.pi * np.outer(t, hertz) + phase).sum(axis=1)
    return total / np.abs(total).max()


def chirp(t: Signal, random: np.random.Generator) -> Signal:
    """Return a sine whose frequency moves exponentially over the band, up or down, (n,)."""
    first, last = (LOWEST, HIGHEST) if random.random() < 0.5 else (HIGHEST, LOWEST)
    duration = max(float(t[-1] - t[0]), 1e-9)
    rate = np.log(last / first) / duration
    cycles = first * np.expm1(rate * (t - t[0])) / rate
    return np.sin(2.0 * np.pi * (cycles + random.random()))


def random_steps(t: Signal, random: np.random.Generator) -> Signal:
    """Return levels (n,) drawn from [-1, 1], each held for a random time."""
    count = int((t[-1] - t[0]) / HOLD[0]) + 2
    ends = t[0] + np.cumsum(random.uniform(*HOLD, count))
    levels = random.uniform(-1.0, 1.0, count)
    return levels[np.searchsorted(ends, t, side="right")]


def mixture(t: Signal, random: np.random.Generator) -> Signal:
    """Return a random mixture of the three, (n,), within [-1, 1]."""
    weights = random.dirichlet(np.ones(3))
    signals = [multisine(t, random), chirp(t, random), random_steps(t, random)]
    return np.tensordot(weights, np.stack(signals), axes=1)
