"""Holding a plant at an unstable rest while it is excited: else no log would show that place long.

The linear-quadratic regulator (Kalman 1960) of the plant linearized there by central differences.
"""

from functools import cache

import numpy as np

from kinemill.sim._excitation import Signal
from kinemill.sim._plant import Plant

STEP = 1e-4  # rad, m, and their rates, to either side: errors of 1e-8 relative


@cache
def regulator(plant: Plant, rest: tuple[float, ...], weights: tuple[float, ...]) -> Signal:
    """Return the gain K (A, 2 Q) of u = -K (x - rest) that minimizes Σ x' Q x + u' R u.

    Args:
        plant: a `Plant`, at whose period it acts.
        rest: a state (2 Q,) that stays as it is without a command.
        weights: the diagonals of Q (2 Q,) and R (A,), in one.
    """
    from scipy.linalg import solve_discrete_are

    size, motors = len(rest), len(plant.motors)
    columns: list[Signal] = []
    for direction in STEP * np.eye(size + motors):
        forward, behind = (_after(plant, np.array(rest), sign * direction) for sign in (1.0, -1.0))
        columns.append((forward - behind) / (2 * STEP))
    a, b = np.split(np.stack(columns, axis=1), [size], axis=1)
    q, r = np.diag(weights[:size]), np.diag(weights[size:])
    p = solve_discrete_are(a, b, q, r)
    return np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a)


def _after(plant: Plant, rest: Signal, moved: Signal) -> Signal:
    advance, _, _ = plant.stepper(rest + moved[: len(rest)])
    return advance(moved[len(rest) :], plant.period)
