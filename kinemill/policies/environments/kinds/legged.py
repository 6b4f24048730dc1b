"""A legged robot from an MJCF or URDF file, which follows velocity commands or tracks clips.

The observation is attitude, rates, joints and the command. Actions are joint targets of servos.
Symbols: J joints.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator

from kinemill.control.mujoco_model import model_sources
from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Info
from kinemill.policies.environments.kinds._mujoco import draw_robot
from kinemill.policies.environments.legged.body import Body, load_body
from kinemill.policies.environments.legged.clip_files import clip_files, read_clips
from kinemill.policies.environments.legged.clips import ClipTable
from kinemill.policies.environments.legged.commands import Command, draw_command
from kinemill.policies.environments.legged.physics import MujocoWarp
from kinemill.policies.environments.legged.robot_file import RobotOptions
from kinemill.policies.environments.legged.robots import Gauge, LeggedRobots
from kinemill.store import Json
from kinemill.task import KINDS, Environment, Task
from kinemill.task.bounds import PositiveQuantity, Quantity, QuantityOrZero, Seconds
from kinemill.task.hooks import from_task_folder
from kinemill.task.web_overrides import LOCAL

START_STD = 0.02  # rad, standard deviation of the joints at the start of an episode
_CLIPS = "clips"  # folder of the clips in a card
TRACKED = 0.95  # share of a clip that a successful episode lasts


@KINDS.register("legged")
class LeggedEnvironment(Environment):
    """A legged robot in MuJoCo that follows velocity commands.

    `randomize` and `variants` change mass, friction, gain, push, latency and noise.
    """

    type: Literal["legged"] = "legged"
    robot: Annotated[str, LOCAL]
    """MJCF or URDF file of the robot, relative to the task file; its meshes are in the same folder
    or below"""
    gains: dict[str, tuple[PositiveQuantity, QuantityOrZero]] = {}
    """servos by name pattern of joints: proportional gain, N·m/rad, and derivative gain, N·m·s/rad;
    default: those of the position actuators. Torque motors become servos with the stiffness and
    damping of their joint, else with the gain that reaches the largest torque at 0.5 rad and
    critical damping"""
    locked: list[str] = []
    """name patterns of joints that do not move, such as antennas"""
    feet: list[str] = []
    """bodies that stand on the ground; default: those that are lowest in stance"""
    stance: dict[str, Quantity] = {}
    """joint angles of standing, rad; default: those of the keyframe `stance`, `home`, `stand` or
    `standing`, else the zero position"""
    self_collision: bool = False
    """whether parts of the robot collide with each other"""
    commands: Annotated[list[Command], Field(min_length=1)] = [(0.13, 0.0, 0.0)]
    """forward and left velocity, m/s, and turning rate, rad/s; each reset draws one. A part may be
    a range, such as [[-0.1, 0.3], 0, [-0.5, 0.5]]: each reset draws a value in it"""
    command_every: Seconds | None = None
    """s after which a robot gets another command, in training and in trials; with `clips`, once its
    clip or a repetition of it is over. Success is measured since the last change. Default: one
    command an episode"""
    clips: Annotated[list[str], LOCAL] = []
    """clips to track, relative to the task file: files in a format that the task reads, or folders
    of LeRobot data sets, with one clip an episode. Each reset draws one, whose mean command
    selects it. An episode starts in the first pose of its clip and ends with it; one with
    `LoopMode: Wrap` repeats itself. Default: none, velocity commands are followed"""
    clip_error: PositiveQuantity = 0.2
    """error of the joints, rad, root mean square, at which the reward of a robot that tracks clips
    is 1/e; an episode that lasts 95 % of its clip with a smaller mean error is a success"""
    tolerance: tuple[PositiveQuantity, PositiveQuantity] = (0.1, 0.5)
    """error of velocity, m/s, and of turning rate, rad/s, at which the reward is 1/e; an episode
    with a smaller error of the mean velocity is a success"""
    fallen: PositiveQuantity | None = None
    """height of the trunk's mass center below which the robot has fallen, m; default: 0.7 of its
    height in stance. A robot that tracks a clip has fallen where it is below the clip by as much
    as this is below standing"""
    push: QuantityOrZero = 0.1
    """largest velocity change of the trunk by a push, m/s"""
    push_every: Seconds = 1.0
    """s between two pushes"""
    physics: Literal["auto", "mujoco", "warp"] = "auto"
    """physics of the training: mujoco on all cores, or warp (MuJoCo Warp, kinemill[warp]) on a GPU;
    auto: warp if the training has a GPU and warp is installed. Evaluation always uses mujoco"""

    training_step: Seconds | None = None
    """largest time step of the physics in the training, s; default: that of the file, which
    evaluation always uses. 0.004 instead of 0.002 trains twice as fast; light robots with stiff
    servos may move differently"""

    @field_validator("robot")
    @classmethod
    def _resolve_from_the_task(cls, value: str, info: ValidationInfo) -> str:
        return from_task_folder(value, info)

    @field_validator("clips")
    @classmethod
    def _resolve_clips(cls, value: list[str], info: ValidationInfo) -> list[str]:
        return [from_task_folder(path, info) for path in value]

    @model_validator(mode="after")
    def _check_changes(self) -> "LeggedEnvironment":
        if self.command_every is not None and self.clips and self.steps is None:
            raise ValueError("command_every: needs steps, the length of an episode")
        return self

    @property
    def robot_path(self) -> Path:
        """Path of the model file."""
        return Path(self.robot)

    def sources(self) -> dict[str, Path]:
        """Return the model file, what it includes, its meshes, and the clips.

        Raises:
            BadInput: The robot is not usable, or a file is missing.
        """
        self.body()
        files = [clip_files(Path(clip)) for clip in self.clips]
        clips = {
            f"{_CLIPS}/{name}": path
            for files_of_clip in files
            for name, path in files_of_clip.items()
        }
        return model_sources(self.robot_path, f"environment.robot: {self.robot}") | clips

    def at(self, folder: Path) -> "LeggedEnvironment":
        """Return the environment with the files that `folder` holds."""
        clips = [str(folder / _CLIPS / Path(clip).name) for clip in self.clips]
        return self.model_copy(update={"robot": str(folder / self.robot_path.name), "clips": clips})

    def body(self) -> Body:
        """Return the body of the robot.

        Raises:
            BadInput: The file is not usable, or a setting names what it lacks.
        """
        options = RobotOptions(
            gains=self.gains,
            locked=tuple(self.locked),
            feet=tuple(self.feet),
            stance=self.stance,
            self_collision=self.self_collision,
        )
        return load_body(self.robot_path, options)

    def clip_table(self, task: Task) -> ClipTable | None:
        """Return the clips to track, on the time step of a task; None if there are none.

        Raises:
            BadInput: As `body` and `read_clips`.
        """
        if not self.clips:
            return None
        table = read_clips([Path(clip) for clip in self.clips], task, self.body())
        if self.command_every is not None and len(table.ends) < 2:
            problem = f"changes {table.names[0]} for no other"
            expected = "two clips, or no key"
            raise BadInput("environment.command_every", problem, expected=expected)
        return table

    def servos(self) -> dict[str, dict[str, float | None]]:
        """Return `kp`, `kv` and `limit` of the servo of each joint target."""
        body = self.body()
        return {
            name: asdict(servo) for name, servo in zip(body.action_names, body.servos, strict=True)
        }

    def make(self, task: Task, *, render: bool = False) -> "LeggedEnv":
        """Return the environment.

        Raises:
            BadInput: As `body` and `clip_table`.
        """
        robots = self._robots(self.body(), task.dt, 1)
        clips = self.clip_table(task)
        if clips is not None:
            return ClipEnv(robots, clips, self, render=render)
        return LeggedEnv(robots, self.commands, self, render=render)

    def many(self, task: Task, count: int, device: Any) -> LeggedRobots:
        """Return robots to train in, for a training on a torch device.

        Raises:
            BadInput: As `body`; or MuJoCo Warp is required and not installed.
        """
        has_warp = device.type == "cuda" and find_spec("mujoco_warp") is not None
        body = self.body()
        if self.training_step is not None:
            body = replace(body, step=self.training_step)
        if self.physics == "warp" or (self.physics == "auto" and has_warp):
            engine = partial(MujocoWarp, device=str(device))
            return self._robots(body, task.dt, count, physics=engine)
        return self._robots(body, task.dt, count)

    def _robots(self, body: Body, dt: float, count: int, **engine: Any) -> LeggedRobots:
        gauge = Gauge(*self.tolerance, self.fallen or 0.7 * body.standing_height)
        return LeggedRobots(body, gauge, count, dt, **engine)


class LeggedEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Observes attitude, rates, joints and command; takes joint targets.

    Args:
        robots: one robot.
        commands: forward and left velocity, m/s, and turning rate, rad/s, or ranges of them.
        settings: pushes, and changes of the command.
        render: whether `render()` returns images.
    """

    metadata: ClassVar[Json] = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        robots: LeggedRobots,
        commands: list[Command],
        settings: LeggedEnvironment,
        *,
        render: bool = False,
    ) -> None:
        body = robots.body
        self.robots = robots
        self.dt = robots.dt
        self.commands = commands
        self._push = settings.push
        self._push_rows = max(1, round(settings.push_every / self.dt))
        self._command_rows = round((settings.command_every or 0.0) / self.dt)
        self.observation_names = body.observation_names
        self.action_names = body.action_names
        self.units = _units(body)
        self.action_space = Box(body.low.astype(np.float32), body.high.astype(np.float32))
        self.observation_space = Box(-np.inf, np.inf, (len(self.observation_names),), np.float32)
        self.render_mode = "rgb_array" if render else None

    def vary(self, parameters: dict[str, float]) -> None:
        """Set mass, friction, gain and noise as factors, push in m/s and latency in time steps.

        Raises:
            BadInput: A parameter is unknown.
        """
        self.robots.vary(0, parameters)
        self._push = float(parameters.get("push", self._push))

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, object] | None = None
    ) -> tuple[NDArray[np.float32], Info]:
        """Start on level ground, with noise on the joints; return (D,) and info."""
        super().reset(seed=seed)
        del options
        self._begin()
        return self.robots.observe(self.np_random)[0], {}

    def _begin(self) -> None:
        """Start in stance under a command."""
        command = draw_command(self.commands, self.np_random)
        stance = self.robots.body.stance
        joints = stance + self.np_random.normal(0.0, START_STD, len(stance))
        rates = np.zeros((1, len(stance)))
        self.robots.begin([0], command[None], joints[None], rates, np.zeros((1, 2)))

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float, bool, bool, Info]:
        """Advance one time step with joint targets (J,), rad."""
        space: Any = self.action_space
        robots = self.robots
        robots.advance(np.clip(action, space.low, space.high).astype(float)[None])
        if self._push and robots.steps[0] % self._push_rows == 0:
            robots.push(self.np_random.uniform(-self._push, self._push, (1, 2)))
        result = self._step_result()
        if self._command_rows and robots.steps[0] - robots.since[0] >= self._command_rows:
            self._change_command()
        return robots.observe(self.np_random)[0], *result

    def _change_command(self) -> None:
        """Draw another command."""
        self.robots.change_command([0], draw_command(self.commands, self.np_random)[None])

    def _step_result(self) -> tuple[float, bool, bool, Info]:
        """Return reward, whether it has fallen, whether it is cut off, and info."""
        robots = self.robots
        info = {"is_success": bool(robots.is_success()[0])}
        return float(robots.command_reward()[0]), bool(robots.has_fallen[0]), False, info

    def render(self) -> NDArray[np.uint8]:
        """Return a picture from the side."""
        robots = self.robots
        return draw_robot(robots.body.model, np.concatenate([[0.0], robots.position[0]]))


