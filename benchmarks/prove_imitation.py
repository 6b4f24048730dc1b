"""Policies learned from demonstrations: `make prove-imitation`.

Per task and seed, in folders of their own under `prove/imitation/` of KINEMILL_HOME: an expert's
demonstrations, the chain up to a trained policy, then the trials of the task file, in ONNX Runtime.
Beside it the expert, for the obstacle plain cloning, and for the targets the same policy told
another instruction. g1_lerobot is judged on its last four episodes, by the next action. What is
finished is kept; `--task NAME` proves one, `--seeds N` fewer seeds, `--table` nothing. The table
goes to docs/results.md when all of it is there.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import ROOT, replace_section
from kinemill.augment import stage as augment
from kinemill.dataset import stage as dataset_stage
from kinemill.environments import make_environment
from kinemill.environments.demonstrations import demonstrate
from kinemill.environments.evaluation import Trials, bootstrap, run_episode, summed, try_policy
from kinemill.export.policy import describe, write_policy
from kinemill.ingest import stage as ingest
from kinemill.runtime import load
from kinemill.store import publish_json
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.demonstrations import Demonstrations
from kinemill.validate import stage as validate

DEMONSTRATIONS = {"reach": 500, "obstacle": 300, "targets": 800}
PLAIN: dict[str, Any] = {"learn.head": {"type": "deterministic"}, "learn.chunk": {"length": 1}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "reach": ("reach", {}),
    "obstacle_plain": ("obstacle", PLAIN),
    "obstacle": ("obstacle", {}),
    "targets": ("targets", {}),
    "g1": ("g1_policy", {}),
}
SEEDS = 3
G1 = ROOT.parent / "shared" / "data" / "g1_lerobot"
ARMS, HISTORY, OWN_HISTORY = 14, 10, 8  # joints in rad, before the hands; rows that linear ones see
Found = dict[str, Any]
Array = NDArray[Any]


class Misled:
    """A policy that is told what another episode was told.

    Args:
        policy: acts.
        said: instructions of other episodes.
    """

    def __init__(self, policy: Any, said: list[Any]) -> None:
        self._policy, self._said, self._now = policy, said, said[0]
        self.interface = policy.interface

    def reset(self, seed: int) -> None:
        """Draw an instruction, by the seed."""
        self._now = self._said[int(np.random.default_rng([seed, 5]).integers(len(self._said)))]
        self._policy.reset(seed)

    def act(self, observation: Any) -> Any:
        """Act on what is seen and on the other instruction."""
        return self._policy.act({**observation, "instruction": self._now})


def kept() -> Path:
    """Return the folder of what is finished."""
    return Home.resolve().root / "prove" / "imitation"


def learned(case: str, seed: int, logs: Path) -> tuple[Any, Path, Any, float]:
    """Return task, home, dataset and the seconds of training of a case's policy, exported."""
    name, changed = CASES[case]
    task = load_task(name, {**changed, "learn.seed": seed})
    home = Home(kept() / name / "home")
    recordings = ingest.run(task, home, logs).artifact.ref
    dataset = dataset_stage.run(task, home, validate.run(task, home, recordings).ref).ref
    began = time.monotonic()
    outcome = train.run(
        task,
        home,
        dataset,
        augment.run(task, home, dataset).ref,
        (NullReporter(), NullReporter()),
    )
    seconds = time.monotonic() - began
    module = load_model(home.root / outcome.ref.path)
    folder = kept() / f"{case}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    write_policy(module, describe(module, task.name, dataset.digest), folder)
    return task, folder, (home, dataset), seconds


def tried(task: Any, policy: Any) -> Trials:
    """Try a policy from the starts that are kept for it."""
    trials = task.environment.trials
    return try_policy(task, policy, range(trials.seed, trials.seed + trials.episodes))


def by_expert(task: Any) -> Trials:
    """Try the expert from the same starts."""
    environment, trials = make_environment(task), task.environment.trials
    expert = task.environment.expert(environment)
    seeds = range(trials.seed, trials.seed + trials.episodes)
    return summed([run_episode(task, environment, expert, seed, keep=False) for seed in seeds], 0)


def prove(case: str, seed: int) -> Found:
    """Return the figures of one case and seed, closed loop."""
    name = CASES[case][0]
    logs, count = kept() / name / "logs", DEMONSTRATIONS[name]
    if not logs.is_dir():
        begun = logs.with_name("begun")
        demonstrate(load_task(name), begun, range(count))
        begun.rename(logs)
    task, folder, _, seconds = learned(case, seed, logs)
    policy = load(folder)
    own, expert = tried(task, policy), by_expert(task)
    found: Found = {
        "success": own.success,
        "success_interval": own.interval()["success"],
        "expert": expert.success,
        "return": own.mean_return,
        "seconds": seconds,
    }
    if name == "targets":
        environment = make_environment(task)
        said = [environment.reset(seed=k)[0]["instruction"] for k in range(60)]
        found["shuffled"] = tried(task, Misled(policy, said)).success
    return found


