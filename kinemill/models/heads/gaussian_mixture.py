"""A mixture of Gaussians over whole chunks of actions (Bishop 1994; Mandlekar et al. 2021).

One component is sampled for a chunk, which keeps its actions coherent.
"""

from typing import ClassVar, Literal

from kinemill.task import Ratio, RatioOrZero, TorchModule, Width
from kinemill.task.imitation import HEADS, Head


@HEADS.register("gaussian_mixture")
class GaussianMixture(Head):
    """Several modes, each with a probability and a standard deviation."""

    type: Literal["gaussian_mixture"] = "gaussian_mixture"
    seeded: ClassVar[bool] = True
    components: Width = 5
    """number of normal distributions"""
    min_std: Ratio = 0.03
    """smallest standard deviation within a component, in those of training"""
    noise: RatioOrZero = 0.0
    """share of a component's standard deviation that is sampled; 0: its mean, as in Mandlekar et
    al."""

    def build(self, length: int, actions: int) -> TorchModule:
        """Make the `MixtureHead`."""
        from kinemill.models.networks.heads import MixtureHead

        return MixtureHead(length, actions, self.components, self.min_std, self.noise)
