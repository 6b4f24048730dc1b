"""Colored noise for exploration: successive actions are correlated.

White noise averages out within the time constants of a robot. Noise with a power spectrum of
1 / f^color moves the robot farther at the same amplitude (Pinneri et al. 2020, Eberhard et al.
2023).
"""

from dataclasses import dataclass

import numpy as np

from kinemill.control.plan import Floats


@dataclass(frozen=True)
class Exploration:
    """Noise on the actions of an episode, so that its log covers more states.

    Attributes:
        std: standard deviation, in halves of the range of an action.
        color: exponent of the spectrum, see `colored_noise`.
    """

    std: float = 0.0
    color: float = 0.0

    def draw(self, steps: int, limits: Floats, random: np.random.Generator) -> Floats:
        """Draw noise (`steps`, A) for actions with `limits` (2, A), in the units of the limits."""
        half = (limits[1] - limits[0]) / 2.0
        return self.std * half * colored_noise(steps, len(half), self.color, random)


def colored_noise(steps: int, actions: int, color: float, random: np.random.Generator) -> Floats:
    """Draw noise (N, A) of expected variance 1 with the power spectrum 1 / f^color.

    Its mean over the episode is zero for any color other than 0.

    Args:
        steps: N.
        actions: A, independent of each other.
        color: 0 is white, 1 pink, 2 red (a random walk).
        random: generator.
    """
    white = random.standard_normal((steps, actions))
    if color == 0.0:
        return white
    if steps < 2:
        return np.zeros_like(white)
    gain = np.zeros(steps // 2 + 1)
    gain[1:] = np.arange(1, steps // 2 + 1) ** (-color / 2.0)
    # Parseval: rfft omits negative frequencies, so each counts twice; an even number of steps has
    # no negative of its highest frequency.
    power = 2.0 * float(np.sum(gain**2)) - (float(gain[-1] ** 2) if steps % 2 == 0 else 0.0)
    spectrum = np.fft.rfft(white, axis=0) * (gain / np.sqrt(power / steps))[:, None]
    return np.fft.irfft(spectrum, steps, axis=0)
