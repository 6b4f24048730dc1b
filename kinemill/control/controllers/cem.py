"""Cross-entropy method (Rubinstein 1999; Kobilarov 2012): fit a normal distribution to the best.

    uⁱ = μ + s εⁱ,  εⁱ ~ N(0, 1)        E = the n plans of least cost
    μ ← mean of E        s ← max(standard deviation of E, s₀)

s is the standard deviation of each knot, reset to σ at the first iteration of each control step.
"""

from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from kinemill.control.plan import Floats, Plan
from kinemill.task.bounds import Count, Ratio
from kinemill.task.control import CONTROLLERS, Controller

ELITES = 16


@CONTROLLERS.register("cem")
class CEM(Controller):
    """Cross-entropy method: refit a Gaussian to the best plans; for costs with several minima."""

    type: Literal["cem"] = "cem"
    iterations: Count = 2
    """rounds of drawing and updating plans per control step"""
    elites: Count | None = None
    """n, number of plans to fit, fewer than `samples`; default: 16, at most half"""
    least_noise: Ratio = 0.05
    """s₀, which keeps the search alive"""

    @model_validator(mode="after")
    def _check_elites(self) -> Self:
        if self.elites is not None and self.elites >= self.samples:
            raise ValueError(f"elites: {self.elites} is not less than samples: {self.samples}")
        return self

    def draw(self, plan: Plan, iteration: int, random: np.random.Generator) -> Floats:
        """Draw knots (B, K, A), in half action ranges: the plan itself, then plans around it."""
        std = self.noise if iteration == 0 or plan.std is None else plan.std
        return plan.around(self.samples, std, random, self.min_noise_scale)

    def update(self, plan: Plan, knots: Floats, costs: Floats) -> Plan:
        """Fit mean and std to the knots (B, K, A) of least cost (B,), without infinite costs."""
        count = self.elites or min(ELITES, self.samples // 2)
        elites = min(count, int(np.isfinite(costs).sum()))
        best = knots[np.argsort(costs)[:elites]]
        return plan.moved(best.mean(axis=0), np.maximum(best.std(axis=0), self.least_noise))
