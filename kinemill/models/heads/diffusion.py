"""Diffusion over chunks of actions (Ho et al. 2020; Chi et al. 2023), sampled in few steps by DDIM.

The network predicts the clean chunk, so that few steps suffice (Salimans and Ho 2022), with the
cosine schedule of noise (Nichol and Dhariwal 2021, eq. 17). With time t in [0, 1], signal
α = cos(t π/2) and noise σ = sin(t π/2): x_t = α x_0 + σ ε, and a step of DDIM (Song et al. 2021,
eq. 12 with η = 0) goes to x_s = α_s x_0 + σ_s (x_t - α_t x_0) / σ_t.
"""

from typing import Literal

from kinemill.models.heads._sampling import Sampling
from kinemill.task import Ratio, TorchModule
from kinemill.task.imitation import HEADS


@HEADS.register("diffusion")
class Diffusion(Sampling):
    """Actions sampled by denoising, in a few steps."""

    type: Literal["diffusion"] = "diffusion"
    bound: Ratio = 5.0
    """largest absolute denoised action, in standard deviations of training"""

    def build(self, length: int, actions: int) -> TorchModule:
        """Make the `DiffusionHead`."""
        from kinemill.models.networks.heads import DiffusionHead

        return DiffusionHead(length, actions, self.sizes(), self.bound)
