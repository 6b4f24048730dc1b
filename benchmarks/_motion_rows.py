"""Robots that track gaits and clips in physics: the rows of the second table of `prove_motion`.

Each row has its own home under `prove/` of KINEMILL_HOME. Its training resumes from the last
checkpoint, and existing results are reused. The exported file acts in all trials.
"""

import json
import shutil
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import ROOT, _proof
from benchmarks._clips import CLIP_RATE, humanoid_clip, task_text, write_clip
from benchmarks._motion_trials import (
    CHANGE_EVERY,
    Error,
    OpenLoop,
    Tracked,
    clip_error,
    gait_error,
    late_and_noisy,
    run_trials,
    transfers,
    with_changing_commands,
)
from benchmarks._onboard import Onboard, build_onboard
from benchmarks.prove_motion import CLIPS, data_of
from kinemill.draft.draft_check import check_draft
from kinemill.draft.motion import build_motion
from kinemill.draft.robot_file import read_robot
from kinemill.export.policy import describe, write_policy
from kinemill.policies.environments.kinds.legged import LeggedEnvironment
from kinemill.policies.motion.gait_reference import GaitReference
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from kinemill.runtime import Policy, load
from kinemill.runtime.integrity import POLICY
from kinemill.store import publish_document, read_document
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.task.export import Export
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.demonstrations import Demonstrations

ROBOTS = ROOT.parent / "shared" / "data" / "awd_robots"
Floats = NDArray[np.float64]

