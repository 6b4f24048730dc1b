"""Predictive sampling (Howell et al. 2022): the best of many random variations.

    uⁱ = μ + σ εⁱ,  εⁱ ~ N(0, 1)        μ ← uᵇ,  b = argmin J(uⁱ)

The previous plan is among the samples, so an iteration never raises the predicted cost.
"""

from typing import Literal

import numpy as np

from kinemill.control.plan import Floats, Plan
from kinemill.task.control import CONTROLLERS, Controller


@CONTROLLERS.register("predictive_sampling")
class PredictiveSampling(Controller):
    """Predictive sampling: take the best of random plans; the simplest baseline."""

    type: Literal["predictive_sampling"] = "predictive_sampling"

    def update(self, plan: Plan, knots: Floats, costs: Floats) -> Plan:
        """Take the knots (K, A) of least cost, of knots (B, K, A) and costs (B,)."""
        return plan.moved(knots[np.argmin(costs)])
