"""Motion tracking: the reward of a policy that follows reference gaits in physics.

Walkers side by side, their targets being the gait at the next phase plus what the policy adds. The
reward is 0.4 of the task's own and 0.6 of imitation (Peng et al. 2018, section 5): pose, velocity,
feet, and the trunk's attitude, height and velocity. Most episodes begin in the midst of the gait,
at any phase (reference-state initialization), the rest as they do in a trial.

Symbols: B walkers, J leg joints, φ phase, rad.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from kinemill.environments.kinds._biped import PITCH
from kinemill.environments.kinds._walkers import Walkers, leveled, soles, stance
from kinemill.environments.kinds.walker import NEAR, START
from kinemill.environments.vector_env import EPISODE, summed
from kinemill.motion.gait_reference import Reference

Floats = NDArray[np.floating]

REACH = 0.35  # rad that a policy can add to the gait's targets, each joint
AMONG = 0.8  # share of episodes that begin in the midst of the gait
OWN = 0.5  # share of episodes under a command of the task, the others' are the clips'
TASK, IMITATION = 0.4, 0.6
WEIGHTS = {"pose": 0.4, "velocity": 0.1, "feet": 0.25, "root": 0.25}
_SCALES = {"pose": 4.0, "velocity": 0.02, "feet": 150.0, "root": 1.0}
_ROOT = (40.0, 40.0, 1000.0, 4.0)  # of pitch and roll, rad, height, m, and velocity, m/s


class Tracking:
    """Walkers that track gaits; the interface is that of `reinforcement.several.Copies`.

    Args:
        task: whose environment is a walker.
        walkers: B.
        reference: what is tracked.
        see: (observations, phases, last additions, reference, which) -> what the network sees.
        style: a `MotionPrior`, and which share of the imitation it is; None: there is none.
    """

    masked = False

    def __init__(
        self, task: Any, walkers: Walkers, reference: Reference, see: Any, style: Any = None
    ) -> None:
        own, count = task.environment, len(walkers.position)
        self._own, self._reference, self._see, self._style = own, reference, see, style
        self._walkers, self._space = walkers, own.make(task).action_space
        self._limit = own.steps or np.inf
        self._push_rows = max(1, round(own.push_every / task.dt))
        self._push = np.full(count, own.push)
        self._random = np.random.default_rng(0)
        self._phase, self._which = np.zeros(count), np.zeros(count, int)
        self._added, self._rewards = np.zeros((count, 10)), np.zeros(count)
        self._sums, self._squares = np.zeros((count, 10)), np.zeros((count, 10))
        self._masks = np.ones((count, 0))
        self._commands = [reference.number(np.array(one)) for one in own.commands]
        self.action_space = Box(-1.0, 1.0, (10,), np.float32)
        shape = self.reset([0, *[None] * (count - 1)])[0].shape[1:]
        self.observation_space = Box(-np.inf, np.inf, shape, np.float32)

    def reset(self, seeds: Sequence[int | None]) -> Any:
        """Begin an episode in each row; return observations (B, E) and masks."""
        given = [seed for seed in seeds if seed is not None]
        if given:
            self._random = np.random.default_rng(given)
        self._begin(np.arange(len(self._phase)))
        return self._seen(), self._masks

    def _begin(self, rows: Any) -> None:
        """Begin in the midst of a gait, or standing, under a command of the task or of a clip."""
        random, count, reference = self._random, len(rows), self._reference
        for row in rows if self._own.randomize else ():
            drawn = {
                name: random.uniform(*ends) for name, ends in sorted(self._own.randomize.items())
            }
            self._walkers.vary(int(row), drawn)
            self._push[row] = drawn.get("push", self._own.push)
        known = random.integers(reference.clips, size=count)
        own = np.array(self._commands)[random.integers(len(self._commands), size=count)]
        which = np.where(random.random(count) < OWN, own, known)
        command, among = reference.commands[which], random.random(count) < AMONG
        phase = random.uniform(0.0, 2.0 * np.pi, count)
        pose = reference.at(phase, which)
        joints = np.where(among[:, None], pose.joints, stance())
        joints = joints + random.normal(0.0, START, joints.shape)
        rates = np.where(among[:, None], pose.rates, 0.0)
        moving = np.where(among[:, None], pose.moving, 0.0)
        self._walkers.begin(rows, command, joints, rates, moving)
        for k in np.flatnonzero(~among):
            phase[k] = reference.nearest(joints[k], command[k])
        self._phase[rows], self._which[rows], self._added[rows] = phase, which, 0.0
        self._rewards[rows], self._sums[rows], self._squares[rows] = 0.0, 0.0, 0.0

    def step(self, actions: Any) -> Any:
        """Add (B, J), in `REACH`, to the gaits' targets; return what `Copies.step` does."""
        walkers, space = self._walkers, self._space
        self._added = np.clip(np.asarray(actions, float), -1.0, 1.0)
        self._phase += self._reference.pace
        pose = self._reference.at(self._phase, self._which)
        targets = np.clip(pose.joints + REACH * self._added, space.low, space.high)
        before = walkers.position[:, 7:]
        walkers.advance(targets)
        pushed = (walkers.steps % self._push_rows == 0)[:, None] * self._push[:, None]
        walkers.push(pushed * self._random.uniform(-1.0, 1.0, (len(pushed), 2)))
        task, alike = walkers.following(), self._alike(pose)
        if self._style is not None:
            prior, share = self._style
            alike += share * (prior.reward(before, walkers.position[:, 7:]) - alike)
        self._rewards += task
        self._sums += targets
        self._squares += targets * targets
        ended = walkers.fallen
        dones, seen = ended | (walkers.steps >= self._limit), self._seen()
        infos: list[dict[str, Any]] = [{} for _ in dones]
        rows = np.flatnonzero(dones)
        if len(rows):
            for row in rows:
                infos[row] = self._finished(int(row), seen[row].copy(), bool(ended[row]))
            self._begin(rows)
            seen[rows] = self._seen()[rows]
        rewards = (TASK * task + IMITATION * alike).astype(np.float32)
        return seen, rewards, dones, infos, self._masks

    def _finished(self, row: int, seen: Floats, ended: bool) -> dict[str, Any]:
        of = (float(self._rewards[row]), int(self._walkers.steps[row]), ended)
        told = summed(of, (self._sums[row], self._squares[row]))
        told["success"] = float(not ended and self._walkers.off()[row] < NEAR)
        return {"terminal_observation": seen, "TimeLimit.truncated": not ended, EPISODE: told}

    def _seen(self) -> NDArray[np.float32]:
        observed = self._walkers.observed()
        return self._see(observed, self._phase, self._added, self._reference, self._which)

    def _alike(self, pose: Any) -> Floats:
        """Return how much walkers do as the gaits, 0 to 1, (B,)."""
        walkers = self._walkers
        rotation, joints = walkers.rotation, walkers.position[:, 7:]
        pitch = np.arcsin(np.clip(-rotation[:, 2, 0], -1.0, 1.0)) - PITCH
        roll = np.arctan2(rotation[:, 2, 1], rotation[:, 2, 2])
        low = np.minimum(0.0, walkers.position[:, 2] - pose.height)
        swayed = np.square(walkers.moving()[:, :2] - pose.moving).sum(axis=1)
        feet = leveled(soles(joints).mean(axis=-2)) - pose.feet
        off = {
            "pose": np.square(joints - pose.joints).sum(axis=1),
            "velocity": np.square(walkers.velocity[:, 6:] - pose.rates).sum(axis=1),
            "feet": np.square(feet).sum(axis=(1, 2)),
            "root": _ROOT[0] * pitch**2
            + _ROOT[1] * roll**2
            + _ROOT[2] * low**2
            + _ROOT[3] * swayed,
        }
        paid = [WEIGHTS[name] * np.exp(-_SCALES[name] * off[name]) for name in off]
        return np.sum(paid, axis=0)

    def close(self) -> None:
        """Have nothing to close."""
