"""Agents that act in turns: players of a game, or the sub-steps of one decision.

One policy file acts for all of them. Its observation (D,) is a one-hot of the acting agent, then a
block of numbers for each network; its action (A,) and its mask (M,) have one block for each network
as well. Blocks of networks that are not used in a turn hold zeros, and their masks allow choice 0
alone. Agents that share a network share its blocks.

Symbols: N agents, D numbers observed, A actions, M choices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinemill.errors import BadInput
from kinemill.runtime.native_spaces import MASK, OBSERVATION, NativeSpace, decode, encode

Array = NDArray[Any]


@dataclass(frozen=True)
class Agent:
    """An agent, and its part of the tensors of the policy.

    Attributes:
        name: name of the agent.
        policy: name of its network, which other agents may share.
        observation: space of its observations.
        keys: parts of the observation that are numbers or choices, in order.
        action: space of its actions.
        columns: first and last + 1 index of its numbers in the policy's observation (D,).
        actions: first and last + 1 index of its values in the policy's action (A,).
    """

    name: str
    policy: str
    observation: NativeSpace
    keys: tuple[str, ...]
    action: NativeSpace
    columns: tuple[int, int]
    actions: tuple[int, int]


def choices_of(space: NativeSpace) -> tuple[int, ...]:
    """Return the number of choices of each value of an action; 0 for a number."""
    if space.parts:
        return tuple(count for part in space.parts for count in choices_of(part))
    return space.choices or (0,) * int(np.prod(space.shape))


class Turns:
    """Conversion between the spaces of agents and the tensors of their policy.

    Args:
        agents: all agents of the policy, in the order of the one-hot of the observation.
    """

    def __init__(self, agents: Sequence[Agent]) -> None:
        self.agents = {agent.name: agent for agent in agents}

    @cached_property
    def size(self) -> int:
        """Numbers of the observation, D."""
        return max(agent.columns[1] for agent in self.agents.values())

    @cached_property
    def choices(self) -> tuple[int, ...]:
        """Number of choices of each value of the action (A,); 0 for a number."""
        blocks = {agent.actions: choices_of(agent.action) for agent in self.agents.values()}
        return tuple(count for block in sorted(blocks) for count in blocks[block])

    @cached_property
    def is_masked(self) -> bool:
        """Whether choices are forbidden in some turns."""
        # With several networks, the choices of those that are not used are forbidden.
        has_agent_mask = any(_has_mask(agent.observation) for agent in self.agents.values())
        unused = len({agent.policy for agent in self.agents.values()}) > 1
        return any(self.choices) and (has_agent_mask or unused)

    def agent(self, name: str) -> Agent:
        """Return an agent.

        Raises:
            BadInput: No agent has this name.
        """
        if name not in self.agents:
            expected = f"one of {', '.join(self.agents)}"
            raise BadInput("agent", f"is {name!r}", expected=expected)
        return self.agents[name]

    def encode(self, name: str, value: object, mask: ArrayLike | None = None) -> dict[str, Array]:
        """Return an agent's observation for the policy: `observation` (D,), `action_mask` (M,).

        Args:
            name: name of the agent.
            value: observation in the space of the agent.
            mask: allowed choices of the agent; None: those of the observation, else all.

        Raises:
            BadInput: The agent is unknown, or the mask has another size.
        """
        agent = self.agent(name)
        parts = encode(agent.observation, agent.keys, value)
        numbers = np.zeros(self.size, np.float32)
        numbers[list(self.agents).index(name)] = 1.0
        numbers[slice(*agent.columns)] = parts[OBSERVATION]
        if not self.is_masked:
            return {OBSERVATION: numbers}
        agent_mask = parts.get(MASK) if mask is None else np.asarray(mask)
        return {OBSERVATION: numbers, MASK: self._mask(agent, agent_mask)}

    def decode(self, name: str, action: object) -> object:
        """Return the action (A,) of the policy in the space of an agent, in physical units.

        Raises:
            BadInput: The agent is unknown, or the action has too few values.
        """
        agent = self.agent(name)
        return decode(agent.action, self.agent_values(name, action))

    def agent_values(self, name: str, action: object) -> Array:
        """Return the values of an agent in the action (A,) of the policy, in the same units.

        Raises:
            BadInput: The agent is unknown.
        """
        return np.asarray(action).reshape(-1)[slice(*self.agent(name).actions)]

    def _mask(self, agent: Agent, agent_mask: Array | None) -> Array:
        """Return the mask (M,): an agent's own choices, and choice 0 of all others."""
        first, stop = agent.actions
        count = sum(self.choices[first:stop])
        if agent_mask is None:
            agent_mask = np.ones(count, np.int8)
        if np.shape(agent_mask) != (count,):
            where = f"{MASK} of {agent.name}"
            raise BadInput(where, f"has shape {np.shape(agent_mask)}", expected=f"({count},)")
        lower = [_first_alone(part) for part in self.choices[:first]]
        upper = [_first_alone(part) for part in self.choices[stop:]]
        return np.concatenate([*lower, agent_mask.astype(np.int8), *upper])


def _first_alone(count: int) -> Array:
    mask = np.zeros(count, np.int8)
    mask[:1] = 1
    return mask


def _has_mask(space: NativeSpace) -> bool:
    return space.kind == "mask" or any(_has_mask(part) for part in space.parts)
