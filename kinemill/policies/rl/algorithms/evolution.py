"""Evolution strategies (Salimans et al., 2017): the gradient of the return of perturbed policies.

Perturbations come in mirrored pairs, and returns are replaced by their ranks. All members of a
generation start from the same initial state, each in a separate copy of the environment.

    g = 1 / (n s) sum_i w(R_i) e_i,   w: ranks, evenly between -1/2 and 1/2
"""

from typing import ClassVar, Literal

from pydantic import Field

from kinemill.policies.rl.learner import Learner, Site
from kinemill.policies.rl.objective import Reinforcement
from kinemill.task.bounds import Count, Ratio, Width
from kinemill.task.protocols import TorchModule
from kinemill.task.reinforcement import ALGORITHMS, Algorithm, Head


@ALGORITHMS.register("evolution")
class Evolution(Algorithm):
    """Evolution strategies, without gradients; for rewards that are sparse or not smooth.

    `learn.num_envs` is the size of a generation, an even number.
    """

    acts: ClassVar[tuple[str, ...]] = ("continuous", "choice", "choices", "mixed")
    masked: ClassVar[bool] = True
    multi_agent: ClassVar[bool] = True
    num_envs: ClassVar[int] = 32
    head: ClassVar[Head] = "squashed"
    type: Literal["evolution"] = "evolution"
    noise: Ratio = Field(default=0.1, examples=[0.02, 0.05, 0.1])
    """std of a perturbation, per weight"""
    episodes: Count = 1
    """episodes per member"""
    features: Width = 64
    """features of a model that is no plain perceptron"""

    def core(self, learn: Reinforcement, inputs: int, outputs: int) -> TorchModule:
        """Return the policy's network."""
        from kinemill.policies.rl.sb3 import actor_network

        return actor_network(learn, inputs, outputs, self.features)

    def learner(self, site: Site) -> Learner:
        """Return the learner."""
        from kinemill.policies.rl.evolution import EvolutionLearner

        return EvolutionLearner(site, self)
