"""A small environment whose numbers are known: a point that is pushed along a line."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict


class Point(gymnasium.Env):
    """x' = x + gain * push; reward -|x|; ends by itself beyond `edge`."""

    observation_names = ("position", "target")
    units = {"position": "m", "target": "m"}

    def __init__(self, edge: float = 5.0, parts: bool = False, render_mode: str | None = None):
        self.edge, self.gain, self.parts, self.render_mode = edge, 1.0, parts, render_mode
        self.observation_space = Box(-10.0, 10.0, (2,), np.float32)
        if parts:
            self.observation_space = Dict(
                {"place": Box(-10.0, 10.0, (1,)), "goal": Box(-10.0, 10.0, (1,))}
            )
        self.action_space = Box(-2.0, 2.0, (1,), np.float32)

    def _observation(self):
        position, goal = np.float32([self.x]), np.float32([self.goal])
        return {"place": position, "goal": goal} if self.parts else np.concatenate([position, goal])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.goal = self.np_random.uniform(-1, 1), 0.0
        return self._observation(), {}

    def step(self, action):
        self.x += self.gain * float(action[0])
        ended = abs(self.x) > self.edge
        info = {"is_success": abs(self.x) < 0.1, "pushed": float(abs(action[0]))}
        return self._observation(), -abs(self.x), ended, False, info

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


class Broken(Point):
    """Its sensor of distance gives nothing."""

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest


class Rich(Point):
    """Each reward is finite, and their sum is not."""

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, 1e308, *rest


class Toward:
    """Pushes against the position: x is near 0 after one step."""

    def reset(self, seed):
        pass

    def act(self, observation):
        return np.clip(-observation[:1], -2.0, 2.0)


class Steady(gymnasium.Env):
    """Nothing ever changes, each step brings 1; `ends` after so many, by itself."""

    def __init__(self, ends: int | None = None):
        self.ends = ends
        self.observation_space = Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.ones(1, np.float32), 1.0, self.steps == self.ends, False, {}


class Doors(gymnasium.Env):
    """Two choices at once; the first two of three doors are open in turn, an open one brings 1."""

    def __init__(self):
        box = Box(0.0, 1.0, (2,), np.float32)
        self.observation_space = Dict({"observation": box, "action_mask": Box(0, 1, (5,), np.int8)})
        self.action_space = gymnasium.spaces.MultiDiscrete([3, 2])

    def _observation(self):
        mask = np.array([self.turn == 0, self.turn == 1, 0, 1, 1], np.int8)
        return {"observation": np.eye(2, dtype=np.float32)[self.turn], "action_mask": mask}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.turn, self.steps = int(self.np_random.integers(2)), 0
        return self._observation(), {}

    def step(self, action):
        if int(action[0]) != self.turn:
            raise AssertionError("a forbidden door was taken")
        reward, self.steps = float(action[1] == self.turn), self.steps + 1
        self.turn = int(self.np_random.integers(2))
        return self._observation(), reward, self.steps == 10, False, {}
