"""The environment of the kind `mujoco`: a batch of rows, or a single one.

A row holds the physics state (n), sensor values (N), controls (U) and the factors of randomized
parameters (P), so that what comes next follows from it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar

import gymnasium
import mujoco
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from kinemill.control.mujoco_batch import (
    FACTORS,
    Floats,
    MujocoBatch,
    MujocoModel,
    check_parameters,
)
from kinemill.control.mujoco_model import RobotModel, quantity_names
from kinemill.errors import BadInput
from kinemill.policies.environments._raster import Bar, Disc, draw
from kinemill.policies.environments.gym_types import Info, Options, Reset, Transition
from kinemill.policies.environments.vector_env import Advanced
from kinemill.registry import nearest, require_known
from kinemill.runtime import wrapped
from kinemill.store import Json
from kinemill.task.control import Reached
from kinemill.task.expressions import Expression

library: ModuleType = mujoco  # it has no type stubs
Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Rules:
    """Observations, actions and rewards, in named quantities.

    Attributes:
        observe: names of observations (D,).
        actions: actuator: lowest and highest command.
        derived: name: formula.
        reward: name of a part: formula; the reward is their sum.
        healthy: formula: lowest and highest value; an episode ends outside.
        success: quantities that must be close to their targets.
        start: position or velocity: lowest and highest value at the start.
        start_noise: standard deviation of all other positions of hinges and slides, rad or m, and
            of velocities, rad/s or m/s.
        keyframe: whose positions an episode starts with; None: those of the model.
    """

    observe: tuple[str, ...]
    actions: Ranges
    derived: Mapping[str, str]
    reward: Mapping[str, str]
    healthy: Ranges
    success: tuple[Reached, ...]
    start: Ranges
    start_noise: float
    keyframe: str | None


class Quantities:
    """Values by name of rows (B, S)."""

    def __init__(self, robot: RobotModel, rules: Rules) -> None:
        self._columns = {name: quantity.column for name, quantity in robot.quantities.items()}
        self._derived = {name: Expression(text) for name, text in rules.derived.items()}
        self._formulas = dict[str, Expression]()

    def of(self, text: str, rows: Floats) -> Floats:
        """Return the value (B,) of a name or formula."""
        if text in self._columns:
            return rows[:, self._columns[text]]
        if text in self._derived:
            formula = self._derived[text]
        else:
            formula = self._formulas.setdefault(text, Expression(text))
        values = {name: self.of(name, rows) for name in formula.names}
        return np.broadcast_to(np.asarray(formula.value(values), float), len(rows))


def used_names(rules: Rules) -> set[str]:
    """Return all names that rules refer to, without those of derived quantities."""
    texts = [*rules.derived.values(), *rules.reward.values(), *rules.healthy]
    texts += [condition.of for condition in rules.success]
    names = {name for text in texts for name in Expression(text).names}
    return (names | set(rules.observe)) - set(rules.derived)


class MujocoRows:
    """A `kinemill.policies.environments.vector_env.Batch` of any MuJoCo model.

    Args:
        robot: the model with its names.
        rules: observations, actions and rewards.
        count: rows, B.
        substeps: physics steps of one time step.
        randomize: lowest and highest factor of parameters that each episode draws.

    Raises:
        BadInput: A name is unknown.
    """

    def __init__(
        self, robot: RobotModel, rules: Rules, count: int, substeps: int, randomize: Ranges
    ) -> None:
        self.robot = robot
        self.rules = rules
        _check(robot, rules)
        check_parameters(randomize)
        self._parameters, self._randomize = tuple(FACTORS), dict(randomize)
        self._batch = MujocoBatch(robot.model, count, substeps)
        self._single = self._batch if count == 1 else MujocoBatch(robot.model, 1, substeps)
        self._quantities = Quantities(robot, rules)
        self._factors = np.ones((count, len(FACTORS)))
        self._size, self._sensors = self._batch.state_size, int(robot.model.nsensordata)
        ends = np.array(list(rules.actions.values()), float).reshape(-1, 2).T
        self._low, self._high = ends
        self._actuator_rows = [robot.actuators.index(name) for name in rules.actions]
        self._base = _base_state(robot, rules, self._size)
        low, high = ends.astype(np.float32)
        self.action_space = Box(low, high, dtype=np.float32)
        self.observation_space = Box(-np.inf, np.inf, (len(rules.observe),), np.float32)

    def start(
        self, random: np.random.Generator, factors: Mapping[str, float] | None = None
    ) -> Floats:
        """Draw the state (S,) that an episode begins with, and factors of parameters if None."""
        physics = self._start_state(random)
        if factors is None:
            factors = {name: float(random.uniform(*ends)) for name, ends in self._randomize.items()}
        values = np.array([factors.get(name, 1.0) for name in self._parameters])
        self._single.scale(0, factors)
        if self._single is self._batch:
            self._factors[0] = values
        control = np.zeros((1, self.robot.model.nu))
        sensed = self._sense(self._single, physics[None], control)
        return np.concatenate([physics, sensed[0], control[0], values])

    def observe(self, states: Floats) -> NDArray[np.float32]:
        """Return observations (B, D) of states (B, S)."""
        parts = [self._quantities.of(name, states) for name in self.rules.observe]
        return np.stack(parts, axis=1).astype(np.float32)

    def advance(self, states: Floats, actions: object) -> Advanced:
        """Go one step on from states (B, S) under commands (B, A)."""
        factors = states[:, -len(self._parameters) :]
        for row in np.flatnonzero((factors != self._factors).any(axis=1)):
            self._batch.scale(int(row), dict(zip(self._parameters, factors[row], strict=True)))
            self._factors[row] = factors[row]
        control = np.zeros((len(states), self.robot.model.nu))
        control[:, self._actuator_rows] = np.clip(np.asarray(actions, float), self._low, self._high)
        physics, is_lost = self._batch.advance(states[:, : self._size], control)
        physics[is_lost] = states[is_lost, : self._size]
        sensed = self._sense(self._batch, physics, control)
        rows = np.concatenate([physics, sensed, control, factors], axis=1)
        rewards = sum(self.rewards(rows).values(), np.zeros(len(rows)))
        ended = is_lost.copy()
        for text, (low, high) in self.rules.healthy.items():
            value = self._quantities.of(text, rows)
            ended |= ~((value >= low) & (value <= high))
        return Advanced(rows, rewards, ended, self._success(rows, ended))

    def rewards(self, rows: Floats) -> dict[str, Floats]:
        """Return the parts of the reward, (B,) each."""
        return {name: self._quantities.of(text, rows) for name, text in self.rules.reward.items()}

    def _success(self, rows: Floats, ended: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        if not self.rules.success:
            return None
        success = ~ended
        for condition in self.rules.success:
            error = self._quantities.of(condition.of, rows) - condition.target
            if condition.kind == "angle":
                error = wrapped(error, np.array(True))
            success &= np.abs(error) <= condition.within
        return success

    def _sense(self, batch: MujocoBatch, physics: Floats, control: Floats) -> Floats:
        return batch.sense(physics, control) if self._sensors else np.empty((len(physics), 0))

    def _start_state(self, random: np.random.Generator) -> Floats:
        """Draw a physics state (n,)."""
        state = self._base.copy()
        model = self.robot.model
        if self.rules.start_noise:
            scalar = np.isin(model.jnt_type, (2, 3))  # mjJNT_SLIDE, mjJNT_HINGE
            columns = [*(1 + model.jnt_qposadr[scalar]), *(1 + model.nq + np.arange(model.nv))]
            state[columns] += random.normal(0.0, self.rules.start_noise, len(columns))
        for name, ends in self.rules.start.items():
            state[self.robot.quantities[name].column] = random.uniform(*ends)
        return state


def _check(robot: RobotModel, rules: Rules) -> None:
    names = quantity_names(robot)
    for name in sorted(used_names(rules)):
        if name not in robot.quantities:
            fix = nearest(name, [*names, *rules.derived])
            raise BadInput("environment", f"{name!r} is no quantity of the model", fix=fix)
    for name in rules.derived:
        if name in names:
            where = f"environment.derived: {name}"
            fix = "choose another name"
            raise BadInput(where, "is a quantity of the model", fix=fix)
    for name in rules.start:
        where = f"environment.start: {name}"
        require_known(name, robot.joints, where, "is no position or velocity")


def _base_state(robot: RobotModel, rules: Rules, size: int) -> Floats:
    """Return the physics state (n,) of the model's start.

    Raises:
        BadInput: The keyframe does not exist.
    """
    model = robot.model
    data = library.MjData(robot.model)
    if rules.keyframe is not None:
        names = [model.key(index).name for index in range(model.nkey)]
        where = f"environment.keyframe: {rules.keyframe}"
        require_known(rules.keyframe, names, where, "is no keyframe of the model")
        library.mj_resetDataKeyframe(model, data, names.index(rules.keyframe))
    state = np.zeros(size)
    library.mj_getState(model, data, state, library.mjtState.mjSTATE_FULLPHYSICS)
    state[0] = 0.0  # s: `time` counts from the start of the episode
    return state


class MujocoEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """One row as an ordinary environment.

    Args:
        rows: of one robot.
        render: whether `render()` returns images.
    """

    metadata: ClassVar[Json] = {"render_modes": ["rgb_array"]}

    def __init__(self, rows: MujocoRows, *, render: bool) -> None:
        self._rows, self._factors = rows, dict[str, float]()
        self.observation_space = rows.observation_space
        self.action_space = rows.action_space
        self.observation_names = rows.rules.observe
        self.action_names = tuple(rows.rules.actions)
        quantities = rows.robot.quantities
        names = [
            name for name in (*self.observation_names, *self.action_names) if name in quantities
        ]
        self.units = {name: quantities[name].unit for name in names}
        self.render_mode = "rgb_array" if render else None

    def vary(self, parameters: Mapping[str, float]) -> None:
        """Set factors on mass, friction, gain and damping for the next episodes.

        Raises:
            BadInput: A parameter is unknown.
        """
        check_parameters(parameters)
        self._factors = {name: float(value) for name, value in parameters.items()}

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        super().reset(seed=seed, options=options)
        self._row = self._rows.start(self.np_random, self._factors)
        return self._rows.observe(self._row[None])[0], {}

    def step(self, action: NDArray[np.float32]) -> Transition:
        """Hold the commands (A,) for one time step."""
        after = self._rows.advance(self._row[None], np.asarray(action)[None])
        self._row = after.states[0]
        info: Info = {}
        if len(parts := self._rows.rewards(after.states)) > 1:
            info |= {f"reward_{name}": float(value[0]) for name, value in parts.items()}
        if after.success is not None:
            info["is_success"] = bool(after.success[0])
        observation = self._rows.observe(after.states)[0]
        return observation, float(after.rewards[0]), bool(after.terminated[0]), False, info

    def render(self) -> NDArray[np.uint8]:
        """Return an image (H, W, 3) uint8: the links, from the side or, without gravity, above."""
        return draw_robot(self._rows.robot.model, self._row)


def draw_robot(model: MujocoModel, row: Floats) -> NDArray[np.uint8]:
    """Draw bodies as bars from their parents, and capsules along their axes.

    `row` starts with a physics state.
    """
    data = library.MjData(model)
    data.qpos[:] = row[1 : 1 + model.nq]
    library.mj_kinematics(model, data)
    library.mj_comPos(model, data)
    axes = [0, 2] if model.opt.gravity[2] else [0, 1]
    is_mobile = bool(np.isin(model.jnt_type, (0, 2)).any())  # mjJNT_FREE, mjJNT_SLIDE
    center = data.subtree_com[0][axes] if is_mobile else data.xpos[1][axes]
    size = max(0.1, 1.3 * float(model.stat.extent))
    blue = (0.2, 0.35, 0.65)
    gray = (0.6, 0.6, 0.55)
    shapes: list[Bar | Disc] = []

    def to_image(point: Floats) -> tuple[float, float]:
        x, y = (point[axes] - center).tolist()
        return x, y

    for body in range(1, model.nbody):
        if parent := int(model.body_parentid[body]):
            ends = to_image(data.xpos[parent]), to_image(data.xpos[body])
            shapes.append(Bar(*ends, 0.01 * size, blue))
    for geom in range(model.ngeom):
        radius, half, kind = *model.geom_size[geom, :2], int(model.geom_type[geom])
        middle = data.geom_xpos[geom]
        if kind in (3, 5):  # mjGEOM_CAPSULE, mjGEOM_CYLINDER
            along = half * data.geom_xmat[geom].reshape(3, 3)[:, 2]
            shapes.append(
                Bar(to_image(middle - along), to_image(middle + along), float(radius), blue)
            )
        elif kind != 0:  # mjGEOM_PLANE
            shapes.append(Disc(to_image(middle), float(min(model.geom_rbound[geom], size)), blue))
        elif axes == [0, 2]:
            ground = float(middle[2]) - center[1]
            shapes.insert(0, Bar((-2 * size, ground), (2 * size, ground), 0.01 * size, gray))
    return draw(shapes, 192, size)
