"""A small biped that is to walk as it is commanded, and is pushed now and then.

It observes its attitude, rates, joints and the command, and commands targets of its ten leg joints;
servos follow them. Symbols: q quaternion x, y, z, w from trunk to world.
"""

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat

from kinemill.environments.kinds._biped import (
    JOINTS,
    LEGS,
    LIMITS,
    PITCH,
    STANCE,
    STEP,
    lowest,
    mjcf,
)
from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.spec.environment import KINDS, Environment

Floats = NDArray[np.floating]
Command = tuple[float, float, float]

FALLEN, TILTED = 0.1, 0.6  # m of the trunk's height; cosine of its tilt
NEAR = 0.1  # m/s that the mean velocity may be off the command
_SMOOTH = 0.3  # s over which velocities are averaged: a step makes the trunk sway
_OFF = (0.1, 0.5)  # m/s, rad/s off the command at which a reward is 1/e of its own
_PARAMETERS = ("mass", "friction", "gain", "push")


@KINDS.register("walker")
class WalkerEnvironment(Environment):
    """Settings of the biped; `randomise` and `variants` know mass, friction, gain and push."""

    type: Literal["walker"] = "walker"
    commands: Annotated[list[Command], Field(min_length=1)] = Field(
        default=[(0.13, 0.0, 0.0)],
        description="forward and to the left, m/s, and turning, rad/s; one is drawn at each reset",
    )
    push: NonNegativeFloat = Field(
        default=0.1, description="velocity that a push changes the trunk's by at most, m/s"
    )
    push_every: float = Field(default=1.0, gt=0.0, description="s between two pushes")

    def make(self, task: Any, *, render: bool = False) -> Any:
        """Return the environment.

        Raises:
            BadInput: `dt` is no multiple of the physics' time step.
        """
        rows = round(task.dt / STEP)
        if rows < 1 or abs(rows * STEP - task.dt) > 1e-9:
            fix = f"set dt to a multiple of {STEP} s, such as 0.02"
            raise BadInput("environment.type: walker", f"cannot go on by dt {task.dt} s", fix=fix)
        return Walker(rows, self.commands, (self.push, self.push_every), render=render)


