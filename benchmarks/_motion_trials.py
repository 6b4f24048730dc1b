"""Trials of robots that track gaits and clips in physics, as they are and in changed physics."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.control.sim import mujoco
from kinemill.policies.environments import make_environment
from kinemill.policies.environments.kinds.legged import LeggedEnvironment
from kinemill.policies.environments.legged.body import Body
from kinemill.policies.environments.legged.clips import Pose
from kinemill.policies.motion.gait_reference import GaitReference
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from kinemill.task import Task

SEED = 7_000_000  # of the first trial, apart from those of the tasks
CHANGE_EVERY = 4.0  # s between two commands
_AT_ONCE = 10  # trials; building an environment takes seconds
Error = Callable[[Any, float], float]  # of an environment and a phase, rad


@dataclass(frozen=True)
class Tracked:
    """Results of trials.

    Attributes:
        trials: number of them.
        lasted: mean share of the episode until the robot fell or left its clip.
        survived: share of trials that lasted to the end.
        success: share of trials that the environment calls a success.
        velocity: distance of the mean velocity to the command, m/s, mean over survivors; None for
            clips.
        joints: deviation of the joints from the reference, rad, mean over all joints and steps.
    """

    trials: int
    lasted: float
    survived: float
    success: float
    velocity: float | None
    joints: float


class OtherPhysics(LeggedEnvironment):
    """A legged robot with half the time step and another solver."""

    def body(self) -> Body:
        """Return the body with another solver."""
        body = super().body()
        body.model.opt.timestep = 0.5 * body.step
        body.model.opt.solver = mujoco().mjtSolver.mjSOL_CG
        return replace(body, step=0.5 * body.step)


def transfers(task: Task) -> dict[str, Task]:
    """Return the task in other physics, by name."""
    environment = task.environment
    assert environment is not None
    changed: dict[str, Any] = {
        "half time step, CG solver": OtherPhysics.model_construct(**dict(environment))
    }
    for parameter in ("mass", "friction"):
        for factor in (0.8, 1.2):
            changed[f"{parameter} × {factor}"] = _fixed(task, parameter, factor).environment
    return {name: task.model_copy(update={"environment": own}) for name, own in changed.items()}


def late_and_noisy(task: Task) -> dict[str, Task]:
    """Return the task with actions one time step late, and with noise on the observations."""
    return {name: _fixed(task, name, 1.0) for name in ("latency", "noise")}


def _fixed(task: Task, parameter: str, value: float) -> Task:
    """Return the task with one parameter of its environment that is not drawn."""
    environment = task.environment
    assert environment is not None
    ends = {**environment.randomize, parameter: (value, value)}
    return task.model_copy(
        update={"environment": environment.model_copy(update={"randomize": ends})}
    )


def with_changing_commands(task: Task) -> Task | None:
    """Return the task with commands that change within an episode; None: it tracks clips."""
    environment = task.environment
    assert isinstance(environment, LeggedEnvironment)
    if environment.clips:
        return None
    changed = environment.model_copy(update={"command_every": CHANGE_EVERY})
    return task.model_copy(update={"environment": changed})


class OpenLoop:
    """The reference at the advancing phase, with the interface of an exported policy."""

    def __init__(self, module: TrackingPolicy) -> None:
        self._module = module

    def initial_carry(self, batch: int) -> list[NDArray[np.float32]]:
        """Return phase and motion before the first step."""
        return [np.zeros((batch, 1), np.float32) for _ in range(2)]

    def step(self, inputs: Mapping[str, Any], carry: Any) -> tuple[Any, Any]:
        """Return the reference one step later (B, J), and the carry."""
        import torch

        observation = torch.from_numpy(inputs["observation"])
        phase, motion = (torch.from_numpy(own) for own in carry)
        family = self._module.family
        with torch.no_grad():
            latent, phase, motion = self._module.locate(observation, phase, motion)
            phase = family.advance(phase, latent)
            target = family.bounded_targets(family.curve(phase, latent)[:, 0])
        return target.numpy(), [phase.numpy(), motion.numpy()]


def clip_error(core: Any, phase: float) -> float:
    """Return the mean deviation of a robot's joints from its clip, rad."""
    del phase  # that of a clip is the time since its start
    robots = core.robots
    pose: Pose = core.clips.at((robots.steps - robots.since).astype(float), [core.clip])
    return _deviation(core, pose)


def gait_error(reference: GaitReference, core: Any, phase: float) -> float:
    """Return the mean deviation of a robot's joints from its gait, rad."""
    return _deviation(core, reference.at(np.array([phase]), [0]))


def _deviation(core: Any, pose: Pose) -> float:
    return float(np.abs(core.robots.position[0, 7:] - pose.joints[0]).mean())


def run_trials(task: Task, policy: Any, trials: int, *, off: Error) -> Tracked:
    """Run seeded trials of a policy, some at a time."""
    environments = [make_environment(task) for _ in range(min(_AT_ONCE, trials))]
    rows = list[list[float]]()
    for first in range(0, trials, _AT_ONCE):
        seeds = range(SEED + first, SEED + min(first + _AT_ONCE, trials))
        rows += _run_together(task, policy, environments[: len(seeds)], seeds, off)
    for own in environments:
        own.close()
    values = np.array(rows)
    lasted, survived, success, speed, joints = values.T
    is_clip = bool(getattr(task.environment, "clips", []))
    is_alive = survived > 0.0
    return Tracked(
        trials=trials,
        lasted=float(lasted.mean()),
        survived=float(survived.mean()),
        success=float(success.mean()),
        velocity=None if is_clip or not is_alive.any() else float(speed[is_alive].mean()),
        joints=float(joints.mean()),
    )


def _run_together(
    task: Task, policy: Any, environments: list[Any], seeds: Iterable[int], off: Error
) -> list[list[float]]:
    """Return share lasted, survival, success, velocity error and joint error of each episode."""
    count = len(environments)
    observations = [own.reset(seed=seed)[0] for own, seed in zip(environments, seeds, strict=True)]
    carry = policy.initial_carry(count)
    is_over, has_failed, success = (np.zeros(count, bool) for _ in range(3))
    steps, deviation = np.zeros(count), np.zeros(count)
    while not is_over.all():
        actions, carry = policy.step({"observation": np.stack(observations)}, carry)
        for index in np.flatnonzero(~is_over):
            own = environments[index]
            observations[index], _, failed, cut, info = own.step(actions[index])
            steps[index] += 1
            deviation[index] += off(own.unwrapped, float(carry[0][index, 0]))
            has_failed[index], is_over[index] = failed, failed or cut
            success[index] = info["is_success"]
    cores: list[Any] = [own.unwrapped for own in environments]
    limit = task.environment.steps if task.environment else None
    length = limit or int(cores[0].clips.ends[0])
    speed = [float(core.robots.speed_error()[0]) for core in cores]
    lasted = np.minimum(1.0, steps / length)
    return np.stack([lasted, ~has_failed, success, speed, deviation / steps], axis=1).tolist()
