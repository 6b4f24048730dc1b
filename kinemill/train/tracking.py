"""Tracking a gait in physics: what a policy is rewarded for while it learns to walk as clips do.

The walker of the task, its targets being the gait at the next phase plus what the policy adds. The
reward is 0.4 of the task's own and 0.6 of imitation (Peng et al. 2018, section 5): pose, velocity,
feet, and the trunk's height and attitude. Most episodes begin in the midst of the gait, at any
phase (reference-state initialisation), the rest as they do in a trial. Symbols: φ phase, rad; J leg
joints.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from kinemill.environments.kinds._biped import PITCH

Floats = NDArray[np.floating]

REACH = 0.35  # rad that a policy can add to the gait's targets, each joint
AMONG = 0.8  # share of episodes that begin in the midst of the gait
TASK, IMITATION = 0.4, 0.6
WEIGHTS = {"pose": 0.5, "velocity": 0.1, "feet": 0.25, "root": 0.15}
_SCALES = {"pose": 4.0, "velocity": 0.02, "feet": 150.0, "root": 40.0}


class Reference:
    """The gaits that are tracked, as arrays.

    Args:
        curve: (phases (T,), command (3,)) -> joint angles (T, J), rad.
        nearest: (joints (J,), command (3,)) -> the phase that explains them best, rad.
        pace: rad by which the phase grows in a row.
        middle: joint angles about which the gaits swing, (J,), rad.
        commands: those of the clips, (E, 3): m/s, m/s, rad/s.
    """

    def __init__(
        self, curve: Any, nearest: Any, pace: float, middle: Floats, commands: Floats
    ) -> None:
        self.curve, self.nearest, self.pace = curve, nearest, pace
        self.middle, self.commands = middle, commands


class Tracking(gymnasium.Env[Floats, Floats]):
    """What the library learns in; the observation is that of `tracked.TrackedPolicy`.

    Args:
        environment: the task's, wrapped; at its core a `Walker`.
        reference: what is tracked.
        see: (observation, phase, last addition, reference) -> what the network sees (E,).
        style: a `MotionPrior`, and which share of the imitation it is; None: there is none.
    """

    def __init__(
        self,
        environment: Any,
        reference: Reference,
        see: Any,
        style: tuple[Any, float] | None = None,
    ) -> None:
        import mujoco

        library: Any = mujoco
        self._mujoco, self._environment, self._reference = library, environment, reference
        self._see, self._style, self._walker = see, style, environment.unwrapped
        self._twin = library.MjData(self._walker.model)
        self._random = np.random.default_rng(0)
        self._phase, self._added, self._command = 0.0, np.zeros(10), np.zeros(3)
        self.action_space = Box(-1.0, 1.0, (10,), np.float32)
        shown = self.reset(seed=0)[0]
        self.observation_space = Box(-np.inf, np.inf, shown.shape, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin in the midst of a gait, or standing, under a command of the task or of a clip."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        del options
        own = self._random.random() < 0.5
        known = np.asarray(self._walker.commands) if own else self._reference.commands
        self._command = known[self._random.integers(len(known))]
        given: dict[str, Any] = {"command": self._command}
        among = self._random.random() < AMONG
        if among:
            self._phase = float(self._random.uniform(0.0, 2.0 * np.pi))
            joints, rates = self._pose(self._phase)
            given |= {"joints": joints, "rates": rates}
        observation, _ = self._environment.reset(
            seed=int(self._random.integers(2**31)), options=given
        )
        if not among:
            self._phase = self._reference.nearest(observation[7:17], self._command)
        self._added = np.zeros(10)
        return self._seen(observation), {}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Add to the gait's targets (10,), in `REACH`."""
        self._added = np.clip(action, -1.0, 1.0)
        self._phase += self._reference.pace
        target = self._reference.curve(np.array([self._phase]), self._command)[0]
        before = self._walker.data.qpos[7:].copy()
        observation, task, ended, cut, told = self._environment.step(target + REACH * self._added)
        alike = self._alike()
        if self._style is not None:
            prior, share = self._style
            after = self._walker.data.qpos[7:]
            alike += share * (prior.reward(before, after) - alike)
        reward = TASK * task + IMITATION * alike
        return self._seen(observation), float(reward), ended, cut, told

    def _seen(self, observation: Floats) -> Floats:
        return self._see(observation, self._phase, self._added, self._reference)

    def _pose(self, phase: float) -> tuple[Floats, Floats]:
        """Return joint angles and rates of the gait, (J,) each, rad and rad/s."""
        pace = self._reference.pace
        here, before = self._reference.curve(np.array([phase, phase - pace]), self._command)
        return here, (here - before) / self._walker.dt

    def _alike(self) -> float:
        """Return how much the walker does as the gait, 0 to 1."""
        joints, rates = self._pose(self._phase)
        data = self._walker.data
        self._twin.qpos[:], self._twin.qpos[7:] = data.qpos, joints
        self._mujoco.mj_kinematics(self._walker.model, self._twin)
        feet = self._twin.geom_xpos[1:] - data.geom_xpos[1:]
        pitch, roll = _tilt(data.xmat[1])
        off = {
            "pose": np.square(data.qpos[7:] - joints).sum(),
            "velocity": np.square(data.qvel[6:] - rates).sum(),
            "feet": np.square(feet).sum() / 4.0,
            "root": (pitch - PITCH) ** 2 + roll**2 + 25.0 * min(0.0, data.qpos[2] - 0.14) ** 2,
        }
        return float(sum(WEIGHTS[name] * np.exp(-_SCALES[name] * off[name]) for name in off))


def _tilt(matrix: Floats) -> tuple[float, float]:
    """Return pitch and roll of a rotation (9,), rad."""
    down = -matrix[6], matrix[7], matrix[8]
    return float(np.arcsin(np.clip(down[0], -1.0, 1.0))), float(np.arctan2(down[1], down[2]))