class Walker(gymnasium.Env[Floats, Floats]):
    """Observes attitude, rates, joints and command; takes joint targets.

    Args:
        rows: steps of the physics for each of its own.
        commands: forward and to the left, m/s, turning, rad/s.
        pushes: by how many m/s at most, and every how many s.
        render: whether `render()` gives pictures.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}
    observation_names = (
        *("trunk_x", "trunk_y", "trunk_z", "trunk_w", "turn_x", "turn_y", "turn_z"),
        *LEGS,
        *(f"{name}_velocity" for name in LEGS),
        *("command_x", "command_y", "command_yaw"),
    )
    action_names = tuple(f"{name}_target" for name in LEGS)
    units: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("turn_x", "turn_y", "turn_z", "command_yaw"), "rad/s"),
        **dict.fromkeys((*LEGS, *(f"{name}_target" for name in LEGS)), "rad"),
        **dict.fromkeys((f"{name}_velocity" for name in LEGS), "rad/s"),
        **dict.fromkeys(("command_x", "command_y"), "m/s"),
    }

    def __init__(
        self,
        rows: int,
        commands: list[Command],
        pushes: tuple[float, float],
        *,
        render: bool = False,
    ) -> None:
        import mujoco

        library: Any = mujoco
        self._mujoco = library
        self.model = library.MjModel.from_xml_string(mjcf())
        self.data = library.MjData(self.model)
        self.dt, self._rows, self.commands = rows * STEP, rows, commands
        self._push, self._push_rows = pushes[0], max(1, round(pushes[1] / self.dt))
        self._usual = (
            self.model.body_mass.copy(),
            self.model.body_inertia.copy(),
            self.model.geom_friction.copy(),
            self.model.actuator_gainprm.copy(),
            self.model.actuator_biasprm.copy(),
        )
        low, high = zip(*(LIMITS[name] for name in JOINTS * 2), strict=True)
        self.action_space = Box(np.array(low, np.float32), np.array(high, np.float32))
        self.observation_space = Box(-np.inf, np.inf, (len(self.observation_names),), np.float32)
        self.render_mode = "rgb_array" if render else None
        self.stance = np.array([STANCE[name] for name in JOINTS * 2])
        self.command = np.zeros(3)
        self._steps, self._way, self._smooth = 0, np.zeros(3), np.zeros(3)

    def vary(self, parameters: dict[str, Any]) -> None:
        """Set what differs: mass, friction and gain as factors, push in m/s.

        Raises:
            BadInput: it has no such parameter.
        """
        for name in parameters:
            if name not in _PARAMETERS:
                where = f"environment.randomise, variants: {name}"
                raise BadInput(where, "is no parameter", fix=nearest(name, list(_PARAMETERS)))
        mass, inertia, friction, gain, bias = self._usual
        by = {name: float(parameters.get(name, 1.0)) for name in _PARAMETERS}
        self.model.body_mass[:] = mass * by["mass"]
        self.model.body_inertia[:] = inertia * by["mass"]
        self.model.geom_friction[:] = friction * by["friction"]
        self.model.actuator_gainprm[:] = gain * by["gain"]
        self.model.actuator_biasprm[:] = bias * by["gain"]
        self._push = float(parameters.get("push", self._push))
        self._mujoco.mj_setConst(self.model, self.data)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Stand on level ground, joints some hundredths of a rad off.

        With `options`: `command` (3,), and `joints` and `rates` (10,), rad and rad/s, to begin in
        the midst of a walk, the trunk moving as commanded.
        """
        super().reset(seed=seed)
        given = options or {}
        drawn = self.commands[int(self.np_random.integers(len(self.commands)))]
        self.command = np.asarray(given.get("command", drawn), np.float64)
        off = self.np_random.normal(0.0, 0.02, len(LEGS))
        joints = given.get("joints", self.stance)
        self._place(np.asarray(joints) + off, given.get("rates"))
        self._steps, self._way = 0, np.zeros(3)
        self._smooth = self.command.copy()
        return self._observed(), {}

    def _place(self, joints: Floats, rates: Floats | None) -> None:
        self._mujoco.mj_resetData(self.model, self.data)
        data = self.data
        data.qpos[3:7] = [np.cos(PITCH / 2), 0.0, np.sin(PITCH / 2), 0.0]
        data.qpos[7:] = joints
        self._mujoco.mj_kinematics(self.model, data)
        data.qpos[2] -= lowest(data)
        if rates is not None:
            data.qvel[:2], data.qvel[5], data.qvel[6:] = self.command[:2], self.command[2], rates
        self._mujoco.mj_forward(self.model, data)

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Let the servos follow the targets (10,), rad, for a time step."""
        space: Any = self.action_space
        self.data.ctrl[:] = np.clip(action, space.low, space.high)
        self._mujoco.mj_step(self.model, self.data, self._rows)
        self._steps += 1
        if self._push and self._steps % self._push_rows == 0:
            self.data.qvel[:2] += self.np_random.uniform(-self._push, self._push, 2)
        moved = self.moving()
        self._way += moved
        self._smooth += (moved - self._smooth) * min(1.0, self.dt / _SMOOTH)
        over = bool(self.data.qpos[2] < FALLEN or self.upright < TILTED)
        off = np.linalg.norm(self.mean_velocity[:2] - self.command[:2])
        told = {"is_success": bool(not over and off < NEAR)}
        return self._observed(), self._reward(), over, False, told

    @property
    def upright(self) -> float:
        """The cosine of the trunk's tilt."""
        return float(self.data.xmat[1, 8])

    @property
    def mean_velocity(self) -> Floats:
        """Forward, to the left, m/s, and turning, rad/s, on average since the start, (3,)."""
        return self._way / max(1, self._steps)

    def moving(self) -> Floats:
        """Return velocity along the trunk's heading and across, m/s, and turning, rad/s, (3,)."""
        forward = self.data.xmat[1, [0, 3]]
        forward = forward / max(float(np.linalg.norm(forward)), 1e-9)
        across, velocity = np.array([-forward[1], forward[0]]), self.data.qvel[:2]
        return np.array([forward @ velocity, across @ velocity, self._turning()[2]])

    def _turning(self) -> Floats:
        """Return the rate of the trunk in the world, (3,) rad/s."""
        return self.data.xmat[1].reshape(3, 3) @ self.data.qvel[3:6]

    def _reward(self) -> float:
        """Return how well the command is followed, 0 to 1."""
        off = self._smooth - self.command
        straight = np.exp(-float(off[:2] @ off[:2]) / _OFF[0] ** 2)
        return float(0.7 * straight + 0.3 * np.exp(-((off[2] / _OFF[1]) ** 2)))

    def _observed(self) -> Floats:
        w, x, y, z = self.data.qpos[3:7]
        legs = (self.data.qpos[7:], self.data.qvel[6:])
        whole = [[x, y, z, w], self._turning(), *legs, self.command]
        return np.concatenate(whole).astype(np.float32)

    def render(self) -> Any:
        """Return a picture from the side, (H, W, 3) uint8, the trunk in its middle."""
        from kinemill.environments.kinds._raster import Bar, Disc, draw

        bodies = self.data.xpos[1:, [0, 2]] - [self.data.qpos[0], 0.1]
        at = [(float(x), float(z)) for x, z in bodies]  # trunk, then five of each leg
        each = len(at) // 2
        dark, light, floor = (0.15, 0.25, 0.45), (0.45, 0.6, 0.8), (0.6, 0.6, 0.55)
        shapes: list[Bar | Disc] = [Bar((-1.0, -0.1), (1.0, -0.1), 0.002, floor)]
        for first, colour in ((1 + each, light), (1, dark)):
            leg = [at[0], *at[first + 2 : first + each]]
            x, z = leg[-1]
            shapes += [Bar(*ends, 0.008, colour) for ends in pairwise([*leg, (x, z - 0.04)])]
            shapes.append(Bar((x - 0.03, z - 0.045), (x + 0.03, z - 0.045), 0.006, colour))
        shapes.append(Disc((at[0][0], at[0][1] + 0.04), 0.05, dark))
        return draw(shapes, 128, 0.2)
