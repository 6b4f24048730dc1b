"""PPO with action masking (Huang and Ontañón, 2022): forbidden choices have probability 0."""

from typing import ClassVar, Literal

from kinemill.policies.rl.algorithms.ppo import PPO
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("maskable_ppo")
class MaskablePPO(PPO):
    """PPO for discrete actions of which some are forbidden in some states.

    The environment observes `action_mask` (M,): 1 for each allowed choice, else 0.
    """

    library: ClassVar[str] = "sb3_contrib:MaskablePPO"
    acts: ClassVar[tuple[str, ...]] = ("choice", "choices")
    masked: ClassVar[bool] = True
    needs_mask: ClassVar[bool] = True
    single_steps: ClassVar[bool] = False
    multi_agent: ClassVar[bool] = False  # PPO masks the choices of agents
    type: Literal["maskable_ppo"] = "maskable_ppo"
