"""Splines as matrices: values at given times are linear in the knots.

A planner computes the matrices once. Symbols: K knots at times 0, 1, ..., K-1; N times. Before the
first and after the last knot, the spline has the value of that knot.
"""

from collections.abc import Callable

import numpy as np

from kinemill.control.plan import Floats


def zero(times: Floats, knots: int) -> Floats:
    """Hold each knot until the next: times (N,) -> (N, K)."""
    # + 1e-9: a time of 0.9999… that should be 1 belongs to knot 1.
    index = np.clip(np.floor(times + 1e-9), 0, knots - 1).astype(int)
    return np.eye(knots)[index]


def linear(times: Floats, knots: int) -> Floats:
    """Join knots by lines: times (N,) -> (N, K)."""
    columns = [np.interp(times, np.arange(knots), unit) for unit in np.eye(knots)]
    return np.stack(columns, axis=1)


def cubic(times: Floats, knots: int) -> Floats:
    """Join knots by the natural cubic spline: times (N,) -> (N, K).

    Its second derivatives m solve m[k-1] + 4 m[k] + m[k+1] = 6 (y[k-1] - 2 y[k] + y[k+1]) between
    the ends, where they are zero (de Boor 1978, chapter 4).
    """
    if knots < 3:
        return linear(times, knots)
    inner = np.arange(1, knots - 1)
    system, right = np.eye(knots), np.zeros((knots, knots))
    for offset, left_weight, right_weight in ((-1, 1.0, 6.0), (0, 4.0, -12.0), (1, 1.0, 6.0)):
        system[inner, inner + offset] = left_weight
        right[inner, inner + offset] = right_weight
    curvature = np.linalg.solve(system, right)  # (K, K): second derivatives from knots
    within = np.clip(times, 0.0, knots - 1.0)
    segment = np.minimum(within.astype(int), knots - 2)
    after, values = (within - segment)[:, None], np.eye(knots)
    share = 1.0 - after
    bend = (share**3 - share) * curvature[segment] + (after**3 - after) * curvature[segment + 1]
    return share * values[segment] + after * values[segment + 1] + bend / 6.0


SPLINES: dict[str, Callable[[Floats, int], Floats]] = {
    "zero": zero,
    "linear": linear,
    "cubic": cubic,
}


def matrices(spline: str, knots: int, horizon: int) -> tuple[Floats, Floats]:
    """Return the matrices from knots to actions (T, K), and to knots one step later (K, K).

    The first knot belongs to the current step, the last one to the last step of the horizon.
    """
    each = (horizon - 1) / (knots - 1) if knots > 1 else 1.0  # steps between two knots
    form = SPLINES[spline]
    at_steps = form(np.arange(horizon) / each, knots)
    return at_steps, form(np.arange(knots) + 1.0 / each, knots)
