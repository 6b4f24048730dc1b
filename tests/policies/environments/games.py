"""Environments whose agents act in turns; each checks the actions that it gets."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from pettingzoo import AECEnv, ParallelEnv

STEPS = 6  # turns of each agent in an episode


class Reach(gymnasium.Env):
    """Two sub-steps of one decision: a side is selected, then a push of that side in numbers."""

    observation_spaces = {
        "side": Box(-1.0, 1.0, (2,), np.float32),
        "push": Dict({"side": Discrete(2), "target": Box(-1.0, 1.0, (1,), np.float32)}),
    }
    action_spaces = {
        "side": Discrete(2),
        "push": Tuple((Box(0.0, 1.0, (1,), np.float32), Discrete(3, start=-1))),
    }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.agent_selection, self._turns = "side", 0
        self._target = self.np_random.uniform(-1.0, 1.0, 2).astype(np.float32)
        return self._target, {}

    def step(self, action):
        if not self.action_spaces[self.agent_selection].contains(action):
            raise AssertionError(f"{action} is not an action of {self.agent_selection}")
        self._turns += 1
        over = self._turns == 2 * STEPS
        if self.agent_selection == "side":
            self._side, self.agent_selection = int(action), "push"
            target = self._target[self._side : self._side + 1]
            return {"side": self._side, "target": target}, 0.0, False, False, {}
        self.agent_selection = "side"
        push = float(action[0][0]) * (2 * self._side - 1)
        reward = -abs(push - float(self._target[self._side])) - 0.1 * abs(action[1])
        return self._target, reward, over, False, {}


class Countdown(AECEnv):
    """Players take 1 to 3 sticks of 12 in turn; who takes the last one wins."""

    metadata = {"name": "countdown"}

    def __init__(self):
        super().__init__()
        self.possible_agents = ["first", "second"]
        self._observed = Dict(
            {
                "observation": Box(0.0, 1.0, (12,), np.float32),
                "action_mask": Box(0, 1, (3,), np.int8),
            }
        )

    def observation_space(self, agent):
        return self._observed

    def action_space(self, agent):
        return Discrete(3)

    def reset(self, seed=None, options=None):
        self.agents = list(self.possible_agents)
        self.remaining, self.agent_selection = 12, "first"
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict(self.rewards)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict(self.terminations)
        self.infos = {agent: {} for agent in self.agents}

    def observe(self, agent):
        sticks = (np.arange(12) < self.remaining).astype(np.float32)
        return {
            "observation": sticks,
            "action_mask": (np.arange(3) < self.remaining).astype(np.int8),
        }

    def step(self, action):
        if self.terminations[self.agent_selection]:
            self._was_dead_step(action)
            return
        assert 1 + action <= self.remaining
        self.remaining -= 1 + int(action)
        opponent = "second" if self.agent_selection == "first" else "first"
        if self.remaining == 0:
            self.rewards = {self.agent_selection: 1.0, opponent: -1.0}
            self.terminations = dict.fromkeys(self.agents, True)
        self.agent_selection = opponent
        self._accumulate_rewards()


class Meeting(ParallelEnv):
    """Agents on a line move at once; each one's reward is its distance to the mean, negative."""

    metadata = {"name": "meeting"}
    render_mode = None

    def __init__(self, agents=3):
        self.possible_agents = [f"walker_{k}" for k in range(agents)]

    def observation_space(self, agent):
        return Box(-4.0, 4.0, (2,), np.float32)

    def action_space(self, agent):
        return Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, seed=None, options=None):
        if seed is not None:
            self._random = np.random.default_rng(seed)
        self.agents, self._steps = list(self.possible_agents), 0
        self._at = dict(
            zip(self.agents, self._random.uniform(-1.0, 1.0, len(self.agents)), strict=True)
        )
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions):
        for agent, action in actions.items():
            if not self.action_space(agent).contains(action):
                raise AssertionError(f"{action} is not an action of {agent}")
            self._at[agent] += 0.5 * float(action[0])
        self._steps += 1
        mean = np.mean(list(self._at.values()))
        rewards = {agent: -abs(at - mean) for agent, at in self._at.items()}
        cut = dict.fromkeys(self.agents, self._steps == STEPS)
        ended, infos = dict.fromkeys(self.agents, False), {agent: {} for agent in self.agents}
        observations = self._observations()
        if self._steps == STEPS:
            self.agents = []
        return observations, rewards, ended, cut, infos

    def _observations(self):
        mean = np.mean(list(self._at.values()))
        return {a: np.clip([at, mean], -4, 4).astype(np.float32) for a, at in self._at.items()}


class Wages(gymnasium.Env):
    """Two agents in turn; each earns 1 in its own turn. Terminates after `ends` turns."""

    observation_spaces = {name: Box(0.0, 1.0, (1,), np.float32) for name in ("one", "two")}
    action_spaces = {name: Box(-1.0, 1.0, (1,), np.float32) for name in ("one", "two")}

    def __init__(self, ends=None):
        self.ends = ends

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.agent_selection, self.turns = "one", 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        agent, self.turns = self.agent_selection, self.turns + 1
        self.agent_selection = "two" if agent == "one" else "one"
        return np.ones(1, np.float32), {agent: 1.0}, self.turns == self.ends, False, {}
