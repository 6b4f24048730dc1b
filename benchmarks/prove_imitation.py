"""Policies learned from demonstrations: `make prove-imitation`.

Per task and seed, in folders of their own under `prove/imitation/` of KINEMILL_HOME: an expert's
demonstrations, the chain up to a trained policy, then the trials of the task file, in ONNX Runtime.
Beside it the expert, for the obstacle plain cloning, and for the targets the same policy told
another instruction. g1_lerobot is judged on its last four episodes, by the next action. What is
finished is kept; `--task NAME` proves one, `--seeds N` fewer seeds.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ROOT
from kinemill.augment import augment
from kinemill.dataset import make_dataset
from kinemill.environments import make_environment
from kinemill.environments.demonstrating import demonstrate
from kinemill.environments.trials import Trials, bootstrap, run_episode, summed, try_policy
from kinemill.export.policy import describe, write_policy
from kinemill.home import Home
from kinemill.ingest import ingest
from kinemill.runtime import load
from kinemill.spec import load_task
from kinemill.spec.ports import Silence
from kinemill.store import publish_json
from kinemill.train import load_model, train
from kinemill.train.demonstrations import Demonstrations
from kinemill.validate import validate

DEMONSTRATIONS = {"reach": 500, "obstacle": 300, "targets": 800}
PLAIN: dict[str, Any] = {"learn.head": {"type": "deterministic"}, "learn.chunk": {"length": 1}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "reach": ("reach", {}),
    "obstacle_plain": ("obstacle", PLAIN),
    "obstacle": ("obstacle", {}),
    "targets": ("targets", {}),
    "g1": ("g1_policy", {}),
}
G1 = ROOT.parent / "shared" / "data" / "g1_lerobot"
ARMS, HISTORY = 14, 10  # joints in rad, before the hands; rows that the linear model sees


class Misled:
    """A policy that is told what another episode was told.

    Args:
        policy: acts.
        said: instructions of other episodes.
    """

    def __init__(self, policy: Any, said: list[Any]) -> None:
        self._policy, self._said, self._now = policy, said, said[0]

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
    recordings = ingest(task, home, logs).outcome.ref
    dataset = make_dataset(task, home, validate(task, home, recordings).ref).ref
    began = time.monotonic()
    outcome = train(task, home, dataset, augment(task, home, dataset).ref, (Silence(), Silence()))
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
    return summed([run_episode(environment, expert, seed, keep=False) for seed in seeds], 0)


def prove(case: str, seed: int) -> dict[str, Any]:
    """Return the figures of one case and seed, closed loop."""
    name = CASES[case][0]
    logs, count = kept() / name / "logs", DEMONSTRATIONS[name]
    if not logs.is_dir() or len(list(logs.glob("*.h5"))) < count:
        demonstrate(load_task(name), logs, range(count))
    task, folder, _, seconds = learned(case, seed, logs)
    policy = load(folder)
    own, expert = tried(task, policy), by_expert(task)
    found: dict[str, Any] = {
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


def prove_g1(seed: int) -> dict[str, Any]:
    """Return next-action errors of the arms, rad, on the last four episodes, and of the simple."""
    task, folder, (home, dataset), seconds = learned("g1", seed, G1)
    data = Demonstrations.open(home, dataset)
    seen, acted = data.observed(task.learn.observations), np.array(data.actions)
    squares: dict[str, list[Any]] = {"policy": [], "repeat": [], "linear": []}
    rows, wanted = _windows(data, seen, acted, "train")
    weights = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    policy = load(folder)
    for one in data.packed.of("test"):
        policy.reset(0)
        own = slice(one.start, one.stop)
        found = np.stack([policy.act(row) for row in seen[own]])
        squares["policy"].append(found - acted[own])
        squares["repeat"].append(seen[own][:, len(task.states) :] - acted[own])
    rows, wanted = _windows(data, seen, acted, "test")
    squares["linear"].append(rows @ weights - wanted)
    errors = {
        name: float(np.sqrt((np.concatenate(its)[:, :ARMS] ** 2).mean()))
        for name, its in squares.items()
    }
    return {**errors, "unit": "rad", "seconds": seconds}


def _windows(data: Demonstrations, seen: Any, acted: Any, split: str) -> tuple[Any, Any]:
    """Return histories of what is seen, flat and with a constant, and the actions."""
    rows, wanted = list[Any](), list[Any]()
    for one in data.packed.of(split):
        own = seen[one.start : one.stop]
        places = np.maximum(np.arange(len(own))[:, None] + np.arange(1 - HISTORY, 1), 0)
        flat = own[places].reshape(len(own), -1).astype(float)
        rows.append(np.c_[flat, np.ones(len(own))])
        wanted.append(acted[one.start : one.stop].astype(float))
    return np.concatenate(rows), np.concatenate(wanted)


def main() -> None:
    """Prove what is asked for and is not finished; print all there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=list(CASES), action="append")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for case in options.task or list(CASES):
        for seed in range(options.seeds):
            path = kept() / f"{case}-{seed}.json"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                publish_json(path, prove_g1(seed) if case == "g1" else prove(case, seed))
            found.setdefault(case, {})[str(seed)] = json.loads(path.read_text())
            print(case, seed, json.dumps(found[case][str(seed)]), flush=True)
    for case, its in found.items():
        succeeded = [one["success"] for one in its.values() if "success" in one]
        if succeeded:
            print(case, "mean", np.mean(succeeded), "95 %", bootstrap(succeeded))


if __name__ == "__main__":
    main()
