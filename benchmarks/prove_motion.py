"""Policies from reference clips, on held-out clips and commands: `make prove-motion`.

The row `gaits`, without physics: for each robot and seed the chain up to `train` runs in a
separate home under `prove/` of KINEMILL_HOME. The policy continues from its own output for 25
rows from every row of the held-out clip, and for 1,000 rows from the first one. The reference is a
linear model with the same history, fitted on the same training clips.

The other rows are robots in physics from their own models, see `_motion_rows`: `go_bdx` and
`mini_bdx` walk under a held-out command. `squat`, `wave` and `crouch` are acyclic clips of
amp_humanoid; `switch` changes between two of them by command. An interrupted row resumes;
`--row NAME` selects one.
"""

import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import EXAMPLES, _proof, replace_section
from kinemill.api.dataset import make_dataset
from kinemill.augment import stage as augment
from kinemill.policies.motion.gait_rollout import (
    EVALUATION_ROWS,
    LinearGait,
    rollout,
    rollout_from_history,
    windows,
)
from kinemill.store import ArtifactRef, publish_document, read_document
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.demonstrations import Demonstrations

CLIPS = _proof.DATA / "awd_motion"
SEEDS = range(int(os.environ.get("SEEDS", "3")))
TASKS = ("go_bdx", "mini_bdx")
TRIALS = 100  # in physics
LONG = 1000  # rows of its own output


@dataclass(frozen=True)
class Walk:
    """What came of one policy on the held-out clip; errors are means over joints, rad.

    Attributes:
        policy: error over 25 rows of its own output.
        linear: the same of the linear model.
        stays: the same of a robot that stays where it is.
        long_finite: whether 1,000 rows of its own output are all finite.
        long_range: the range of a joint over the last 200 of them, over the widest of all clips;
            that of the joint where it is most.
        long_error: of the last 200 of them, at the shift that fits best, rad.
    """

    policy: float
    linear: float
    stays: float
    long_finite: bool
    long_range: float
    long_error: float


def data_of(task: Task, home: Home, logs: Path) -> tuple[ArtifactRef, ArtifactRef]:
    """Take clips in; return the dataset and its training set."""
    dataset = make_dataset(task, logs, home=home).ref
    return dataset, augment.run(task, home, dataset).ref


def learn(task: Task, home: Home, logs: Path) -> tuple[Any, Demonstrations]:
    """Train a task's policy from clips; return it, and the dataset with the held-out clip."""
    dataset, training_set = data_of(task, home, logs)
    model = train.run(task, home, dataset, training_set, (NullReporter(), NullReporter()))
    return load_model(home.root / model.ref.path), Demonstrations.open(home, dataset)


def evaluate(policy: Any, data: Demonstrations) -> Walk:
    """Compare a policy with the linear model on the test clip."""
    observed = data.observed(policy.layout.observation).astype(np.float64)
    joints, commands = list(policy.sizes.joints), list(policy.sizes.commands)
    (test,) = data.packed.of("test")
    train_clips = [observed[one.start : one.stop] for one in data.packed.of("train")]
    clip, history = observed[test.start : test.stop], policy.sizes.history
    line = LinearGait.fit(
        [own[:, joints] for own in train_clips], [own[0, commands] for own in train_clips], history
    )
    rows = windows(clip, history + EVALUATION_ROWS)
    truth, past = rows[:, history:, joints], rows[:, :history, joints]
    now = torch.from_numpy(rows[:, history - 1].copy()).float()
    walked = rollout_from_history(
        policy, torch.from_numpy(past.copy()).float(), now, EVALUATION_ROWS
    )
    first = torch.from_numpy(clip[:1].copy()).float()
    with torch.no_grad():
        far = rollout(policy, first, policy.initial_carry(1), LONG, policy.joint_columns)[0].numpy()
    end, angles = far[-min(200, len(clip) // 2) :], clip[:, joints]
    ranges = np.max([np.ptp(own[:, joints], axis=0) for own in (*train_clips, clip)], axis=0)
    is_moving = ranges > 1e-3
    return Walk(
        policy=float(np.abs(walked.numpy() - truth).mean()),
        linear=float(np.abs(line.rollout(past, clip[0, commands], EVALUATION_ROWS) - truth).mean()),
        stays=float(np.abs(past[:, -1:] - truth).mean()),
        long_finite=bool(np.isfinite(far).all()),
        long_range=float((np.ptp(end, axis=0)[is_moving] / ranges[is_moving]).max()),
        long_error=min(
            float(np.abs(end - angles[at : at + len(end)]).mean())
            for at in range(len(angles) - len(end))
        ),
    )


def prove(name: str, seed: int) -> Walk:
    """Train and judge once, or return what came of it the last time."""
    root = _proof.results_folder(f"motion-{name}-{seed}")
    path = root / "walk.json"
    if not path.is_file():
        task = load_task(EXAMPLES / f"{name}.yaml", {"learn.seed": seed})
        publish_document(path, evaluate(*learn(task, Home(root), CLIPS)))
    return read_document(path, Walk)


def prove_gaits() -> None:
    """Prove every robot without physics and rewrite the section `motion` of docs/results-*.md."""
    head = ["robot", "policy, rad", "linear on 20 rows, rad", "constant pose, rad"]
    head += ["1,000 rows: finite", "range relative to the clips", "error, rad"]
    rows = list[list[object]]()
    for name in TASKS:
        results = [prove(name, seed) for seed in SEEDS]
        middle = statistics.median(result.policy for result in results)
        values = ", ".join(f"{result.policy:.4f}" for result in results)
        figures = f"{results[0].linear:.4f}", f"{results[0].stays:.4f}"
        far = (
            max(result.long_range for result in results),
            max(result.long_error for result in results),
        )
        is_finite = all(result.long_finite for result in results)
        cells: list[object] = [name, f"**{middle:.4f}** ({values})", *figures, is_finite]
        rows.append([*cells, f"{far[0]:.2f}", f"{far[1]:.4f}"])
    _proof.write("motion", _proof.table(head, rows))


def prove_physics(names: list[str], steps: int | None, trials: int) -> None:
    """Prove rows in physics, and rewrite the section `motion_physics` with all that are known.

    Runs with `steps` of their own are only printed.
    """
    from benchmarks._motion_rows import HEAD, STEPS, PhysicsRow, prove_row

    paths = [
        _proof.results_folder(f"motion-physics-{name}-{STEPS[name]}") / f"row-{TRIALS}.json"
        for name in STEPS
    ]
    for name in names:
        print(_proof.table(HEAD, [prove_row(name, steps, trials).cells()]), flush=True)
        if steps is None and trials == TRIALS:
            done = [read_document(path, PhysicsRow) for path in paths if path.is_file()]
            replace_section("motion_physics", _proof.table(HEAD, [row.cells() for row in done]))


def main() -> None:
    """Prove the rows that are named, by default all."""
    from benchmarks._motion_rows import ROBOTS, STEPS

    rows = ["gaits", *STEPS]
    parser = _proof.parser(__doc__, rows)
    parser.add_argument("--steps", type=int, help="of a training in physics; for a smoke test")
    parser.add_argument("--trials", type=int, default=TRIALS, help="in physics")
    options = parser.parse_args()
    names = options.row or rows
    _proof.require(CLIPS, ROBOTS)
    torch.set_num_threads(1)
    if "gaits" in names:
        prove_gaits()
    if in_physics := [name for name in names if name != "gaits"]:
        prove_physics(in_physics, options.steps, options.trials)


if __name__ == "__main__":
    main()
