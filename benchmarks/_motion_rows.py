"""Robots that track gaits and clips in physics: the rows of the second table of `prove_motion`.

Each row has a home of its own under `var/prove/`, or PROVE_HOME. Its training resumes from the last
checkpoint, and its results are read again where they exist. The exported file acts in all trials.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import ROOT
from benchmarks._clips import task_text, write_clip
from benchmarks._onboard import Onboard, build_onboard
from benchmarks.prove_motion import CLIPS, HOMES, data_of
from kinemill.draft.motion import build_motion
from kinemill.draft.own_logs import check_own_logs
from kinemill.draft.robot_file import read_robot
from kinemill.environments import make_environment
from kinemill.environments.kinds.legged import LeggedEnvironment
from kinemill.environments.legged.body import Body
from kinemill.environments.legged.clips import Pose
from kinemill.export.policy import describe, write_policy
from kinemill.motion.gait_reference import GaitReference
from kinemill.motion.tracking_policy import TrackingPolicy
from kinemill.runtime import Policy, load
from kinemill.runtime.integrity import POLICY
from kinemill.sim import mujoco
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.task.export import Export
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.demonstrations import Demonstrations

ROBOTS = ROOT.parent / "shared" / "data" / "awd_robots"
Floats = NDArray[np.float64]

_OF_CLIP, _OF_GAIT = 250_000, 6_000_000
STEPS = {
    **dict.fromkeys(("squat", "wave", "crouch"), _OF_CLIP),
    **dict.fromkeys(("go_bdx", "mini_bdx"), _OF_GAIT),
}
SEED = 7_000_000  # of the first trial, apart from those of the tasks
CLIP_RATE, CLIP_SECONDS = 30, 8.0  # Hz, s
_AT_ONCE = 25  # trials
_TRANSFER_TRIALS = 50


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


@dataclass(frozen=True)
class PhysicsRow:
    """One row of the table.

    Attributes:
        name: of the row.
        steps: of the training's environments up to the best policy.
        minutes: of the training, in all runs together.
        policy: results of the exported policy.
        open_loop: those of the reference without corrections.
        transfer: those of the policy in other physics, by name.
        onboard: share of trials that the C++ example with the policy's C code survived, from the
            first of the same starts; None: not run.
    """

    name: str
    steps: int
    minutes: float
    policy: Tracked
    open_loop: Tracked
    transfer: dict[str, Tracked] = field(default_factory=dict[str, Tracked])
    onboard: float | None = None

    @classmethod
    def read(cls, path: Path) -> "PhysicsRow":
        """Read a row that was written before."""
        content: dict[str, Any] = json.loads(path.read_text())
        for name in ("policy", "open_loop"):
            content[name] = Tracked(**content[name])
        content["transfer"] = {name: Tracked(**own) for name, own in content["transfer"].items()}
        return cls(**content)

    def line(self) -> str:
        """Return the row of the table."""
        one, velocity = self.policy, self.policy.velocity
        worst = min(self.transfer.items(), key=lambda own: own[1].survived)
        lost = 100.0 * (one.survived - worst[1].survived)
        return (
            f"| {self.name} | {self.steps:,} in {self.minutes:.0f} min | **{one.lasted:.1%}** | "
            f"{one.survived:.0%} | {one.success:.0%} | "
            f"{'' if velocity is None else f'{velocity:.3f}'} | {one.joints:.3f} | "
            f"{self.open_loop.lasted:.1%} | {lost:+.0f} ({worst[0]}) | "
            f"{'' if self.onboard is None else f'{self.onboard:.0%}'} |"
        )


HEAD = [
    "| row | steps | lasted | survived | success | velocity error, m/s | joint error, rad | "
    "open loop lasted | largest loss of survival in changed physics, points | survived, C++ |",
    "|---|---|---|---|---|---|---|---|---|---|",
]


class OtherPhysics(LeggedEnvironment):
    """A legged robot with half the time step and another solver."""

    def body(self) -> Body:
        """Return the body with another solver."""
        body = super().body()
        body.model.opt.timestep = 0.5 * body.step
        body.model.opt.solver = mujoco().mjtSolver.mjSOL_CG
        return replace(body, step=0.5 * body.step)


def prove_row(name: str, steps: int | None, trials: int) -> PhysicsRow:
    """Train and evaluate one row, or read its results.

    Args:
        name: one of `STEPS`.
        steps: of the training; None: that of `STEPS`.
        trials: of the exported policy.
    """
    budget = steps or STEPS[name]
    root = HOMES / f"motion-physics-{name}-{budget}"
    path = root / f"row-{trials}.json"
    if path.is_file():
        return PhysicsRow.read(path)
    root.mkdir(parents=True, exist_ok=True)
    make = _robot_task if name.endswith("_bdx") else _clip_task
    task, logs = make(name, root, budget)
    home = Home(root)
    refs = data_of(task, home, logs)
    began = time.perf_counter()
    model = train.run(task, home, *refs, (NullReporter(), _Printer(name)))
    minutes = _add_minutes(root, (time.perf_counter() - began) / 60.0)
    module = load_model(home.root / model.ref.path)
    assert isinstance(module, TrackingPolicy)
    policy, onboard = _export(module, task, refs[0].digest, root)
    test, off = task, clip_error
    if name.endswith("_bdx"):
        test, off = _held_out(task, home, refs[0], module)
    run = partial(run_trials, off=off)
    open_loop = _OpenLoop(module)
    row = PhysicsRow(
        name,
        int(model.summary["best_step"]),
        minutes,
        run(test, policy, trials),
        run(test, open_loop, min(trials, _TRANSFER_TRIALS)),
        {
            other: run(changed, policy, min(trials, _TRANSFER_TRIALS))
            for other, changed in _transfers(test).items()
        },
        run_trials(test, onboard, min(trials, _AT_ONCE), off=lambda *_: 0.0).survived,
    )
    onboard.close()
    path.write_text(json.dumps(asdict(row)))
    return row


def _export(module: TrackingPolicy, task: Task, dataset: str, root: Path) -> tuple[Policy, Onboard]:
    """Return the exported policy, and the C++ example with its C code."""
    folder, environment = root / "export", task.environment
    assert isinstance(environment, LeggedEnvironment)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    servos = {"servos": environment.servos()}
    interface = describe(module, task.name, dataset)
    write_policy(module, interface, folder, Export(c99=True), more=servos)
    policy = load(folder / POLICY)
    assert isinstance(policy, Policy)
    return policy, Onboard(build_onboard(folder, root / "onboard"))


class _Printer(NullReporter):
    """Prints what a training reports."""

    def __init__(self, name: str) -> None:
        self._name = name

    def log_message(self, message: str) -> None:
        """Print a message."""
        print(f"{self._name}: {message}", flush=True)


def _add_minutes(root: Path, minutes: float) -> float:
    """Add to the minutes of earlier runs, and return the sum."""
    path = root / "minutes.json"
    total = minutes + (float(json.loads(path.read_text())) if path.is_file() else 0.0)
    path.write_text(json.dumps(total))
    return total


def _robot_task(name: str, root: Path, steps: int) -> tuple[Task, Path]:
    """Draft the task of a robot and its published clips, with the defaults of `kinemill new`."""
    path = root / f"{name}.yaml"
    robot = read_robot(ROBOTS / name / "scene.xml")
    path.write_text(check_own_logs(build_motion(name, CLIPS, None, robot)).text)
    task = load_task(path)
    commands: Any = getattr(task.environment, "commands", None)
    if commands is None:
        raise ValueError(f"{path}: the draft has no physics; see its remarks")
    return load_task(path, {"learn.physics": {"steps": steps}}), CLIPS


def _held_out(task: Task, home: Home, dataset: Any, module: TrackingPolicy) -> tuple[Task, "Error"]:
    """Return the task under the command of the test clip, and the error of gaits."""
    data = Demonstrations.open(home, dataset)
    names = ["command_x", "command_y", "command_yaw"]
    observed = data.observed(names)
    (test, *_) = data.packed.of("test")
    command = observed[test.start : test.stop].astype(float).mean(axis=0)
    environment = task.environment
    assert isinstance(environment, LeggedEnvironment)
    own = environment.model_copy(update={"commands": [tuple(command.tolist())]})
    family: Any = module.family
    reference = GaitReference(family, command[None], environment.body())
    print(f"{task.name}: held-out command {command.round(3).tolist()} of {test.name}")
    return task.model_copy(update={"environment": own}), partial(gait_error, reference)


def clip_task(name: str, root: Path, settings: str) -> Path:
    """Write a clip of amp_humanoid and its task; return the task file.

    Args:
        name: squat, wave or crouch.
        root: an existing folder.
        settings: lines of `learn.physics`, indented by four spaces.
    """
    robot = ROBOTS / "amp_humanoid.xml"
    joints = list(read_robot(robot).joints)
    folder = root / "clips"
    folder.mkdir(exist_ok=True)
    write_clip(
        folder / f"{name}.json", humanoid_clip(name, joints), CLIP_RATE,
        Vel_x=0.0, Vel_y=0.0, Yaw=0.0,
    )  # fmt: skip
    lines = f"""
