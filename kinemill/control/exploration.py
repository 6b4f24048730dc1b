"""Colored noise for exploration: neighboring actions are alike, so that the robot gets somewhere.

White noise averages out within the time constants of a robot. Noise with a power spectrum of
1 / f^color reaches farther with the same amplitude (Pinneri et al. 2020, Eberhard et al. 2023).
"""

from dataclasses import dataclass

import numpy as np

from kinemill.control.plan import Floats


@dataclass(frozen=True)
class Exploration:
    """Noise on the actions of an episode, so that its log shows more.

    Attributes:
        std: standard deviation, in halves of the range of an action.
        color: exponent of the spectrum, see `colored_noise`.
    """

    std: float = 0.0
    color: float = 0.0

    def draw(self, steps: int, limits: Floats, random: np.random.Generator) -> Floats:
        """Draw noise (N, A) in the units of actions with limits (2, A)."""
        half = (limits[1] - limits[0]) / 2.0
        return self.std * half * colored_noise(steps, len(half), self.color, random)


def colored_noise(steps: int, actions: int, color: float, random: np.random.Generator) -> Floats:
    """Draw noise (N, A) of expected variance 1 with the power spectrum 1 / f^color.

    Timmer and König 1995: Gaussian Fourier coefficients, scaled by f^(-color / 2). The mean over
    the episode is zero for any color other than 0.

    Args:
        steps: N.
        actions: A, independent of each other.
        color: 0 is white, 1 pink, 2 red (a random walk).
        random: generator.
    """
    if color == 0.0 or steps < 2:
        return random.standard_normal((steps, actions))
    count = steps // 2
    scale = np.arange(1, count + 1, dtype=float) ** (-color / 2.0)
    draws = random.standard_normal((2, count, actions)) * scale[:, None]
    spectrum = np.zeros((count + 1, actions), dtype=complex)
    spectrum[1:] = draws[0] + 1j * draws[1]
    power = 2.0 * np.square(scale)  # of the real and the imaginary part, in both half planes
    if steps % 2 == 0:  # the highest frequency has one real coefficient, in one half plane
        spectrum[-1].imag = 0.0
        power[-1] /= 4.0
    return np.fft.irfft(spectrum, steps, axis=0) * steps / np.sqrt(2.0 * power.sum())
