"""A pole hinged to a motor-driven cart on a track: the plant, its sensors and its logs.

Symbols: x cart position m, θ pole angle rad (0 hangs down, positive toward positive x, counted
over full turns), u force on the cart N, M cart mass kg, m pole mass kg, L pole length m, g gravity
m/s². The pole is a thin uniform rod: center of mass at L/2, inertia m L²/12 about it.
"""

from typing import ClassVar

import numpy as np

from kinemill.control.sim._cart import Cart
from kinemill.control.sim._excitation import Signal
from kinemill.control.sim._logs import SIMULATORS
from kinemill.control.sim._table import Table
from kinemill.task.bounds import Count, PositiveQuantity, QuantityOrZero


@SIMULATORS.register("cart_pole")
class CartPole(Cart):
    """A cart with a pole and imperfect sensors; logs of it show what validation finds."""

    joints: ClassVar[tuple[str, ...]] = ("cart", "pole")
    motors: ClassVar[tuple[str, ...]] = ("cart",)

    physics_step: PositiveQuantity = 0.001  # s
    period: Count = 10  # physics steps between two rows, give or take one: 100 Hz
    jitter: QuantityOrZero = 0.15  # share of the rows that come a physics step early, and late
    excitation: tuple[QuantityOrZero, QuantityOrZero] = (4.0, 9.0)  # N, range of an episode's peak
    centering: tuple[QuantityOrZero, QuantityOrZero] = (4.0, 2.0)  # N/m, N·s/m: middle in 1 s

    cart_quantum: QuantityOrZero = 5e-5  # m, encoder resolution
    pole_counts: Count | None = 4096  # encoder counts per turn: 1.53 mrad
    cart_noise: QuantityOrZero = 0.005  # m/s, standard deviation of the velocity measured
    pole_noise: QuantityOrZero = 0.02  # rad/s, the same of the pole
    stamp_noise: QuantityOrZero = 5e-5  # s, standard deviation of a time stamp

    def quiet(self) -> "CartPole":
        """Return the same robot with perfect sensors and a perfect clock."""
        perfect = {"jitter": 0.0, "cart_quantum": 0.0, "pole_counts": None, "stamp_noise": 0.0}
        return self.model_copy(update=perfect | {"cart_noise": 0.0, "pole_noise": 0.0})

    def log(self, seconds: float, random: np.random.Generator) -> Table:
        """Return the log of `seconds`: columns by name, one row per period.

        Row k holds the state measured at its stamp and the force that is held from then on.
        """
        rows = max(2, round(seconds / self.dt))
        early = self.jitter
        steps = self.period + random.choice([-1, 0, 1], rows, p=[early, 1 - 2 * early, early])
        t = np.concatenate([[0.0], np.cumsum(steps[:-1])]) * self.physics_step
        push = self.push(t, random)
        start = self.start(random)
        state, force = self.run(push, steps, start)
        return self._measure(t, state, force[:, 0], random)

    def start(self, random: np.random.Generator) -> Signal:
        """Draw a state (4,) at rest, the pole anywhere but near the top."""
        return np.array([random.uniform(-0.3, 0.3), random.uniform(-2.5, 2.5), 0.0, 0.0])

    def command(self, push: Signal, state: Signal) -> Signal:
        """Return the force (1,) that excites the cart and returns it to the center."""
        stiffness, damping = self.centering
        return push - stiffness * state[0] - damping * state[2]

    def points(self, positions: Signal) -> Signal:
        """Return hinge and tip, (N, 2) -> (N, 2, 2) m."""
        x, angle = positions.T
        tip = [x + self.pole_length * np.sin(angle), -self.pole_length * np.cos(angle)]
        return np.stack([np.stack([x, 0.0 * x], 1), np.stack(tip, 1)], axis=1)

    def _measure(
        self, t: Signal, state: Signal, force: Signal, random: np.random.Generator
    ) -> Table:
        """Look at the truth through the robot's clock, encoders and velocity sensors."""
        rows = len(t)
        pole_quantum = 2.0 * np.pi / self.pole_counts if self.pole_counts else 0.0
        return {
            "timestamp": t + self.stamp_noise * random.standard_normal(rows),
            "qpos_cart": _rounded(state[:, 0], self.cart_quantum),
            "qpos_pole": _rounded(state[:, 1], pole_quantum),
            "qvel_cart": state[:, 2] + self.cart_noise * random.standard_normal(rows),
            "qvel_pole": state[:, 3] + self.pole_noise * random.standard_normal(rows),
            "ctrl_cart": force,
        }


def _rounded(value: Signal, quantum: float) -> Signal:
    return np.round(value / quantum) * quantum if quantum else value
