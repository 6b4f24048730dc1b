"""Environments with all kinds of Gymnasium spaces; each checks the actions that it gets."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

VECTOR = Box(-1.0, 1.0, (3,), np.float32)
CAMERA = Box(0, 255, (12, 10, 3), np.uint8)


class Sampled(gymnasium.Env):
    """Observes samples of a space for 12 steps; the reward is 1 every third step."""

    observation_space, action_space = VECTOR, Discrete(2)

    def __init__(self, observation=None, action=None):
        self.observation_space = observation or self.observation_space
        self.action_space = action or self.action_space

    def observe(self):
        return self.observation_space.sample()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action):
        if not self.action_space.contains(action):
            raise AssertionError(f"{action} is not of {self.action_space}")
        self.steps += 1
        return self.observe(), float(self.steps % 3 == 0), self.steps == 12, False, {}


class Nested(Sampled):
    """Numbers, choices and a text in parts inside parts; actions are numbers and choices."""

    observation_space = Dict(
        {
            "arm": Tuple((Discrete(3, start=2), VECTOR)),
            "buttons": MultiBinary((2, 2)),
            "word": Text(5),
        }
    )
    action_space = Dict(
        {
            "gripper": Discrete(3, start=-1),
            "move": Box(-1.0, 1.0, (2, 1), np.float32),
            "steps": Box(0, 5, (1,), np.int64),
        }
    )


class Masked(Sampled):
    """A camera beside a choice, and a mask in parts as the actions."""

    observation_space = Dict(
        {
            "action_mask": Dict({"door": Box(0, 1, (3,), np.int8), "keys": MultiBinary(4)}),
            "camera": CAMERA,
            "mode": Discrete(4),
        }
    )
    action_space = Dict({"door": Discrete(3), "keys": MultiBinary(2)})

    def observe(self):
        self.allowed = {"door": np.int8([1, 0, 1]), "keys": np.int8([1, 1, 0, 1])}
        return {**super().observe(), "action_mask": self.allowed}

    def step(self, action):
        if action["door"] == 1 or action["keys"][1] == 0:
            raise AssertionError(f"{action} is forbidden")
        return super().step(action)


class Pixels(Sampled):
    """A gray camera of 40 x 36 pixels, its channel first."""

    observation_space = Box(0, 255, (1, 40, 36), np.uint8)
    action_space = MultiDiscrete(np.array([[2, 3]]))


class Camera(Sampled):
    """A camera beside numbers; actions are a matrix."""

    observation_space = Dict({"camera": CAMERA, "joints": VECTOR})
    action_space = Box(-1.0, 1.0, (2, 1), np.float32)


class Frame(Sampled):
    """A gray camera as a matrix, and one choice."""

    observation_space = Box(0, 255, (40, 36), np.uint8)
    action_space = Discrete(3, start=1)


class Field(Sampled):
    """Numbers, a set of objects some of which are absent, a choice, and an image."""

    observation_space = Dict(
        {
            "robot": Box(-1.0, 1.0, (2,), np.float32),
            "objects": Box(-1.0, 1.0, (4, 3), np.float32),
            "present": Box(0.0, 1.0, (4,), np.float32),
            "kind": Discrete(3),
            "camera": Box(0, 255, (8, 8, 3), np.uint8),
        }
    )
    action_space = Box(-1.0, 1.0, (2,), np.float32)
