"""Predictive sampling (Howell et al. 2022): the best of many random variations.

    uⁱ = μ + σ εⁱ,  εⁱ ~ N(0, 1)        μ ← uᵇ,  b = argmin J(uⁱ)

The last plan is among those tried, so a plan never gets worse by the model's own measure.
"""

from typing import Literal

import numpy as np

from kinemill.control.plan import Floats, Plan
from kinemill.task.control import CONTROLLERS, Controller


@CONTROLLERS.register("predictive_sampling")
class PredictiveSampling(Controller):
    """Settings of predictive sampling: those of every controller."""

    type: Literal["predictive_sampling"] = "predictive_sampling"

    def draw(self, plan: Plan, iteration: int, random: np.random.Generator) -> Floats:
        """Draw the plan itself, and the others around it."""
        del iteration
        return plan.around(self.samples, self.noise, random, self.min_noise_scale)

    def update(self, plan: Plan, knots: Floats, costs: Floats) -> Plan:
        """Take the best."""
        return plan.moved(knots[np.argmin(costs)])