class ClipEnv(LeggedEnv):
    """The same robot, which tracks clips from their first pose to their end.

    `info` has the share of the clip that a step is, `tracked`: its sum is the share survived.
    The index of the clip is `clip`.

    Args:
        robots: one robot.
        clips: to track.
        settings: scale of the reward, pushes, and changes of the command.
        render: whether `render()` returns images.
    """

    def __init__(
        self,
        robots: LeggedRobots,
        clips: ClipTable,
        settings: LeggedEnvironment,
        *,
        render: bool = False,
    ) -> None:
        commands: list[Command] = [(x, y, yaw) for x, y, yaw in clips.commands.tolist()]
        super().__init__(robots, commands, settings, render=render)
        self.clips = clips
        self._tolerance = settings.clip_error
        self.clip = 0
        self._errors = 0.0

    def _begin(self) -> None:
        """Start in the first pose of a clip."""
        self.clip = int(self.np_random.integers(len(self.commands)))
        self._errors = 0.0
        pose = self.clips.at(np.zeros(1), [self.clip])
        noise = self.np_random.normal(0.0, START_STD, pose.joints.shape)
        self.robots.begin_clip([0], self.clips.commands[[self.clip]], pose, noise)

    def _change_command(self) -> None:
        """Start another clip, once this one or a repetition of it is over."""
        robots = self.robots
        count = len(self.commands)
        lasted = int(robots.steps[0] - robots.since[0])
        end = int(self.clips.ends[self.clip])
        if lasted % end == 0 if self.clips.loops[self.clip] else lasted >= end:
            self.clip = (self.clip + int(self.np_random.integers(1, count))) % count
            robots.change_command([0], self.clips.commands[[self.clip]])

    def _step_result(self) -> tuple[float, bool, bool, Info]:
        """Return reward, whether it has left the clip, whether the clip is over, and info."""
        robots = self.robots
        steps = int(self.robots.steps[0])
        pose = self.clips.at((robots.steps - robots.since).astype(float), [self.clip])
        error = float(robots.joint_error(pose)[0])
        has_left = bool(robots.has_left(pose)[0])
        self._errors += error
        end = int(self.clips.ends[self.clip])
        loops = bool(self._command_rows or self.clips.loops[self.clip])
        has_lasted = not has_left if loops else steps >= TRACKED * end
        info = {
            "is_success": has_lasted and self._errors < steps * self._tolerance,
            "tracked": 1.0 / end,
            "joint_error": error / end,
        }
        reward = float(np.exp(-((error / self._tolerance) ** 2)))
        return reward, has_left, steps >= end and not loops, info


def _units(body: Body) -> dict[str, str]:
    """Return the units of observations and actions by name."""
    return {
        **dict.fromkeys(("turn_x", "turn_y", "turn_z", "command_yaw"), "rad/s"),
        **dict.fromkeys((*body.joints, *body.action_names), "rad"),
        **dict.fromkeys((f"{name}_velocity" for name in body.joints), "rad/s"),
        **dict.fromkeys(("command_x", "command_y"), "m/s"),
    }
