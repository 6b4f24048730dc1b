"""Two poles in a row, hinged to a motor-driven cart on a track.

Symbols: x cart position m, θ angle of the inner pole rad (0 hangs down), φ angle of the outer pole
against the inner one rad (0 is in line with it), u force on the cart N. Poles are thin
uniform rods.
"""

from functools import cache
from typing import Any, ClassVar, cast

import numpy as np

from kinemill.control.sim._cart import Cart
from kinemill.control.sim._excitation import Signal
from kinemill.control.sim._logs import SIMULATORS
from kinemill.control.sim._plant import Plant
from kinemill.runtime import wrapped
from kinemill.task.bounds import PositiveQuantity, QuantityOrZero

UPRIGHT = np.array([0.0, np.pi, 0.0, 0.0, 0.0, 0.0])
STEP = 1e-4  # rad, m, and their rates, to either side: errors of 1e-8 relative
WEIGHTS = (10.0, 30.0, 30.0, 1.0, 1.0, 1.0, 0.1)  # of the state, 1/m² ..., and of the force, 1/N²


@SIMULATORS.register("double_cart_pole")
class DoubleCartPole(Cart):
    """A cart with two equal poles in a row: a chaotic system, for hard rollouts."""

    joints: ClassVar[tuple[str, ...]] = ("cart", "inner", "outer")
    motors: ClassVar[tuple[str, ...]] = ("cart",)

    pole_damping: QuantityOrZero = 0.01  # N·m·s/rad, of each hinge
    track: PositiveQuantity = 2.0  # m from the middle to the end stop
    force: PositiveQuantity = 20.0  # N the motor can give
    excitation: tuple[QuantityOrZero, QuantityOrZero] = (5.0, 20.0)  # N, range of an episode's peak
    centering: tuple[QuantityOrZero, QuantityOrZero] = (8.0, 3.0)  # N/m, N·s/m: middle in 1 s
    caught: PositiveQuantity = 0.5  # rad from the top within which excitation leaves poles balanced

    def start(self, random: np.random.Generator) -> Signal:
        """Draw a state (6,): poles anywhere, up to 4 rad/s, or as often near the top."""
        low = np.array([-1.0, -np.pi, -np.pi, -1.0, -4.0, -4.0])
        if random.random() < 0.5:
            low = np.array([-1.0, -0.3, -0.3, -0.5, -0.5, -0.5])
            return UPRIGHT + random.uniform(low, -low)
        return random.uniform(low, -low)

    def command(self, push: Signal, state: Signal) -> Signal:
        """Return the force (1,) that excites the cart and returns it to the center.

        Near the top it balances under half of the excitation, until that throws the poles over.
        """
        off = state - UPRIGHT
        off[1:3] = wrapped(off[1:3], True)
        if np.abs(off[1:3]).max() < self.caught:
            return push / 2.0 - regulator(cast(Any, self), tuple(UPRIGHT.tolist()), WEIGHTS) @ off
        stiffness, damping = self.centering
        return push - stiffness * state[0] - damping * state[3]

    def points(self, positions: Signal) -> Signal:
        """Return both hinges and the tip, (N, 3) -> (N, 3, 2) m."""
        x, inner, bend = positions.T
        ends = [np.stack([x, 0.0 * x], axis=1)]
        for angle in (inner, inner + bend):
            ends.append(
                ends[-1] + self.pole_length * np.stack([np.sin(angle), -np.cos(angle)], axis=1)
            )
        return np.stack(ends, axis=1)


@cache
def regulator(plant: Plant, rest: tuple[float, ...], weights: tuple[float, ...]) -> Signal:
    """Return the gain K (A, 2 Q) of u = -K (x - rest) that minimizes Σ x' Q x + u' R u.

    It is the linear-quadratic regulator (Kalman 1960) of the plant linearized by central
    differences. It holds the plant at an unstable rest, where no log would stay long otherwise.

    Args:
        plant: a `Plant`, at whose period it acts.
        rest: a state (2 Q,) that stays as it is without a command.
        weights: the diagonals of Q (2 Q,) and R (A,), in one.
    """
    from scipy.linalg import solve_discrete_are

    size = len(rest)
    motors = len(plant.motors)
    columns: list[Signal] = []
    for direction in STEP * np.eye(size + motors):
        forward, behind = (_after(plant, np.array(rest), sign * direction) for sign in (1.0, -1.0))
        columns.append((forward - behind) / (2 * STEP))
    a, b = np.split(np.stack(columns, axis=1), [size], axis=1)
    q = np.diag(weights[:size])
    r = np.diag(weights[size:])
    p = solve_discrete_are(a, b, q, r)
    return np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a)


def _after(plant: Plant, rest: Signal, moved: Signal) -> Signal:
    advance, _, _ = plant.stepper(rest + moved[: len(rest)])
    return advance(moved[len(rest) :], plant.period)
