"""Base class of policies: tensors in, an action and a carry out.

The inputs are, in this order and where a policy has them: `observation` (B, D) float32, each image
(B, H, W, C) uint8, each text (B, L) uint8, `action_mask` (B, M) float32, `seed` (B, 1) int64, then
the carry, float32, zeros before the first step of an episode. The outputs are `action` (B, A)
float32 and the carry for the next step, in task units. The module includes scaling, histories,
chunks and their queue, sampling by the seed, and limits. The same module is trained, exported,
verified and run.

Symbols: B batch, D numbers observed, A actions, M choices, L bytes of a text.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from kinemill.runtime.policy_layout import MASK, OBSERVATION, SEED, PolicyLayout


class PolicyModule(nn.Module):
    """A policy, see the module's docstring for the order of tensors.

    Args:
        layout: observations and actions of the policy.
    """

    def __init__(self, layout: PolicyLayout) -> None:
        super().__init__()
        self.layout = layout

    @property
    @abstractmethod
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each carry tensor, without the batch."""

    @abstractmethod
    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the action (B, A) in task units, and the carry; choices are whole numbers.

        Args:
            tensors: `layout.inputs`, then the carry.
        """

    def with_other_ties(self) -> "PolicyModule | None":
        """Return a copy that decides ties differently, as another runtime may; None without ties.

        Parity compares the actions up to the difference.
        """
        return None

    def initial_carry(self, batch: int) -> tuple[Tensor, ...]:
        """Return the initial carry: zeros, (B, ...) each."""
        like = next(self.parameters())
        return tuple(
            torch.zeros(batch, *shape, device=like.device, dtype=torch.float32)
            for shape in self.carry_shapes
        )

    def blank(self, batch: int) -> tuple[Tensor, ...]:
        """Return inputs (B, ...) of the right shapes and types: zeros, and a mask of ones."""
        layout = self.layout
        made: dict[str, Tensor] = {OBSERVATION: torch.zeros(batch, len(layout.observation))}
        made |= {name: torch.zeros(batch, *shape).byte() for name, shape in layout.images.items()}
        made |= {name: torch.zeros(batch, size).byte() for name, size in layout.texts.items()}
        made |= {MASK: torch.ones(batch, layout.mask), SEED: torch.zeros(batch, 1).long()}
        return tuple(made[name] for name in layout.inputs)
