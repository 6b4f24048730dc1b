"""Environments whose agents act in turns, as one Gymnasium environment of one policy.

An agent is a player, or a sub-step of one decision. Such an environment is a `gymnasium.Env` with
the attributes of PettingZoo's AEC API:

- `observation_spaces` and `action_spaces`, by agent;
- `agent_selection`, the name of the agent whose turn it is.

`reset` returns the observation of that agent, and `step` takes its action and returns the
observation of the next one. A reward is one number for all agents, or a dict by agent. Choices are
forbidden by `action_mask` in an observation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.spaces.utils import flatten_space
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env, Info, Options, Reset, Space, Transition
from kinemill.policies.environments.native import (
    ActionBlock,
    action_block,
    flat_actions,
    numbered,
    part_spaces,
    space_of,
)
from kinemill.registry import require_known
from kinemill.runtime.agents import Agent, Turns, choices_of
from kinemill.runtime.native_spaces import NativeSpace, named_parts
from kinemill.runtime.policy_layout import MASK, OBSERVATION

AGENT_REWARDS = "agent_rewards"  # of `info`: (N,), where each agent has its own rewards
Policies = str | Mapping[str, str]


def is_turn_based(environment: Env) -> bool:
    """Return whether agents act in turns in an environment."""
    names = ("observation_spaces", "action_spaces")  # `agent_selection` may follow in `reset`
    return all(hasattr(environment.unwrapped, name) for name in names)


class TurnEnv(gymnasium.Wrapper[object, object, object, object]):
    """One policy acts for all agents, see `kinemill.runtime.agents`; a step is one turn.

    Args:
        env: whose agents act in turns.
        policies: `separate`, `shared`, or the name of a network by agent.
        score: agent whose reward counts; None: the sum over agents.
        random_agents: agents that act at random, in place of the policy.

    Raises:
        BadInput: A name is no agent, agents that share a network have other spaces, or a space is
            not of numbers and choices.
    """

    def __init__(
        self,
        env: Env,
        policies: Policies = "separate",
        score: str | None = None,
        random_agents: Sequence[str] = (),
    ) -> None:
        super().__init__(env)
        game: Any = env.unwrapped
        spaces = {
            str(name): (space, game.action_spaces[name])
            for name, space in game.observation_spaces.items()
        }
        self._blocks = {name: _Block(name, *pair) for name, pair in spaces.items()}
        groups = _groups(self._blocks, policies)
        for setting, names in (("score", [score] if score else []), ("random", random_agents)):
            _check_names(f"environment.{setting}", names, list(spaces))
        if set(random_agents) >= set(spaces):
            where = "environment.random_agents"
            raise BadInput(where, "names all agents", expected="one agent or more that learns")
        self._score, self._random = score, frozenset(random_agents)
        self.policy_agents = _agents(self._blocks, groups)
        self.turns = Turns(self.policy_agents)
        heads = [(policy, self._blocks[names[0]]) for policy, names in groups.items()]
        self.observation_names = (
            *(f"turn_{name}" for name in spaces),
            *(f"{policy}_{name}" for policy, block in heads for name in block.names),
        )
        self.action_names = tuple(f"{p}_{name}" for p, block in heads for name in block.acted.names)
        numbers = _vector_space(len(spaces), [block for _, block in heads])
        masked = self.turns.is_masked
        mask = {MASK: Box(0, 1, (sum(self.turns.choices),), np.int8)} if masked else {}
        self.observation_space = Dict({OBSERVATION: numbers, **mask}) if masked else numbers
        ends = [np.concatenate([getattr(b.acted, e) for _, b in heads]) for e in ("low", "high")]
        self.action_space = flat_actions(
            ends[0].astype(np.float32), ends[1].astype(np.float32), self.turns.choices
        )
        self._draw, self._pending = np.random.default_rng(0), np.zeros(len(spaces))

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        if seed is not None:
            self._draw = np.random.default_rng(seed)
        observation, info = self.env.reset(seed=seed, options=options)
        self._pending = np.zeros(len(self._blocks))
        while self._agent in self._random:
            observation, reward, ended, cut, info = self._move_at_random(observation)
            # Rewards before the first turn of the policy count in its first step.
            self._pending += self._by_agent(reward)
            if ended or cut:  # without a turn of the policy
                observation, info = self.env.reset(options=options)
                self._pending[:] = 0.0
        return self._encode(observation), info

    def step(self, action: object) -> Transition:
        """Advance one turn, and those of random agents after it."""
        native = self.turns.decode(self._agent, action)
        observation, reward, ended, cut, info = self.env.step(native)
        rewards = self._pending + self._by_agent(reward)
        events = dict(info)
        while self._agent in self._random and not (ended or cut):
            observation, reward, ended, cut, info = self._move_at_random(observation)
            rewards = rewards + self._by_agent(reward)
            events = events | info
        self._pending = np.zeros(len(self._blocks))
        scalar, agent_rewards = self._scored(reward, rewards)
        return self._encode(observation), scalar, ended, cut, events | agent_rewards

    @property
    def _agent(self) -> str:
        game: Any = self.env.unwrapped
        return str(game.agent_selection)

    def _by_agent(self, reward: object) -> NDArray[np.float64]:
        """Return the reward of each agent (N,); a common one for each."""
        if not isinstance(reward, Mapping):
            return np.full(len(self._blocks), float(np.asarray(reward)))
        _check_names("environment: reward", [str(name) for name in reward], list(self._blocks))
        return np.array([float(reward.get(name, 0.0)) for name in self._blocks])

    def _scored(self, reward: object, rewards: NDArray[np.float64]) -> tuple[float, Info]:
        """Return the reward that counts, and what goes into `info` where agents have their own."""
        if not isinstance(reward, Mapping):
            return float(rewards[0]), {}
        names = list(self._blocks)
        scalar = rewards.sum() if self._score is None else rewards[names.index(self._score)]
        events = {f"reward_{name}": float(rewards[k]) for k, name in enumerate(names)}
        return float(scalar), {AGENT_REWARDS: rewards, **events}

    def _encode(self, observation: object) -> object:
        parts = self.turns.encode(self._agent, observation)
        if not self.turns.is_masked:
            return parts[OBSERVATION]
        first = 0
        for count in self.turns.choices:  # after the end of an episode nothing may be allowed
            if count and not parts[MASK][first : first + count].any():
                parts[MASK][first : first + count] = 1
            first += count
        return parts

    def _move_at_random(self, observation: object) -> Transition:
        """Step with a random allowed action of the agent whose turn it is."""
        agent = self.turns.agent(self._agent)
        acted = self._blocks[self._agent].acted
        encoded = self.turns.encode(agent.name, observation)
        mask = encoded.get(MASK)
        values = np.zeros(len(self.turns.choices))
        # Numbers without limits are drawn within ±1.
        low, high = (np.nan_to_num(end, posinf=1.0, neginf=-1.0) for end in (acted.low, acted.high))
        for k, count in enumerate(choices_of(agent.action)):
            index = agent.actions[0] + k
            # A number has 0 choices, so the sum counts mask columns only.
            column = sum(self.turns.choices[:index])
            if count:
                allowed = np.ones(count) if mask is None else mask[column : column + count]
                values[index] = self._draw.choice(np.flatnonzero(allowed))
            else:
                values[index] = self._draw.uniform(low[k], high[k])
        return self.env.step(self.turns.decode(agent.name, values))


class _Block:
    """The part of one agent in the tensors of a policy."""

    def __init__(self, name: str, observed: Space, acted: Space) -> None:
        self.spaces = (observed, acted)
        self.native = space_of(observed)
        parts = named_parts(self.native)
        self.keys = tuple(key for key, part in parts.items() if part.kind in ("numbers", "choices"))
        media = [key for key, part in parts.items() if part.kind in ("image", "text")]
        if media or not self.keys:
            problem = f"has {', '.join(media)}" if media else "has no numbers"
            where = f"environment.observation_spaces: {name}"
            raise BadInput(where, problem, expected="numbers, choices and action_mask")
        leaves = dict(zip(parts, part_spaces(observed, self.native), strict=True))
        flat: list[Any] = [flatten_space(leaves[key]) for key in self.keys]
        # Zeros fill the block in turns of others.
        self.low = np.minimum(0.0, np.concatenate([np.ravel(b.low) for b in flat]))
        self.high = np.maximum(0.0, np.concatenate([np.ravel(b.high) for b in flat]))
        self.names = [label for key in self.keys for label in numbered(key, parts[key])]
        self.acted: ActionBlock = action_block(acted)


def _vector_space(agents: int, blocks: Sequence[_Block]) -> Box[np.float32]:
    low = np.concatenate([np.zeros(agents), *(block.low for block in blocks)])
    high = np.concatenate([np.ones(agents), *(block.high for block in blocks)])
    return Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def _groups(blocks: Mapping[str, _Block], policies: Policies) -> dict[str, list[str]]:
    """Return the agents of each network.

    Raises:
        BadInput: An agent is unknown or missing, or agents of one network have other spaces.
    """
    if isinstance(policies, Mapping):
        _check_names("environment.policies", list(policies), list(blocks))
        if missing := [name for name in blocks if name not in policies]:
            where = "environment.policies"
            raise BadInput(where, f"lacks {missing[0]}", expected=f"all of {', '.join(blocks)}")
        names = dict(policies)
    else:
        names = {name: name if policies == "separate" else policies for name in blocks}
    groups = dict[str, list[str]]()
    for name in blocks:
        groups.setdefault(names[name], []).append(name)
    for policy, members in groups.items():
        for name in members[1:]:
            if blocks[name].spaces != blocks[members[0]].spaces:
                raise BadInput(
                    f"environment.policies: {policy}",
                    f"{members[0]} and {name} have other spaces: {blocks[members[0]].spaces} "
                    f"and {blocks[name].spaces}",
                    fix="environment.policies: separate",
                )
    return groups


def _agents(blocks: Mapping[str, _Block], groups: Mapping[str, list[str]]) -> tuple[Agent, ...]:
    """Return the agents with their columns, in the order of `blocks`."""
    agents = dict[str, Agent]()
    column = len(blocks)
    action = 0
    for policy, members in groups.items():
        block = blocks[members[0]]
        # All agents of a network share its columns; their one-hot comes before all blocks.
        columns = (column, column + len(block.names))
        actions = (action, action + len(block.acted.names))
        column = columns[1]
        action = actions[1]
        for name in members:
            spaces: tuple[NativeSpace, ...] = (blocks[name].native, blocks[name].acted.space)
            agents[name] = Agent(name, policy, spaces[0], block.keys, spaces[1], columns, actions)
    return tuple(agents[name] for name in blocks)


def _check_names(where: str, names: Sequence[str], agents: Sequence[str]) -> None:
    for name in names:
        require_known(name, agents, f"{where}: {name}", "is no agent")
