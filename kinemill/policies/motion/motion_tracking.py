"""Motion tracking: the reward of a policy that follows gaits or clips in physics.

Each joint target is the reference at the next phase plus a correction by the policy. The reward is
a weighted sum of the environment's and of imitation (Peng et al. 2018, section 5): pose, velocity,
feet, and the trunk's attitude, height and velocity. Most episodes start inside the motion at a
random phase (reference-state initialization), the others as in an evaluation. The critic also
observes what a robot does not measure (`PRIVILEGED`).

Symbols: B robots, J joints, F feet, φ phase, rad.
"""

from collections.abc import Sequence

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from kinemill.policies.environments.kinds.legged import LeggedEnvironment
from kinemill.policies.environments.legged.clips import COMMAND_UNITS, Pose
from kinemill.policies.environments.legged.commands import sample_commands
from kinemill.policies.environments.legged.robots import LeggedRobots
from kinemill.policies.environments.vector_env import Episodes, Step
from kinemill.policies.motion.motion_prior import MotionPrior
from kinemill.policies.motion.policy_inputs import PRIVILEGED, policy_inputs
from kinemill.policies.motion.reference import Floats, Reference, Rows
from kinemill.policies.motion.settings import TrackingSettings

REACH = 0.35  # rad, largest correction of a joint target
_HEIGHT_UNIT = 0.1  # m
# Share of episodes that start at a random phase of a gait; the others start in stance.
_GAIT_STARTS = 0.8
_DEFAULTS = TrackingSettings()

Observations = NDArray[np.float32]


