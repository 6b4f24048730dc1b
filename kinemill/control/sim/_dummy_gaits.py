"""Synthetic clips of a walking robot: each joint is periodic and depends on the command.

Joint j at phase φ under commands u (M,), each within ±1 and the same all through a clip, is
q_j(φ) = m_j + a_j Σ_k Re[(c_jk + Σ_m u_m d_jkm) e^{ikφ}], so clips differ along M directions, and
the effect of a command can be learned. c, d, and the length of the cycle are those of the robot,
the same in all its clips; u and the initial phase are specific to a clip. a_j keeps q_j and its
derivatives within limits and jumps, whatever the command. An action is the joint that it is the
target of, one time step later.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kinemill.control.sim._dummy_parts import NOISE, REACH, Floats, Waves, families, play, turn
from kinemill.control.sim._table import Table
from kinemill.store import Json, digest
from kinemill.task import Task, rotations

CYCLE = 32  # rows: at 30 to 60 Hz a second or half of one, and three harmonics to see
HARMONICS = np.array([1.0, 2.0, 3.0])
FALL = 0.5  # of each harmonic's amplitude to that of the one before
BENDS = 0.25  # how much commands change a gait, over the gait itself
SWAY = 0.1  # rad, that a trunk tilts either way
COMMANDS = 0.2  # m/s and rad/s, at most, where a command has no limits


def repeats(task: Task) -> bool:
    """Return whether a task learns periodic motions, and so has joints that actions follow."""
    return task.learn.type == "motion"


def gait_overrides(task: Task) -> Json:
    """Return the additional settings of a motion task."""
    overrides: dict[str, Any] = {"learn.motions": ["*"]}
    learn: Any = task.learn
    if task.environment is not None:  # a first try of learning in physics: two updates
        physics = learn.in_physics
        steps = 2 * (physics.num_envs or 1) * getattr(physics.algorithm, "n_steps", 1)
        overrides |= {"learn.physics.steps": steps, "learn.physics.eval_every": steps}
    return overrides


def gait(task: Task, seed: int, time: Floats, random: np.random.Generator) -> Table:
    """Return one clip: `time` s, states, actions and commands by name, (n,) each."""
    robot = np.random.default_rng(int(digest([task.name, seed, "gait"])[:16], 16))
    omega = 2.0 * np.pi / (min(CYCLE, len(time) // 3) * task.dt) * HARMONICS
    commands = [name for name in task.numbers if task.channels[name].role == "observation"]
    command = random.uniform(-1.0, 1.0, len(commands))
    begun = np.exp(1j * HARMONICS * random.uniform(0.0, 2.0 * np.pi))
    table: Table = {}
    for names in rotations(task.channels):
        angle = SWAY * play(_here(_family(robot, len(commands)), command) * begun, omega, time)
        table |= dict(zip(names, turn(angle, robot.standard_normal(3), random), strict=True))
    learn: Any = task.learn
    targets: dict[str, str] = learn.joints(task.channels)
    next_values: dict[str, Floats] = {}
    for orders in families(task):
        family = _family(robot, len(commands))
        waves = _here(family, command) * begun
        middle, scale = _within(task, orders, family, omega)
        for name, order in orders.items():
            turned = scale * waves * (1j * omega) ** order
            center = middle if order == 0 else 0.0
            signal = play(turned, omega, time)
            noise = NOISE * float(np.abs(signal).max()) * random.standard_normal(len(time))
            table[name] = center + signal + noise
            next_values[name] = center + play(turned, omega, time + task.dt)
    for name in task.actions:
        table[name] = next_values[targets[name]]
    for name, value in zip(commands, command, strict=True):
        low, high = task.channels[name].limits or (-COMMANDS, COMMANDS)
        table[name] = np.full(len(time), 0.5 * (low + high) + 0.5 * REACH * (high - low) * value)
    return {"time": time} | {name: table[name] for name in (*task.actions, *task.states, *commands)}


def _family(random: np.random.Generator, commands: int) -> Waves:
    """Return c and, for each command, d of a joint, (M + 1, K): 1 in all at most."""
    shape = (commands + 1, len(HARMONICS))
    waves = random.uniform(0.5, 1.0, shape) * np.exp(2j * np.pi * random.uniform(size=shape))
    waves = waves * FALL ** (HARMONICS - 1.0)
    waves[1:] *= BENDS
    return np.asarray(waves / np.abs(waves).sum(), np.complex128)


def _here(family: Waves, command: Floats) -> Waves:
    """Return the waves (K,) of a family (M + 1, K) under commands (M,)."""
    return np.asarray(family[0] + command @ family[1:], np.complex128)


def _within(
    task: Task, orders: Mapping[str, int], family: Waves, omega: Floats
) -> tuple[float, float]:
    """Return the center and the scale that keep a joint within the task's limits.

    Args:
        task: whose limits and jumps they are.
        orders: the joint, and its derivatives with their order.
        family: (M + 1, K) of the joint.
        omega: (K,) rad/s.
    """
    sizes = np.abs(family).sum(axis=0)  # at most, for any command
    jumps: Mapping[str, float] = getattr(getattr(task.validation, "max_jump", None), "bounds", {})
    middle = 0.0
    scales = list[float]()
    for name, order in orders.items():
        most = float(sizes @ omega**order)
        if limits := task.channels[name].limits:
            middle = 0.5 * (limits[0] + limits[1]) if order == 0 else middle
            room = 0.5 * (limits[1] - limits[0]) if order == 0 else min(-limits[0], limits[1])
            scales.append(room / most)
        if name in jumps:
            scales.append(jumps[name] / (float(sizes @ omega ** (order + 1)) * task.dt))
    return middle, REACH * min(scales, default=1.0)
