"""The cart-pole with perfect sensors, excited over its whole range: hanging, turning, upright."""

from typing import ClassVar

import numpy as np

from kinemill.control.sim._excitation import Signal
from kinemill.control.sim._logs import SIMULATORS
from kinemill.control.sim.cart_pole import CartPole
from kinemill.task.bounds import Count, PositiveQuantity, QuantityOrZero


@SIMULATORS.register("cart_pole_swing_up")
class CartPoleSwingUp(CartPole):
    """A cart with a pole and perfect sensors that starts at any angle; for swing-up control."""

    spin: ClassVar[float] = 6.0  # rad/s, largest rate of the pole at the start

    physics_step: PositiveQuantity = 0.02  # s; the pole turns at up to 20 rad/s: RK4 is off by 1e-5
    period: Count = 1
    jitter: QuantityOrZero = 0.0
    excitation: tuple[QuantityOrZero, QuantityOrZero] = (3.0, 10.0)
    pump: QuantityOrZero = 0.8  # N·s/rad: a pole released below the top comes to rest
    cart_quantum: QuantityOrZero = 0.0
    pole_counts: Count | None = None
    cart_noise: QuantityOrZero = 0.0
    pole_noise: QuantityOrZero = 0.0
    stamp_noise: QuantityOrZero = 0.0

    def start(self, random: np.random.Generator) -> Signal:
        """Draw a state (4,)."""
        low = np.array([-1.0, -np.pi, -1.0, -self.spin])
        return random.uniform(low, -low)

    def command(self, push: Signal, state: Signal) -> Signal:
        """Return the force (1,) that excites, centers the cart, and keeps the pole's energy high.

        A cart pushed by -θ' cos θ works with the pole, and against it where the sign is turned:
        toward the energy of standing at the top (Åström and Furuta 2000).
        """
        _, angle, _, rate = state
        lacking = 1.0 + np.cos(angle) - rate**2 * self.pole_length / (3.0 * self.gravity)
        pumping = self.pump * lacking * rate * np.cos(angle)
        return super().command(push - pumping, state)
