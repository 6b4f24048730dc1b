"""Coverage: how far new rows leave the champion's training data. Reported, never a verdict.

Any new trajectory changes these numbers. They show where a champion extrapolates, and not whether
the robot has changed. Symbols: N rows of training, n new rows, C channels.
"""

import numpy as np
from numpy.typing import NDArray

BINS = 10  # deciles
LEAST = 1e-4  # share of an empty bin, since the logarithm of zero is infinite

Floats = NDArray[np.float64]


def population_stability(training: Floats, new: Floats) -> float:
    """Return the population stability index of new values (n,) against those of training (N,).

    Σ (q - p) ln(q / p) over the deciles of training, p and q being the shares of training and of
    new values (Siddiqi 2006, Credit Risk Scorecards, section 7). Values
    below 0.1 count as the same distribution, above 0.25 as a different one.
    """
    edges = np.unique(np.quantile(training, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
    if len(edges) == 1:  # a channel that never changed: below, at and above its value
        edges = np.array([edges[0], np.nextafter(edges[0], np.inf)])
    p, q = (_shares(values, edges) for values in (training, new))
    return float(((q - p) * np.log(q / p)).sum())


def _shares(values: Floats, edges: Floats) -> Floats:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), LEAST)


def kolmogorov_smirnov(training: Floats, new: Floats) -> float:
    """Return the largest distance of the two empirical distributions of (N,) and (n,), 0 to 1.

    The p-value is left out, because neighboring rows of a trajectory are not independent.
    """
    from scipy.stats import ks_2samp

    return float(ks_2samp(training, new, method="asymp").statistic)  # pyright: ignore
