"""A task small enough to verify by hand: balance a stick with a force."""

import gymnasium
import numpy as np
from gymnasium import spaces

DT = 0.02  # s


class Balance(gymnasium.Env):
    """Angle' = velocity, velocity' = 20 angle + force / 0.5: falls by itself, a gain holds it.

    Observed are position (always 0 m), angle, rad, and velocity, rad/s; 1 a step that it stands.
    """

    metadata = {"render_modes": ["rgb_array"]}
    observation_names = ("position", "angle", "velocity")
    action_names = ("force",)
    units = {"position": "m", "angle": "rad", "velocity": "m/s", "force": "N"}
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(-10.0, 10.0, (1,), np.float32)

    def __init__(self, broken: bool = False, render_mode: str | None = None) -> None:
        self.render_mode, self._broken = render_mode, broken

    def _observation(self):
        return np.array([0.0, self._angle, self._speed], dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self._angle, self._speed = self.np_random.uniform(-0.1, 0.1), 0.0
        return self._observation(), {}

    def step(self, action):
        self._speed += DT * (20.0 * self._angle - float(action[0]) / 0.5)
        self._angle += DT * self._speed
        fallen = abs(self._angle) > 0.5
        reward = float("nan") if self._broken else 1.0
        return self._observation(), reward, fallen, False, {"is_success": not fallen}

    def render(self):
        picture = np.full((48, 64, 3), 255, np.uint8)
        column = int(np.clip(32 + 60 * self._angle, 0, 63))
        picture[8:40, column] = 0
        return picture
