"""Shared parts of the small planar robots: MuJoCo, commands held for a row, parameters that vary.

Parameters for `environment.randomize` and `environment.variants`, all factors but two: `mass`,
`friction` (of joints), `gain` (of motors), `delay` (rows until a command acts), `camera` (m by
which the picture is shifted, both ways), `light`.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from kinemill.control.mujoco_batch import check_parameters
from kinemill.control.sim import mujoco
from kinemill.policies.environments._raster import Bar, Disc, Picture, draw
from kinemill.policies.environments.gym_types import Env, Options, Reset, Transition

USUAL = {"mass": 1.0, "friction": 1.0, "gain": 1.0, "delay": 0.0, "camera": 0.0, "light": 1.0}
Vector = NDArray[np.float64]
RECORDED = 192  # pixels across a picture of `render`


class Planar(Env):
    """A robot in a plane.

    Args:
        substeps: physics steps in a row of the task.
        render: whether `render()` gives pictures.
    """

    mjcf: ClassVar[str]  # of the robot, whose actuators have limits
    observation_names: ClassVar[tuple[str, ...]] = ()
    action_names: ClassVar[tuple[str, ...]] = ()
    units: ClassVar[dict[str, str]] = {}
    reach: ClassVar[float] = 0.5  # m from the middle of a picture to its edge

    def __init__(self, substeps: int, *, render: bool) -> None:
        self.model = mujoco().MjModel.from_xml_string(self.mjcf)
        self.data = mujoco().MjData(self.model)
        self._substeps = substeps
        self.metadata = {"render_modes": ["rgb_array"]}
        self.render_mode = "rgb_array" if render else None
        fields = {"body_mass", "body_inertia", "dof_damping", "actuator_gainprm"}
        self._nominal = {name: getattr(self.model, name).copy() for name in fields}
        self.parameters = dict(USUAL)
        self._waiting: deque[Vector] = deque()
        self._low, self._high = self.model.actuator_ctrlrange.T
        self.action_space = Box(self._low.astype(np.float32), self._high.astype(np.float32))
        count = len(self.observation_names)
        self.observation_space = Box(-np.inf, np.inf, (count,), np.float32)

    def vary(self, parameters: Mapping[str, float]) -> None:
        """Set parameters for the episodes to come; those not named are as usual.

        Raises:
            BadInput: there is no such parameter.
        """
        check_parameters(parameters, USUAL)
        self.parameters = {**USUAL, **parameters}
        mass, friction, gain = (self.parameters[name] for name in ("mass", "friction", "gain"))
        self.model.body_mass[:] = self._nominal["body_mass"] * mass
        self.model.body_inertia[:] = self._nominal["body_inertia"] * mass
        self.model.dof_damping[:] = self._nominal["dof_damping"] * friction
        self.model.actuator_gainprm[:] = self._nominal["actuator_gainprm"]
        self.model.actuator_gainprm[:, 0] *= gain

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode; all that is drawn follows from the seed."""
        super().reset(seed=seed, options=options)
        mujoco().mj_resetData(self.model, self.data)
        self.data.qpos[:] = self.begin(self.np_random)
        mujoco().mj_forward(self.model, self.data)
        still = np.zeros(self.model.nu)
        self._waiting = deque([still] * round(self.parameters["delay"]))
        return self.observe(), {}

    def step(self, action: object) -> Transition:
        """Hold a command for one row."""
        self._waiting.append(np.clip(np.asarray(action, float), self._low, self._high))
        self.data.ctrl[:] = self._waiting.popleft()
        mujoco().mj_step(self.model, self.data, self._substeps)
        reward, over, success = self.evaluate()
        return self.observe(), reward, over, False, {"is_success": success}

    def render(self) -> NDArray[np.uint8]:
        """Return a picture (n, n, 3) uint8."""
        return self.picture(RECORDED)

    def picture(self, pixels: int) -> Picture:
        """Draw the plane as the camera sees it."""
        shift = self.parameters["camera"]
        return draw(self.shapes(), pixels, self.reach, (shift, shift), self.parameters["light"])

    @abstractmethod
    def begin(self, random: np.random.Generator) -> Vector:
        """Draw an episode's start: positions of the joints."""

    @abstractmethod
    def observe(self) -> object:
        """Return the observation of a policy."""

    @abstractmethod
    def evaluate(self) -> tuple[float, bool, bool]:
        """Return the reward of a row, whether it is the last one, and whether it is a success."""

    @abstractmethod
    def shapes(self) -> list[Disc | Bar]:
        """Return the shapes to draw."""
