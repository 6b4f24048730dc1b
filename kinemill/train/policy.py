"""What every policy is, however it was learned: tensors in, an action out, and what it carries.

The tensors come in this order, those that a policy lacks left out: `observation` (B, D) float32,
each image (B, H, W, C) uint8, each text (B, L) uint8, `action_mask` (B, M) float32, `seed` (B, 1)
int64, then the carry, float32, zeros before the first step of an episode. Out come `action` (B, A)
float32 and the carry for the step after. Everything between a robot's units and the network is
inside: scaling, histories, chunks and their queue, sampling by the seed, limits. So the module is
what is trained, exported, verified and run.

Symbols: B batch, D numbers observed, A actions, M choices, L bytes of a text.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.store import Json

OBSERVATION, MASK, SEED = "observation", "action_mask", "seed"


@dataclass(frozen=True)
class PolicyLayout:
    """Names, order, units and limits of what a policy sees and gives.

    Attributes:
        dt: time step, s.
        observation: the numbers observed, in the order of the last axis of `observation`.
        actions: in the order of the last axis of `action`.
        units: unit by observed number and by action.
        limits: lowest and highest value, by name; an action with limits never leaves them.
        choices: of each action: how many there are, 0 to this - 1; 0 for a continuous one.
        images: height, width, channels by name.
        texts: bytes that are looked at, by name: UTF-8, cut off or filled up with zeros.
        mask: choices that may be forbidden, for which `action_mask` has a column each; or 0.
        seeded: whether it draws at random, by `seed`.
    """

    dt: float
    observation: tuple[str, ...]
    actions: tuple[str, ...]
    units: dict[str, str]
    limits: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    choices: tuple[int, ...] = ()
    images: dict[str, tuple[int, int, int]] = field(default_factory=dict[str, tuple[int, int, int]])
    texts: dict[str, int] = field(default_factory=dict[str, int])
    mask: int = 0
    seeded: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors before the carry, in order."""
        return (
            *([OBSERVATION] if self.observation else []),
            *self.images,
            *self.texts,
            *([MASK] if self.mask else []),
            *([SEED] if self.seeded else []),
        )

    def to_json(self) -> Json:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "PolicyLayout":
        """Read it back from its JSON object."""
        return cls(
            dt=found["dt"],
            observation=tuple(found["observation"]),
            actions=tuple(found["actions"]),
            units=dict(found["units"]),
            limits={name: (low, high) for name, (low, high) in found["limits"].items()},
            choices=tuple(found["choices"]),
            images={name: (h, w, c) for name, (h, w, c) in found["images"].items()},
            texts=dict(found["texts"]),
            mask=found["mask"],
            seeded=found["seeded"],
        )

    def blank(self, batch: int) -> tuple[Tensor, ...]:
        """Return inputs of the right shapes and types: zeros, and nothing forbidden."""
        made: dict[str, Tensor] = {OBSERVATION: torch.zeros(batch, len(self.observation))}
        made |= {name: torch.zeros(batch, *shape).byte() for name, shape in self.images.items()}
        made |= {name: torch.zeros(batch, size).byte() for name, size in self.texts.items()}
        made |= {MASK: torch.ones(batch, self.mask), SEED: torch.zeros(batch, 1).long()}
        return tuple(made[name] for name in self.inputs)


class PolicyModule(nn.Module):
    """A policy, see the top of this file.

    Args:
        layout: what it sees and gives.
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
        """Return the action (B, A) in task units, and the carry; discrete ones are whole numbers.

        Args:
            tensors: `layout.inputs`, then the carry.
        """

    def initial_carry(self, batch: int) -> tuple[Tensor, ...]:
        """Return the carry before anything was seen, zeros."""
        like = next(self.parameters())
        return tuple(
            torch.zeros(batch, *shape, device=like.device, dtype=torch.float32)
            for shape in self.carry_shapes
        )