def prove_g1(seed: int) -> Found:
    """Return next-action errors of the arms, rad, on the last four episodes, and of the simple.

    An episode's first row does not count: what was commanded before it is not known.
    """
    task, folder, (home, dataset), seconds = learned("g1", seed, G1)
    data = Demonstrations.open(home, dataset)
    states = len(task.states)
    seen, acted = data.observed(task.learn.observations).astype(float), np.array(data.actions)
    acted = acted[:, :ARMS].astype(float)
    policy, predicted = load(folder), list[Array]()
    for one in data.packed.of("test"):
        policy.reset(0)
        rows = data.observed(task.learn.observations)[one.start : one.stop]
        predicted.append(np.stack([policy.act(row)[:ARMS] for row in rows]))
    own = [
        _linear(data, seen[:, [joint, states + joint]], acted[:, [joint]], OWN_HISTORY)
        for joint in range(ARMS)
    ]
    wanted = _of(data, "test", acted)
    answers = {
        "policy": np.concatenate(predicted),
        "repeat": _of(data, "test", seen[:, states : states + ARMS]),
        "linear": _linear(data, seen, acted, HISTORY),
        "own_linear": np.concatenate(own, axis=1),
    }
    later = np.concatenate([np.arange(one.rows) > 0 for one in data.packed.of("test")])
    errors = {
        name: float(np.sqrt(((answer - wanted)[later] ** 2).mean()))
        for name, answer in answers.items()
    }
    return {**errors, "unit": "rad", "seconds": seconds}


def _linear(data: Demonstrations, seen: Array, acted: Array, rows: int) -> Array:
    """Fit actions (N, A) on so many rows of what is seen (N, D); return those of the test split."""
    inputs = _windows(data, seen, rows, "train")
    weights = np.linalg.lstsq(inputs, _of(data, "train", acted), rcond=None)[0]
    return _windows(data, seen, rows, "test") @ weights


def _windows(data: Demonstrations, seen: Array, rows: int, split: str) -> Array:
    """Return histories of what is seen, flat and with a constant; the first row goes before it."""
    found = list[Array]()
    for one in data.packed.of(split):
        own = seen[one.start : one.stop]
        places = np.maximum(np.arange(len(own))[:, None] + np.arange(1 - rows, 1), 0)
        found.append(np.c_[own[places].reshape(len(own), -1), np.ones(len(own))])
    return np.concatenate(found)


def _of(data: Demonstrations, split: str, values: Array) -> Array:
    """Return the rows of a split."""
    return np.concatenate([values[one.start : one.stop] for one in data.packed.of(split)])


def kept_results() -> dict[str, list[Found]]:
    """Return what is finished, by case, in the order of seeds."""
    return {
        case: [json.loads(path.read_text()) for path in sorted(kept().glob(f"{case}-[0-9].json"))]
        for case in CASES
    }


def table(found: Mapping[str, list[Found]]) -> Iterator[str]:
    """Yield the lines of the table of all cases."""

    def figures(case: str, name: str, digits: int = 3) -> str:
        return ", ".join(f"{one[name]:.{digits}f}" for one in found[case])

    yield "| proof | seeds | policy | 95 % of the mean | beside it |"
    yield "|---|---|---|---|---|"
    beside = {
        "reach": f"expert {figures('reach', 'expert')}",
        "obstacle": f"expert {figures('obstacle', 'expert')}; "
        f"plain cloning {figures('obstacle_plain', 'success')}",
        "targets": f"expert {figures('targets', 'expert')}; "
        f"told what another episode was {figures('targets', 'shuffled')}",
    }
    for case, others in beside.items():
        low, high = bootstrap([one["success"] for one in found[case]])
        what = f"`{case}`, {DEMONSTRATIONS[case]} demonstrations: success"
        own = f"**{figures(case, 'success')}** | {low:.3f} to {high:.3f}"
        yield f"| {what} | {len(found[case])} | {own} | {others} |"
    low, high = bootstrap([one["policy"] for one in found["g1"]])
    first = found["g1"][0]
    yield (
        f"| `g1_policy`: next action of the arms, last 4 episodes, rad | {len(found['g1'])} "
        f"| **{figures('g1', 'policy', 5)}** | {low:.5f} to {high:.5f} "
        f"| linear on {HISTORY} rows {first['linear']:.5f}; linear, each joint on its own "
        f"{OWN_HISTORY} rows {first['own_linear']:.5f}; the last action {first['repeat']:.5f} |"
    )


def main() -> None:
    """Prove what is asked for and is not finished; write the table when all of it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=list(CASES), action="append")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--table", action="store_true", help="of what is kept; prove nothing")
    options = parser.parse_args()
    for case in () if options.table else options.task or CASES:
        for seed in range(options.seeds):
            path = kept() / f"{case}-{seed}.json"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                publish_json(path, prove_g1(seed) if case == "g1" else prove(case, seed))
            print(case, seed, path.read_text().strip(), flush=True)
    found = kept_results()
    if missing := [case for case, its in found.items() if len(its) < SEEDS]:
        print(f"no table yet: {', '.join(missing)} want {SEEDS} seeds")
        return
    replace_section("imitation", "\n".join(table(found)) + "\n")


if __name__ == "__main__":
    main()
