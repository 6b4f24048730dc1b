"""Diffusion over chunks of actions (Ho et al. 2020; Chi et al. 2023), drawn in few steps by DDIM.

The network is asked for the chunk behind the noise, from which few steps suffice (Salimans and Ho
2022); the noise grows as a cosine does (Nichol and Dhariwal 2021, eq. 17). With time t in [0, 1],
signal α = cos(t π/2) and noise σ = sin(t π/2): x_t = α x_0 + σ ε, and a step of DDIM (Song et al.
2021, eq. 12 with η = 0) goes to x_s = α_s x_0 + σ_s (x_t - α_t x_0) / σ_t.
"""

import math
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from kinemill.models.heads._head import HEADS, Chances
from kinemill.models.heads._sampling_head import Drawn


@HEADS.register("diffusion")
class Diffusion(Drawn):
    """Actions drawn out of noise, in a few steps."""

    type: Literal["diffusion"] = "diffusion"
    bound: PositiveFloat = Field(
        default=5.0, description="of a denoised action, in its spread in training"
    )

    def build(self, length: int, actions: int) -> Any:
        """Make the head."""
        import torch
        from torch import Tensor

        from kinemill.models.heads._denoiser import Refining, denoiser_of, spread_over

        head, bound = self, self.bound

        class Noise(Refining):
            def __init__(self) -> None:
                super().__init__(head, length, actions)
                self.denoiser = denoiser_of(head, self.size)

            def refined(self, x: Tensor, step: int, condition: Tensor) -> Tensor:
                """Go one step of DDIM on."""
                now, after = (1.0 - k / self.steps for k in (step, step + 1))
                time = torch.full_like(x[:, :1], now)
                clean = bounded(self.denoiser(x, time, condition), bound)
                (signal, noise), (next_signal, next_noise) = levels(now), levels(after)
                return next_signal * clean + next_noise / noise * (x - signal * clean)

            def loss(
                self, condition: Tensor, wanted: Tensor, counts: Tensor, chances: Chances
            ) -> Tensor:
                """Return the squared error of the chunk that is seen behind the noise."""
                clean = wanted.flatten(1)
                time = chances.uniform(len(clean), 1)
                angle = 0.5 * math.pi * time
                noisy = angle.cos() * clean + angle.sin() * chances.normal(len(clean), self.size)
                error = self.denoiser(noisy, time, condition) - clean
                return spread_over(error.square(), counts, actions)

        return Noise()


def levels(time: float) -> tuple[float, float]:
    """Return signal and noise at a time in [0, 1]."""
    return math.cos(0.5 * math.pi * time), math.sin(0.5 * math.pi * time)


def bounded(x: Any, bound: float) -> Any:
    """Keep values within ± `bound`; NaN stays NaN, which ONNX Runtime's own clipping may lose."""
    import torch

    most = torch.full_like(x, bound)
    return torch.where(x > bound, most, torch.where(x < -bound, -most, x))
