"""A biped that learns to walk from clips, in physics: `make prove-walker`, some 15 min on 2 cores.

Trains `plugins/kinemill-walker/tasks/walker.yaml` in a home under `prove/` of KINEMILL_HOME, and
resumes from the last checkpoint. PHYSICS changes the training, such as
`PHYSICS='{"num_envs": 4096}'` for MuJoCo Warp on a GPU. Evaluates the best policy on the task's
trials, with two references: the gait played back open loop, and standing still, which must fail.

A machine without the clips uses the dataset of a home that `--prepare` made on another one.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from benchmarks import ROOT, _proof
from benchmarks.prove_motion import CLIPS, data_of
from kinemill.policies.environments import make_environment
from kinemill.policies.motion.gait_reference import GaitReference
from kinemill.policies.motion.gait_setup import fit_family, make_policy, scale_of, select_clips
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import ArtifactRef
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.demonstrations import Demonstrations

WALKER = ROOT / "plugins" / "kinemill-walker" / "tasks" / "walker.yaml"
PHYSICS = json.loads(os.environ.get("PHYSICS", "{}"))  # changes of `learn.physics`
PREPARED = "prepared.json"  # references of the dataset and its training set


class Walker(Protocol):
    """What walks: phase of the gait it is in, and targets from what is observed."""

    phase: float

    def begin(self, observation: Any) -> None:
        """Begin an episode."""
        ...

    def act(self, observation: Any) -> Any:
        """Return targets (10,), rad."""
        ...


class Playing:
    """Plays the gait back, whatever happens; with `still`, it stands instead."""

    def __init__(self, reference: GaitReference, *, still: bool = False) -> None:
        self._reference, self._still, self.phase = reference, still, 0.0

    def begin(self, observation: Any) -> None:
        """Begin where the gait is nearest."""
        self.phase = self._reference.nearest_phase(observation[7:17], observation[27:30])
        self._stance = observation[7:17].copy()

    def act(self, observation: Any) -> Any:
        """Return the gait at the next phase."""
        self.phase += self._reference.phase_step
        if self._still:
            return self._stance
        return joints_at(self._reference, self.phase, observation)


class Learned:
    """A policy."""

    def __init__(self, policy: TrackingPolicy) -> None:
        self._policy, self.phase = policy, 0.0

    def begin(self, observation: Any) -> None:
        """Forget the episode before."""
        del observation
        self._carry = self._policy.initial_carry(1)

    @torch.no_grad()
    def act(self, observation: Any) -> Any:
        """Return what the policy says."""
        target, *self._carry = self._policy(torch.from_numpy(observation)[None], *self._carry)
        self.phase = float(self._carry[0])
        return target[0].numpy()


def joints_at(reference: GaitReference, phase: float, observation: Any) -> Any:
    """Return the joints of the gait that is commanded, (10,) rad."""
    which = [reference.row_of(observation[27:30])]
    return reference.at(np.array([phase]), which).joints[0]


@dataclass(frozen=True)
class Walk:
    """Means over trials.

    Attributes:
        seconds: until it fell, or the episode was cut off.
        velocity: m/s that the mean velocity is off the command; of the trials that took 2 s.
        joints: rad that joints are off the gait, mean over joints and time.
        success: share that stood to the end at the velocity commanded.
    """

    seconds: float
    velocity: float
    joints: float
    success: float


def evaluate(task: Task, walker: Walker, reference: GaitReference, trials: int) -> Walk:
    """Try something that walks, from the starts of the task's own trials."""
    environment, results = make_environment(task), list[list[float]]()
    core: Any = environment.unwrapped
    assert task.environment is not None
    for seed in range(task.environment.trials.seed, task.environment.trials.seed + trials):
        observation, _ = environment.reset(seed=seed)
        walker.begin(observation)
        off, over, info = list[float](), False, dict[str, Any]()
        while not over:
            observation, _, fell, cut, info = environment.step(walker.act(observation))
            gait = joints_at(reference, walker.phase, observation)
            off.append(float(np.abs(observation[7:17] - gait).mean()))
            over = fell or cut
        speed = float(core.robots.speed_error()[0])
        results.append([len(off) * task.dt, speed, float(np.mean(off)), float(info["is_success"])])
    return Walk(*(float(value) for value in np.mean(results, axis=0)))


def prepared() -> tuple[Task, Home, tuple[ArtifactRef, ArtifactRef]]:
    """Return the task, its home, and references of dataset and training set."""
    task = load_task(WALKER, {f"learn.physics.{key}": value for key, value in PHYSICS.items()})
    home = Home(_proof.results_folder("walker"))
    path = home.root / PREPARED
    if CLIPS.is_dir():
        path.write_text(json.dumps([ref.to_json() for ref in data_of(task, home, CLIPS)]))
    elif not path.is_file():
        sys.exit(f"{CLIPS}, the folder of clips, and {path} are missing")
    dataset, training_set = (ArtifactRef.from_json(ref) for ref in json.loads(path.read_text()))
    return task, home, (dataset, training_set)


def reference_for(task: Task, data: Any) -> GaitReference:
    """Return the gaits of a task's clips."""
    learn: Any = task.learn
    about = learn.describe(task, data)
    clips = select_clips(learn, task, data[1], "train")
    family = make_policy(about)
    assert family.layout == PolicyLayout.from_json(about["layout"])
    family.load_gaits(fit_family(learn, task, clips)[0], scale_of(clips))
    environment: Any = make_environment(task).unwrapped
    return GaitReference(family.eval(), clips.mean_commands(), environment.robots.body)


def main() -> None:
    """Train, evaluate, and rewrite the section `walker` of docs/results-*.md."""
    torch.set_num_threads(1)
    task, home, refs = prepared()
    if "--prepare" in sys.argv[1:]:
        return
    began = time.perf_counter()
    model = train.run(task, home, *refs, (NullReporter(), NullReporter()))
    print(f"trained for {time.perf_counter() - began:.0f} s in this run")
    data = tuple(Demonstrations.open(home, ref) for ref in refs)
    reference, policy = reference_for(task, data), load_model(home.root / model.ref.path)
    steps = int(model.summary["best_step"])
    trials = int(os.environ.get("TRIALS", "50"))
    rows = {
        f"policy after {steps:,} steps": evaluate(task, Learned(policy), reference, trials),
        "open-loop gait": evaluate(task, Playing(reference), reference, trials),
        "standing still": evaluate(task, Playing(reference, still=True), reference, trials),
    }
    head = ["policy", "standing time, s", "velocity error, m/s", "joint error, rad", "success"]
    lines = list[list[str]]()
    for name, one in rows.items():
        figures = f"{one.seconds:.2f}", f"{one.velocity:.3f}", f"{one.joints:.3f}"
        lines.append([name, *figures, f"{one.success:.0%}"])
    _proof.write("walker", _proof.table(head, lines))
    print(json.dumps({name: vars(one) for name, one in rows.items()}))


if __name__ == "__main__":
    main()
