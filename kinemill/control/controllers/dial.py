"""Diffusion-inspired annealing (DIAL-MPC, Xue et al. 2024): MPPI whose noise shrinks twice.

    σ(n, k) = σ exp(-(n / N) / β₁ - (1 - k / K) / β₂)        uⁱ = μ + σ(n, k) εⁱ

n is the iteration of N, from coarse to fine; k is the knot of K, whose noise grows with its time
ahead. Plans are averaged as in MPPI.
"""

from typing import Literal

import numpy as np

from kinemill.control.controllers.mppi import weighted_mean
from kinemill.control.plan import Floats, Plan
from kinemill.task.bounds import Count, Ratio
from kinemill.task.control import CONTROLLERS, Controller


@CONTROLLERS.register("dial")
class DIAL(Controller):
    """DIAL: MPPI whose noise shrinks over iterations and toward the present; for legged robots."""

    type: Literal["dial"] = "dial"
    iterations: Count = 3
    """rounds of drawing and updating plans per control step"""
    noise: Ratio = 0.6
    """standard deviation of a knot before annealing, in half action ranges"""
    temperature: Ratio = 0.1
    """λ as in mppi, in standard deviations of the costs"""
    beta_opt_iter: Ratio = 1.0
    """β₁; large: no annealing"""
    beta_horizon: Ratio = 1.0
    """β₂; large: equal noise of all knots"""

    def draw(self, plan: Plan, iteration: int, random: np.random.Generator) -> Floats:
        """Draw knots (B, K, A), in half action ranges: the plan itself, then plans around it."""
        count = len(plan.knots)
        done = iteration / self.iterations
        fraction = np.arange(1, count + 1) / count
        std = self.noise * np.exp(-done / self.beta_opt_iter - (1 - fraction) / self.beta_horizon)
        return plan.around(self.samples, std[:, None], random, self.min_noise_scale)

    def update(self, plan: Plan, knots: Floats, costs: Floats) -> Plan:
        """Average knots (B, K, A) by their costs (B,), as MPPI does."""
        return plan.moved(weighted_mean(knots, costs, self.temperature, "spread"))
