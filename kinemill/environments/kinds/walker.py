"""A small biped that is to walk as it is commanded, and is pushed now and then.

It observes its attitude, rates, joints and the command, and commands targets of its ten leg joints;
servos follow them. Symbols: q quaternion x, y, z, w from trunk to world.
"""

from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat

from kinemill.environments.kinds._biped import JOINTS, LEGS, LIMITS, STEP
from kinemill.environments.kinds._stepping import Warped
from kinemill.environments.kinds._walkers import Walkers, stance
from kinemill.errors import BadInput
from kinemill.task.environment import KINDS, Environment

Floats = NDArray[np.floating]
Command = tuple[float, float, float]

NEAR = 0.1  # m/s that the mean velocity may be off the command
START = 0.02  # rad of standard deviation that joints are off at the start


@KINDS.register("walker")
class WalkerEnvironment(Environment):
    """Settings of the biped; `randomize` and `variants` know mass, friction, gain and push."""

    type: Literal["walker"] = "walker"
    commands: Annotated[list[Command], Field(min_length=1)] = Field(
        default=[(0.13, 0.0, 0.0)],
        description="forward and to the left, m/s, and turning, rad/s; one is drawn at each reset",
    )
    push: NonNegativeFloat = Field(
        default=0.1, description="velocity that a push changes the trunk's by at most, m/s"
    )
    push_every: float = Field(default=1.0, gt=0.0, description="s between two pushes")
    physics: Literal["auto", "mujoco", "warp"] = Field(
        default="auto",
        description="what walkers that are learned in are moved by: mujoco on all cores, or warp "
        "(MuJoCo Warp, kinemill[warp]) on a GPU; auto: warp where the training has a GPU and warp "
        "is installed. Trials are always mujoco's",
    )

    def make(self, task: Any, *, render: bool = False) -> Any:
        """Return the environment.

        Raises:
            BadInput: `dt` is no multiple of the physics' time step.
        """
        return Walker(
            self._rows(task.dt), self.commands, (self.push, self.push_every), render=render
        )

    def many(self, task: Any, count: int, device: Any) -> Walkers:
        """Return bipeds to learn in, side by side, for a training on a torch device.

        Raises:
            BadInput: as `make`; MuJoCo Warp is asked for and not installed.
        """
        there = device.type == "cuda" and find_spec("mujoco_warp") is not None
        if self.physics == "warp" or (self.physics == "auto" and there):
            return Walkers(count, self._rows(task.dt), partial(Warped, device=str(device)))
        return Walkers(count, self._rows(task.dt))

    @staticmethod
    def _rows(dt: float) -> int:
        rows = round(dt / STEP)
        if rows < 1 or abs(rows * STEP - dt) > 1e-9:
            fix = f"set dt to a multiple of {STEP} s, such as 0.02"
            raise BadInput("environment.type: walker", f"cannot go on by dt {dt} s", fix=fix)
        return rows


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
        self.walkers = Walkers(1, rows)
        self.dt, self.commands = rows * STEP, commands
        self._push, self._push_rows = pushes[0], max(1, round(pushes[1] / self.dt))
        low, high = zip(*(LIMITS[name] for name in JOINTS * 2), strict=True)
        self.action_space = Box(np.array(low, np.float32), np.array(high, np.float32))
        self.observation_space = Box(-np.inf, np.inf, (len(self.observation_names),), np.float32)
        self.render_mode = "rgb_array" if render else None

    def vary(self, parameters: dict[str, Any]) -> None:
        """Set what differs: mass, friction and gain as factors, push in m/s.

        Raises:
            BadInput: it has no such parameter.
        """
        self.walkers.vary(0, parameters)
        self._push = float(parameters.get("push", self._push))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Stand on level ground, joints some hundredths of a rad off."""
        super().reset(seed=seed)
        del options
        command = self.commands[int(self.np_random.integers(len(self.commands)))]
        joints = stance() + self.np_random.normal(0.0, START, len(LEGS))
        self.walkers.begin(
            [0], np.array([command]), joints[None], np.zeros((1, 10)), np.zeros((1, 2))
        )
        return self.walkers.observed()[0], {}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Let the servos follow the targets (10,), rad, for a time step."""
        space: Any = self.action_space
        walkers = self.walkers
        walkers.advance(np.clip(action, space.low, space.high)[None])
        if self._push and walkers.steps[0] % self._push_rows == 0:
            walkers.push(self.np_random.uniform(-self._push, self._push, (1, 2)))
        over = bool(walkers.fallen[0])
        told = {"is_success": bool(not over and walkers.off()[0] < NEAR)}
        return walkers.observed()[0], float(walkers.following()[0]), over, False, told

    def render(self) -> Any:
        """Return a picture from the side, (H, W, 3) uint8, the trunk in its middle."""
        from kinemill.environments.kinds._raster import Bar, Disc, draw

        bodies = self.walkers.places(0)[:, [0, 2]] - [self.walkers.position[0, 0], 0.1]
        at = [(float(x), float(z)) for x, z in bodies]  # trunk, then five of each leg
        each = len(at) // 2
        dark, light, floor = (0.15, 0.25, 0.45), (0.45, 0.6, 0.8), (0.6, 0.6, 0.55)
        shapes: list[Bar | Disc] = [Bar((-1.0, -0.1), (1.0, -0.1), 0.002, floor)]
        first_mark = np.ceil((self.walkers.position[0, 0] - 0.2) / 0.05) * 0.05
        for x in first_mark + 0.05 * np.arange(9) - self.walkers.position[0, 0]:
            shapes.append(Bar((x, -0.1), (x, -0.11), 0.0015, floor))  # each 5 cm of the ground
        for first, color in ((1 + each, light), (1, dark)):
            leg = [at[0], *at[first + 2 : first + each]]
            x, z = leg[-1]
            shapes += [Bar(*ends, 0.008, color) for ends in pairwise([*leg, (x, z - 0.04)])]
            shapes.append(Bar((x - 0.03, z - 0.045), (x + 0.03, z - 0.045), 0.006, color))
        shapes.append(Disc((at[0][0], at[0][1] + 0.04), 0.05, dark))
        return draw(shapes, 192, 0.2)