class Tracking:
    """Robots that track gaits, with the interface of `kinemill.policies.rl.vec_env`.

    Args:
        environment: settings of the robots.
        robots: B.
        reference: the gaits or clips to track.
        prior: a motion prior and its share of the imitation reward, or None.
        settings: weights of the reward, and how training episodes start.
        privileged: whether observations end with the `PRIVILEGED` columns.
    """

    masked = False

    def __init__(
        self,
        environment: LeggedEnvironment,
        robots: LeggedRobots,
        reference: Reference,
        prior: tuple[MotionPrior, float] | None = None,
        settings: TrackingSettings = _DEFAULTS,
        *,
        privileged: bool = False,
    ) -> None:
        count = len(robots.position)
        joints = len(robots.body.joints)
        dt = robots.dt
        self._environment = environment
        self._reference = reference
        self._prior = prior
        self._settings = settings
        self._privileged = privileged
        self._robots = robots
        self._body = robots.body
        cut = np.inf if settings.episode is None else max(1, round(settings.episode / dt))
        self._limit = min(environment.steps or np.inf, cut)
        self._push_rows = max(1, round(environment.push_every / dt))
        self._change_rows = round((environment.command_every or 0.0) / dt)
        self._push = np.full(count, environment.push)
        self._random = np.random.default_rng(0)
        self._phase, self._command_rows = np.zeros(count), np.zeros(count, int)
        self._correction = np.zeros((count, joints))
        self._masks = np.ones((count, 0))
        self._task_rows = reference.rows_of(sample_commands(environment.commands))
        self.action_space = Box(-1.0, 1.0, (joints,), np.float32)
        shape = self.reset([0, *[None] * (count - 1)])[0].shape[1:]
        self.observation_space = Box(-np.inf, np.inf, shape, np.float32)

    def reset(self, seeds: Sequence[int | None]) -> tuple[Observations, Floats]:
        """Start an episode in each row; return observations (B, E) and masks."""
        fixed = [seed for seed in seeds if seed is not None]
        if fixed:
            self._random = np.random.default_rng(fixed)
        self._episodes = Episodes(len(self._phase))
        self._begin(np.arange(len(self._phase)))
        return self._inputs(), self._masks

    def _begin(self, rows: Rows) -> None:
        """Start inside a motion, or as in an evaluation, with a command of task or clip."""
        random = self._random
        count = len(rows)
        reference = self._reference
        ranges = sorted(self._environment.randomize.items())
        for row in rows if ranges else ():
            factors = {name: random.uniform(*ends) for name, ends in ranges}
            self._robots.vary(int(row), factors)
            self._push[row] = factors.get("push", self._environment.push)
        command_rows = self._draw_commands(count)
        inside = random.random(count) < _GAIT_STARTS
        phase = reference.begin(self._robots, rows, command_rows, inside, random)
        self._phase[rows], self._command_rows[rows] = phase, command_rows
        self._correction[rows] = 0.0

    def step(self, actions: object) -> Step:
        """Add corrections (B, J), in units of `REACH`, to the gait's targets.

        It returns observations (B, E), rewards (B,), ends of episodes (B,), infos and masks.
        """
        robots = self._robots
        self._correction = np.clip(np.asarray(actions, float), -1.0, 1.0)
        self._phase = self._reference.advance(self._phase, self._command_rows)
        pose = self._reference.at(self._phase, self._command_rows)
        targets = pose.joints + REACH * self._correction
        targets = np.clip(
            targets, self._body.low.astype(np.float32), self._body.high.astype(np.float32)
        )
        previous = robots.position[:, 7:]
        robots.advance(targets)
        pushed = (robots.steps % self._push_rows == 0)[:, None] * self._push[:, None]
        robots.push(pushed * self._random.uniform(-1.0, 1.0, (len(pushed), 2)))
        task = self._reference.task_reward(robots, pose)
        imitation = self._imitation(pose)
        if self._prior is not None:
            prior, share = self._prior
            imitation += share * (prior.reward(previous, robots.position[:, 7:]) - imitation)
        weights = self._settings.reward
        rewards = weights.task * task + weights.imitation * imitation
        rewards += weights.command_weight * self._reference.speed_reward(robots)
        self._episodes.add(task, targets)
        ended = self._reference.has_ended(robots, pose)
        dones = ended | (robots.steps >= self._limit)
        if self._change_rows:
            self._change_commands(np.flatnonzero(~dones))
        else:
            dones |= self._reference.is_over(self._phase, self._command_rows)
        inputs = self._inputs()
        success = self._reference.is_success(robots, ended)
        infos = self._episodes.infos(dones, ended, inputs, success)
        if len(rows := np.flatnonzero(dones)):
            self._begin(rows)
            inputs[rows] = self._inputs()[rows]
        return inputs, rewards.astype(np.float32), dones, infos, self._masks

    def _change_commands(self, rows: Rows) -> None:
        """Give other commands to those of some robots that had theirs long enough."""
        robots = self._robots
        reference = self._reference
        is_due = robots.steps[rows] - robots.since[rows] >= self._change_rows
        is_due &= reference.can_change(self._phase[rows], self._command_rows[rows])
        if not len(rows := rows[is_due]):
            return
        following = reference.next_rows(self._command_rows[rows], self._random)
        if following is None:
            following = self._draw_commands(len(rows))
        self._command_rows[rows] = following
        self._phase[rows] = reference.after_change(self._phase[rows])
        robots.change_command(rows, reference.commands[following])

    def _draw_commands(self, count: int) -> Rows:
        """Return random rows of the reference's commands, those of the task or of clips."""
        random = self._random
        of_clip = random.integers(self._reference.clips, size=count)
        of_task = np.array(self._task_rows)[random.integers(len(self._task_rows), size=count)]
        is_of_task = random.random(count) < self._settings.task_commands
        return np.where(is_of_task, of_task, of_clip)

    def _inputs(self) -> Observations:
        observations = self._robots.observe(self._random)
        inputs = policy_inputs(
            observations, self._phase, self._correction, self._reference, self._command_rows
        )
        if not self._privileged:
            return inputs
        return np.concatenate([inputs, self._privileged_inputs()], axis=1)

    def _privileged_inputs(self) -> Observations:
        """Return what a robot does not measure, (B, PRIVILEGED)."""
        robots = self._robots
        pose = self._reference.at(self._phase, self._command_rows)
        parts = [
            robots.heading_velocity() / COMMAND_UNITS,
            (robots.smooth - robots.command) / COMMAND_UNITS,
            (robots.position[:, 2] - pose.height) / _HEIGHT_UNIT,
            self._push,
            robots.scales - 1.0,
            robots.latency,
            robots.noise,
        ]
        columns = np.column_stack(parts).astype(np.float32)
        assert columns.shape[1] == PRIVILEGED
        return columns

    def _imitation(self, pose: Pose) -> Floats:
        """Return the imitation reward of each robot, (B,)."""
        robots = self._robots
        body = self._body
        rotation = robots.rotation
        joints = robots.position[:, 7:]
        tilt = rotation[:, 2] - pose.up  # pitch and roll, while they are small
        sink = np.minimum(0.0, robots.position[:, 2] - pose.height)
        drift = np.square(robots.heading_velocity()[:, :2] - pose.velocity).sum(axis=1)
        feet = body.to_level(body.soles(joints).mean(axis=-2)) - pose.feet
        joint_rates = robots.velocity[:, 6:] - pose.rates
        # Weights and decays: 1/rad², s²/rad², 1/m²; of the trunk 1/rad², 1/m² and s²/m².
        terms = (
            (0.4, 4.0 * np.square(joints - pose.joints).sum(axis=1)),
            (0.1, 0.02 * np.square(joint_rates).sum(axis=1)),
            (0.25, 150.0 * np.square(feet).sum(axis=(1, 2))),
            (0.25, 40.0 * np.square(tilt).sum(axis=1) + 1000.0 * sink**2 + 4.0 * drift),
        )
        return np.sum([weight * np.exp(-error) for weight, error in terms], axis=0)

    def close(self) -> None:
        """Do nothing: no process or file is open."""
