"""Covariance matrix adaptation with a diagonal covariance (sep-CMA-ES: Ros & Hansen 2008).

    xⁱ = m + σ √C εⁱ,  εⁱ ~ N(0, 1)        y = Σ wᵢ (xⁱ - m) / σ over the μ plans of least cost
    p_σ ← (1 - c_σ) p_σ + √(c_σ (2 - c_σ) μ_eff) y / √C
    σ ← σ exp(c_σ / d_σ (|p_σ| / E|ε| - 1))
    p_c ← (1 - c_c) p_c + √(c_c (2 - c_c) μ_eff) y
    C ← (1 - c₁ - c_μ) C + c₁ p_c² + c_μ Σ wᵢ yᵢ²

Weights and learning rates are those of Hansen (2016, arXiv:1604.00772); c₁ and c_μ are (n + 2) / 3
times as large, for a diagonal. The search starts anew at each control step, from the shifted plan.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from kinemill.control.plan import Floats, Plan
from kinemill.task.bounds import Count, Ratio
from kinemill.task.control import CONTROLLERS, Controller


@dataclass(frozen=True)
class _Search(Plan):
    """A plan whose distribution is adapted: σ, and per knot C, p_σ and p_c, (K, A)."""

    size: float = 0.0
    variance: Floats | float = 1.0
    step_path: Floats | float = 0.0
    path: Floats | float = 0.0


@CONTROLLERS.register("cma_es")
class CMAES(Controller):
    """CMA-ES: adapts size and diagonal covariance of its noise; for costs with narrow valleys."""

    type: Literal["cma_es"] = "cma_es"
    iterations: Count = 4
    """rounds of drawing and updating plans per control step"""
    least_noise: Ratio = 0.02
    """lower bound of σ √C, in half ranges"""

    def draw(self, plan: Plan, iteration: int, random: np.random.Generator) -> Floats:
        """Draw knots (B, K, A), in half action ranges: the plan itself, then plans around it."""
        del iteration
        std = plan.std if isinstance(plan, _Search) else None
        std = self.noise if std is None else std
        return plan.around(self.samples, std, random, self.min_noise_scale)

    def update(self, plan: Plan, knots: Floats, costs: Floats) -> Plan:
        """Adapt mean, σ and C to the knots (B, K, A) of least cost (B,), without infinite costs."""
        search = plan if isinstance(plan, _Search) else _Search(plan.knots, size=self.noise)
        order = np.argsort(costs)[: max(1, min(len(costs) // 2, int(np.isfinite(costs).sum())))]
        ranks = np.arange(1, len(order) + 1)
        weights = np.log(len(order) + 0.5) - np.log(ranks)
        weights /= weights.sum()
        size = plan.knots.size
        effective = 1.0 / float((weights**2).sum())
        c_size = (effective + 2.0) / (size + effective + 5.0)
        damping = 1.0 + 2.0 * max(0.0, math.sqrt((effective - 1.0) / (size + 1.0)) - 1.0) + c_size
        c_path = (4.0 + effective / size) / (size + 4.0 + 2.0 * effective / size)
        diagonal = (size + 2.0) / 3.0
        c_one = min(1.0, diagonal * 2.0 / ((size + 1.3) ** 2 + effective))
        c_rank = 2.0 * (effective - 2.0 + 1.0 / effective) / ((size + 2.0) ** 2 + effective)
        c_rank = max(0.0, min(1.0 - c_one, diagonal * c_rank))

        steps = (knots[order].astype(np.float64) - search.knots) / search.size
        mean = np.tensordot(weights, steps, 1)
        step_path = (1.0 - c_size) * search.step_path + math.sqrt(
            c_size * (2.0 - c_size) * effective
        ) * mean / np.sqrt(search.variance)
        expected = math.sqrt(size) * (1.0 - 1.0 / (4.0 * size) + 1.0 / (21.0 * size**2))
        length = float(np.linalg.norm(step_path))
        path = (1.0 - c_path) * search.path + math.sqrt(c_path * (2.0 - c_path) * effective) * mean
        variance = (
            (1.0 - c_one - c_rank) * np.asarray(search.variance)
            + c_one * path**2
            + c_rank * np.tensordot(weights, steps**2, 1)
        )
        new_size = search.size * math.exp(min(1.0, c_size / damping * (length / expected - 1.0)))
        return replace(
            search,
            knots=search.knots + search.size * mean,
            std=np.maximum(new_size * np.sqrt(variance), self.least_noise),
            size=new_size,
            variance=np.maximum(variance, 1e-12),
            step_path=step_path,
            path=path,
        )
