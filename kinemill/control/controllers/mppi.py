"""Model-predictive path integral control (Williams et al. 2017): plans averaged by their costs.

    uⁱ = μ + σ εⁱ,  εⁱ ~ N(0, 1)        wⁱ = exp(-(J(uⁱ) - min J) / λ)        μ ← Σ wⁱ uⁱ / Σ wⁱ

λ is the temperature: a small one selects the best plan, a large one averages all. In standard
deviations of the costs, one value works at any scale of the cost.
"""

from typing import Literal

import numpy as np

from kinemill.control.plan import Floats, Plan
from kinemill.task.bounds import Ratio
from kinemill.task.control import CONTROLLERS, Controller


@CONTROLLERS.register("mppi")
class MPPI(Controller):
    """Model predictive path integral control: average plans by cost; try it first."""

    type: Literal["mppi"] = "mppi"
    temperature: Ratio = 0.1
    """λ, in the unit below"""
    unit: Literal["spread", "cost"] = "spread"
    """spread: standard deviations of the costs; cost: the unit of the cost"""

    def update(self, plan: Plan, knots: Floats, costs: Floats) -> Plan:
        """Average knots (B, K, A) by their costs (B,)."""
        return plan.moved(weighted_mean(knots, costs, self.temperature, self.unit))


def weighted_mean(knots: Floats, costs: Floats, temperature: float, unit: str) -> Floats:
    """Average knots (B, K, A) with the weights exp(-cost / λ) of their costs (B,) -> (K, A).

    Args:
        knots: plans, in half action ranges.
        costs: cost of each plan, at least one of them finite.
        temperature: λ.
        unit: unit of λ; `spread`: the standard deviation of the finite costs.
    """
    finite = np.isfinite(costs)
    valid = costs if finite.all() else costs[finite]
    scale = float(valid.std()) if unit == "spread" else 1.0
    # Relative to the least cost, so that exp cannot overflow; an infinite cost weighs 0.
    weight = np.exp((valid.min() - costs) / max(temperature * scale, 1e-12))
    weight /= weight.sum()
    mean = weight.astype(knots.dtype, copy=False) @ knots.reshape(len(knots), -1)
    return mean.reshape(knots.shape[1:])
