"""How far new rows leave what the champion learned from: told, and never a verdict.

Any new trajectory moves these numbers, so they say where a champion had to extrapolate, not whether
the robot has changed. Symbols: N rows of training, n new rows, C channels.
"""

import numpy as np
from numpy.typing import NDArray

BINS = 10
LEAST = 1e-4  # share of an empty bin: the logarithm of none would be infinite

Floats = NDArray[np.float64]


def population_stability(training: Floats, new: Floats) -> float:
    """Return the population stability index of new values (n,) against those of training (N,).

    Σ (q - p) ln(q / p) over the deciles of training, p and q being the shares of training and of
    new values (Siddiqi 2006, Credit Risk Scorecards, section 7). Below 0.1 is alike, above 0.25 is
    elsewhere.
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

    Its p-value is left out: neighboring rows of a trajectory are no independent samples.
    """
    from scipy.stats import ks_2samp

    return float(ks_2samp(training, new, method="asymp").statistic)  # pyright: ignore