STEPS = {
    **dict.fromkeys(("squat", "wave", "crouch", "switch"), 2_000_000),
    "go_bdx": 10_000_000,  # of 1/60 s
    "mini_bdx": 3_000_000,  # of 1/30 s
}
# Longer steps of the physics than in the file: the light robot with stiff servos, mini_bdx, would
# move differently.
_TRAINING_STEP = {"go_bdx": 0.0042}
_EVERY = {"go_bdx": 1_000_000, "mini_bdx": 250_000}  # steps between evaluations
_CLIPS_OF = {"switch": ("squat", "wave")}  # of rows with several; others are one clip
SWITCH_SECONDS = 32.0  # of an episode that changes between clips: four of them
# Factors of the commands of the training clips. The test clip of go_bdx is faster than all of them.
# Robots that are not listed train on ranges, symmetric about zero, that contain those commands.
SPEEDS = {"go_bdx": (1.0, 1.25, 1.5)}
_MIRRORED = {"go_bdx"}  # robots with commands to the other side, as in the mirrored clips
_TRANSFER_TRIALS, _ONBOARD_TRIALS = 50, 25


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
        sensing: those of the policy with a late action and with noise of the sensors, by name.
        changed_commands: those of the policy under commands that change; None: clips.
        onboard: share of trials that the C++ example with the policy's C code survived, from the
            first of the same starts; None: not run.
    """

    name: str
    steps: int
    minutes: float
    policy: Tracked
    open_loop: Tracked
    transfer: dict[str, Tracked] = field(default_factory=dict[str, Tracked])
    sensing: dict[str, Tracked] = field(default_factory=dict[str, Tracked])
    changed_commands: Tracked | None = None
    onboard: float | None = None

    def cells(self) -> list[str]:
        """Return the row of the table."""
        one, velocity = self.policy, self.policy.velocity
        worst, fewest = min(self.transfer.items(), key=lambda own: own[1].survived)
        changed = self.changed_commands
        return [
            self.name,
            f"{self.steps:,} in {self.minutes:.0f} min",
            f"**{one.lasted:.1%}**",
            f"{one.survived:.0%}",
            f"{one.success:.0%}",
            "" if velocity is None else f"{velocity:.3f}",
            f"{one.joints:.3f}",
            f"{self.open_loop.lasted:.1%}",
            f"{100.0 * (one.survived - fewest.survived):+.0f} ({worst})",
            ", ".join(f"{own.survived:.0%}" for own in self.sensing.values()),
            "" if changed is None else f"{changed.survived:.0%}",
            "" if self.onboard is None else f"{self.onboard:.0%}",
        ]


HEAD = ["row", "steps", "lasted", "survived", "success", "velocity error, m/s", "joint error, rad"]
HEAD += ["open loop lasted", "largest loss of survival in changed physics, points"]
HEAD += ["survived, latency, noise", "survived, commands that change", "survived, C++"]


def prove_row(name: str, steps: int | None, trials: int) -> PhysicsRow:
    """Train and evaluate one row, or read its results.

    Args:
        name: one of `STEPS`.
        steps: of the training; None: that of `STEPS`.
        trials: of the exported policy.
    """
    budget = steps or STEPS[name]
    root = _proof.results_folder(f"motion-physics-{name}-{budget}")
    path = root / f"row-{trials}.json"
    if path.is_file():
        return read_document(path, PhysicsRow)
    root.mkdir(parents=True, exist_ok=True)
    make = _robot_task if name.endswith("_bdx") else _clip_task
    task, logs = make(name, root, budget)
    home = Home(root)
    refs = data_of(task, home, logs)
    held_out = _test_command(task, home, refs[0]) if name.endswith("_bdx") else None
    if held_out is not None:
        task = _without_command(task, held_out)
    began = time.perf_counter()
    model = train.run(task, home, *refs, (NullReporter(), _Printer(name)))
    minutes = _add_minutes(root, (time.perf_counter() - began) / 60.0)
    module = load_model(home.root / model.ref.path)
    assert isinstance(module, TrackingPolicy)
    policy, onboard = _export(module, task, refs[0].digest, root)
    test, off = task, clip_error
    if held_out is not None:
        test, off = _held_out(task, held_out, module)
    run, fewer = partial(run_trials, off=off), min(trials, _TRANSFER_TRIALS)
    without = partial(run_trials, off=lambda *_: 0.0)
    changing = with_changing_commands(task)
    row = PhysicsRow(
        name,
        int(model.summary["best_step"]),
        minutes,
        policy=run(test, policy, trials),
        open_loop=run(test, OpenLoop(module), min(fewer, _ONBOARD_TRIALS)),
        transfer={n: run(own, policy, fewer) for n, own in transfers(test).items()},
        sensing={n: run(own, policy, fewer) for n, own in late_and_noisy(test).items()},
        changed_commands=without(changing, policy, fewer) if changing else None,
        onboard=without(test, onboard, min(trials, _ONBOARD_TRIALS)).survived,
    )
    onboard.close()
    publish_document(path, row)
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
    path.write_text(check_draft(build_motion(name, CLIPS, None, robot)).text)
    task = load_task(path)
    commands: Any = getattr(task.environment, "commands", None)
    if commands is None:
        raise ValueError(f"{path}: the draft has no physics; see its remarks")
    every = min(steps, _EVERY[name])
    settings = {
        "learn.physics.steps": steps,
        "learn.physics.eval_every": every,
        "learn.physics.save_every": every,
        "environment.training_step": _TRAINING_STEP.get(name),
        "environment.trials.n_eval_episodes": 16,
    }
    return load_task(path, settings), CLIPS


def _test_command(task: Task, home: Home, dataset: Any) -> Floats:
    """Return the mean command (3,) of the test clip."""
    data = Demonstrations.open(home, dataset)
    observed = data.observed(["command_x", "command_y", "command_yaw"])
    (test, *_) = data.packed.of("test")
    command = observed[test.start : test.stop].astype(float).mean(axis=0)
    print(f"{task.name}: held-out command {command.round(3).tolist()} of {test.name}")
    return command


def _without_command(task: Task, held_out: Floats) -> Task:
    """Return the task with the commands of the training clips, also slower or faster.

    A draft lists the command of the test clip with the others. The clips of go_bdx leave no slower
    and faster commands than those of the training clips to interpolate between.
    """
    environment = task.environment
    assert isinstance(environment, LeggedEnvironment)
    all_commands = np.array(environment.commands)
    own = all_commands[np.abs(all_commands - held_out).max(axis=1) > 0.02]
    assert len(own) == len(all_commands) - 1, "the draft rounds commands to 0.01"
    if task.name in _MIRRORED:
        own = np.concatenate([own, own * [1.0, -1.0, -1.0]])
    if task.name in SPEEDS:
        scaled = np.concatenate([factor * own for factor in SPEEDS[task.name]])
        commands = [tuple(command) for command in scaled.round(4).tolist()]
    else:
        most = np.abs(own).max(axis=0).tolist()
        commands = [tuple((-one, one) for one in most)]
    changed = environment.model_copy(update={"commands": commands})
    return task.model_copy(update={"environment": changed})


def _held_out(task: Task, command: Floats, module: TrackingPolicy) -> tuple[Task, "Error"]:
    """Return the task under the command of the test clip, and the error of gaits."""
    environment = task.environment
    assert isinstance(environment, LeggedEnvironment)
    own = environment.model_copy(update={"commands": [tuple(command.tolist())]})
    family: Any = module.family
    reference = GaitReference(family, command[None], environment.body())
    return task.model_copy(update={"environment": own}), partial(gait_error, reference)


def clip_task(name: str, root: Path, settings: str) -> Path:
    """Write a clip of amp_humanoid and its task; return the task file.

    `settings` are lines of `learn.physics`, indented by four spaces.
    """
    robot = ROBOTS / "amp_humanoid.xml"
    joints = list(read_robot(robot).joints)
    folder, clips = root / "clips", _CLIPS_OF.get(name, (name,))
    folder.mkdir(exist_ok=True)
    for index, clip in enumerate(clips):
        path, angles = folder / f"{clip}.json", humanoid_clip(clip, joints)
        # The command selects the clip.
        write_clip(path, angles, CLIP_RATE, Vel_x=0.0, Vel_y=0.0, Yaw=float(index))
    lines = f"""
dataset: {{test: [{{rows: [200, null]}}], validation: {{tail: 0.2}}}}
learn:
  type: motion
  physics:
{settings.strip(chr(10))}
environment:
  type: legged
  robot: {robot}
  clips: [{", ".join(f"clips/{clip}.json" for clip in clips)}]
  randomize: {{friction: [0.7, 1.3], mass: [0.75, 1.25], latency: [0, 1], noise: [0, 1]}}
  trials: {{episodes: 50, n_eval_episodes: 16}}
"""
    if len(clips) > 1:
        lines += f"  command_every: {CHANGE_EVERY}\n  steps: {round(SWITCH_SECONDS * CLIP_RATE)}\n"
    path = root / f"{name}.yaml"
    path.write_text(task_text(name, joints, 1.0 / CLIP_RATE, lines))
    return path


def _clip_task(name: str, root: Path, steps: int) -> tuple[Task, Path]:
    every = min(200_000, steps)
    settings = f"""
    algorithm: {{type: ppo, n_steps: 64, n_epochs: 5, gamma: 0.98}}
    num_envs: 64
    batch_size: 1024
    steps: {steps}
    eval_every: {every}
    save_every: {every}
"""
    return load_task(clip_task(name, root, settings)), root / "clips"
