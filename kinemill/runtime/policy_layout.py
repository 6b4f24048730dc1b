"""Layout of a policy: names, order, units and limits of its tensors.

Symbols: B batch, D numbers observed, A actions, M choices, L bytes of a text.
"""

from dataclasses import asdict, dataclass, field

from kinemill.runtime.agents import Agent
from kinemill.runtime.native_spaces import MASK, OBSERVATION, NativeSpaces
from kinemill.store.json_io import Json

SEED = "seed"
__all__ = ["MASK", "OBSERVATION", "SEED", "PolicyLayout"]


@dataclass(frozen=True)
class PolicyLayout:
    """Names, order, units and limits of inputs and actions.

    Attributes:
        dt: time step, s.
        observation: observed numbers in the order of the last axis of `observation`.
        actions: names in the order of the last axis of `action`.
        units: unit by observed number and by action.
        limits: lowest and highest value, by name; actions are clipped to them.
        choices: number of choices of each action; 0 for a continuous one.
        images: height, width and channels by name, pixels.
        texts: length in bytes by name: UTF-8, truncated or padded with zeros.
        mask: width of `action_mask`, one column per choice; or 0.
        seeded: whether the policy samples, from the input `seed`.
        native: spaces of the environment where they differ, see `native_spaces`.
        agents: agents that act in turns, see `kinemill.runtime.agents`; empty: a single one.
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
    native: NativeSpaces = field(default_factory=NativeSpaces)
    agents: tuple[Agent, ...] = ()

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

    @property
    def is_mixed(self) -> bool:
        """Whether some actions are numbers and others choices."""
        return any(self.choices) and not all(self.choices)

    def to_json(self) -> Json:
        """Return the layout as a JSON object."""
        return asdict(self)
