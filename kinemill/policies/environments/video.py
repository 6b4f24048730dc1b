"""Videos of episodes: a robot from its own model next to the motion it follows, or the environment.

Symbols: N steps, K pictures.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.policies.environments.evaluation import Agent, run_episode
from kinemill.policies.environments.factory import make_environment
from kinemill.policies.environments.gym_types import Env, Options, Reset, Transition
from kinemill.policies.environments.kinds.legged import ClipEnv, LeggedEnv, LeggedEnvironment
from kinemill.policies.environments.legged.body import Body
from kinemill.policies.environments.legged.clips import ClipTable
from kinemill.policies.environments.legged.robot_file import read_scene
from kinemill.policies.environments.legged.video import render_video
from kinemill.task.document import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Video:
    """Pictures of one episode.

    Attributes:
        pictures: (K, H, W, 3).
        stride: steps from one picture to the next.
        note: what they show, or why they are not of the robot's model.
    """

    pictures: NDArray[np.uint8]
    stride: int = 1
    note: str = ""


def record_video(
    task: Task,
    policy: Agent,
    seed: int,
    *,
    variant: str | None = None,
    motion: ClipTable | None = None,
) -> Video | None:
    """Record one episode; None if the environment draws nothing on this machine.

    `motion` is shown next to a legged robot whose environment tracks no clip, and repeats.
    """
    try:
        environment = make_environment(task, render=True, variant=variant)
    except BadInput:  # its class takes no `render_mode`
        return None
    try:
        note = ""
        if isinstance(environment.unwrapped, LeggedEnv):
            try:
                return _record_robot(task, environment, policy, seed, motion)
            except BadInput as error:
                note = f"Drawn, not rendered from the robot's model: {error}."
        if not renders(environment):
            return None
        frames = run_episode(task, environment, policy, seed, keep=False, render=True).frames
    finally:
        environment.close()
    return Video(frames, note=note) if frames is not None and frames.ndim == 4 else None


def renders(environment: Env) -> bool:
    """Return whether an environment draws pictures on this machine, such as without a display."""
    environment.reset(seed=0)
    try:
        frame: Any = environment.render()
        return np.ndim(frame) == 3
    except Exception:  # noqa: BLE001 - drivers and libraries raise unrelated types
        return False


def _record_robot(
    task: Task, environment: Env, policy: Agent, seed: int, motion: ClipTable | None
) -> Video:
    """Render an episode, on the left the motion and on the right the robot."""
    recorder = _PoseRecorder(environment)
    run_episode(task, recorder, policy, seed, keep=False)
    core = recorder.core
    settings = task.environment
    assert isinstance(settings, LeggedEnvironment)
    body: Body = core.robots.body
    scene = read_scene(settings.robot_path, body.joints)
    height = body.standing_height
    poses = np.stack(recorder.poses)
    clip = 0
    if isinstance(core, ClipEnv):
        motion = core.clips
        clip = core.clip
    if motion is None:
        pictures, stride = render_video(scene, height, [poses])
        return Video(pictures, stride, "The robot's own model.")
    reference = _poses_of(motion, clip, len(poses), task.dt)
    pictures, stride = render_video(scene, height, [reference, poses])
    return Video(
        pictures, stride, f"The robot's own model: left {motion.names[clip]}, right the run."
    )


def _poses_of(motion: ClipTable, clip: int, rows: int, dt: float) -> Floats:
    """Return trunk and joints of a clip, (N, 7 + J), which walks at its own velocity along x."""
    pose = motion.at(np.arange(float(rows)), [clip] * rows)
    way = np.concatenate([np.zeros((1, 2)), np.cumsum(pose.velocity[:-1] * dt, axis=0)])
    return np.concatenate([way, pose.height[:, None], pose.attitude, pose.joints], axis=1)


class _PoseRecorder(gymnasium.Wrapper[object, object, object, object]):
    """Keeps the position of a legged robot after each step."""

    def __init__(self, environment: Env) -> None:
        super().__init__(environment)
        self.core: Any = environment.unwrapped
        self.poses = list[Floats]()

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Start an episode."""
        result: Reset = self.env.reset(seed=seed, options=options)
        self.poses = [self.core.robots.position[0].copy()]
        return result

    def step(self, action: object) -> Transition:
        """Advance one time step."""
        result = self.env.step(action)
        self.poses.append(self.core.robots.position[0].copy())
        return result
