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

    def _seen(self):
        place, goal = np.float32([self.x]), np.float32([self.goal])
        return {"place": place, "goal": goal} if self.parts else np.concatenate([place, goal])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.goal = self.np_random.uniform(-1, 1), 0.0
        return self._seen(), {}

    def step(self, action):
        self.x += self.gain * float(action[0])
        ended = abs(self.x) > self.edge
        info = {"is_success": abs(self.x) < 0.1, "pushed": float(abs(action[0]))}
        return self._seen(), -abs(self.x), ended, False, info

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


class Towards:
    """Pushes against the position: x is near 0 after one step."""

    def reset(self, seed):
        pass

    def act(self, observation):
        return np.clip(-observation[:1], -2.0, 2.0)