dataset: {{test: [{{rows: [200, null]}}], validation: {{tail: 0.2}}}}
learn:
  type: motion
  physics:
{settings.strip(chr(10))}
environment:
  type: legged
  robot: {robot}
  clips: [clips/{name}.json]
  randomize: {{friction: [0.8, 1.2], mass: [0.9, 1.1]}}
  trials: {{episodes: 50, n_eval_episodes: 16}}
"""
    path = root / f"{name}.yaml"
    path.write_text(task_text(name, joints, 1.0 / CLIP_RATE, lines))
    return path


def _clip_task(name: str, root: Path, steps: int) -> tuple[Task, Path]:
    every = min(50_000, steps)
    settings = f"""
    algorithm: {{type: ppo, n_steps: 64, n_epochs: 5, gamma: 0.98}}
    num_envs: 64
    batch_size: 1024
    steps: {steps}
    eval_every: {every}
    save_every: {every}
    patience: 2
"""
    return load_task(clip_task(name, root, settings)), root / "clips"


def humanoid_clip(name: str, joints: list[str]) -> dict[str, Floats]:
    """Return joint angles (n,), rad: a squat, a wave of the right arm, or getting up from a crouch.

    Raises:
        ValueError: The clip is unknown.
    """
    t = np.arange(0.0, CLIP_SECONDS, 1.0 / CLIP_RATE)
    angles = {joint: np.zeros_like(t) for joint in joints}
    if name == "wave":
        up = _eased(t, 0.5, 1.5) - _eased(t, 4.5, 5.5)
        angles["right_shoulder_x"] = -2.2 * up
        angles["right_elbow"] = -up * (0.8 + 0.5 * np.sin(2.0 * np.pi * 1.5 * t))
        return angles
    bends = {
        "squat": _eased(t, 0.5, 2.5) - _eased(t, 3.5, 5.5),
        "crouch": 1.0 - _eased(t, 1.0, 3.0),
    }
    if name not in bends:
        raise ValueError(name)
    bend = bends[name]
    angles["abdomen_y"] = 0.2 * bend
    for side in ("left", "right"):
        angles[f"{side}_hip_y"], angles[f"{side}_ankle_y"] = -0.9 * bend, -0.9 * bend
        angles[f"{side}_knee"], angles[f"{side}_shoulder_y"] = 1.8 * bend, -0.6 * bend
    return angles


def _eased(t: Floats, start: float, stop: float) -> Floats:
    """Return a minimum-jerk step from 0 to 1: (n,) s -> (n,)."""
    x = np.clip((t - start) / (stop - start), 0.0, 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x * x)


def _transfers(task: Task) -> dict[str, Task]:
    """Return the task in other physics, by name."""
    environment = task.environment
    assert environment is not None
    changed: dict[str, Any] = {
        "half time step, CG solver": OtherPhysics.model_construct(**dict(environment))
    }
    for parameter in ("mass", "friction"):
        for factor in (0.8, 1.2):
            ends = {**environment.randomize, parameter: (factor, factor)}
            changed[f"{parameter} × {factor}"] = environment.model_copy(update={"randomize": ends})
    return {name: task.model_copy(update={"environment": own}) for name, own in changed.items()}


class _OpenLoop:
    """The reference at the advancing phase, with the interface of an exported policy."""

    def __init__(self, module: TrackingPolicy) -> None:
        self._family, self._command = module.family, slice(-3, None)
        self._joints = slice(7, 7 + len(module.layout.actions))

    def initial_carry(self, batch: int) -> list[NDArray[np.float32]]:
        """Return the phase, which is unknown."""
        return [np.full((batch, 1), np.nan, np.float32)]

    def step(self, inputs: Mapping[str, Any], carry: Any) -> tuple[Any, Any]:
        """Return the reference one step later (B, J), and the phase."""
        import torch

        observation = torch.from_numpy(inputs["observation"])
        with torch.no_grad():
            latent = self._family.expected_latent(observation[:, self._command])
            first = self._family.phase_of(observation[:, self._joints], latent)
            phase = torch.from_numpy(carry[0])
            phase = self._family.advance(torch.where(phase.isnan(), first, phase), latent)
            target = self._family.bounded_targets(self._family.curve(phase, latent)[:, 0])
        return target.numpy(), [phase.numpy()]


Error = Callable[[Any, float], float]  # of an environment and a phase, rad


def clip_error(core: Any, phase: float) -> float:
    """Return the mean deviation of a robot's joints from its clip, rad."""
    del phase  # it starts with the episode
    pose: Pose = core.clips.at(core.robots.steps[:1].astype(float), [0])
    return _deviation(core, pose)


def gait_error(reference: GaitReference, core: Any, phase: float) -> float:
    """Return the mean deviation of a robot's joints from its gait, rad."""
    return _deviation(core, reference.at(np.array([phase]), [0]))


def _deviation(core: Any, pose: Pose) -> float:
    return float(np.abs(core.robots.position[0, 7:] - pose.joints[0]).mean())


def run_trials(task: Task, policy: Any, trials: int, *, off: Error) -> Tracked:
    """Run seeded trials of a policy, some at a time.

    Args:
        task: with the environment.
        policy: with `initial_carry` and `step`, such as an exported one.
        trials: number of them.
        off: deviation of a robot from its reference.
    """
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
