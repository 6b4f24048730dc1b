"""Closed loops with learned models against true physics: `make prove-control`.

For each task, in a separate home under `prove/control/` of KINEMILL_HOME: logs of the simulated
robot, the chain, then 20 seeded starts with each contestant. `--row NAME` runs one
task, `--seeds N` fewer starts.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _proof
from kinemill.control import (
    learned_model,
    make_planner,
    plain_policy,
    run_episode,
    uncertain_physics,
)
from kinemill.control.sim import write_logs
from kinemill.dataset import find_version, load_dataset
from kinemill.register import fetch_bundle
from kinemill.store.home import Home
from kinemill.task import load_task

TASKS = ("pendulum", "cart_pole_swing_up", "double_cart_pole")
CONTESTANTS = ("true", "champion", "zero", "random")
EPISODES, SECONDS = 200, 6.0  # 20 minutes of logs
THREADS = os.cpu_count() or 1


def champion(task: str) -> tuple[Path, dict[str, Any]]:
    """Return the home with a task's champion, and the document of the chain that made it."""
    home = _proof.results_folder("control") / task

    def run() -> dict[str, Any]:
        logs = home / "logs" / task
        write_logs(logs, task, episodes=EPISODES, seconds=SECONDS, noise=False, broken=False)
        done = _proof.kinemill(home, "run", task)
        if done["alias"] != "champion":
            sys.exit(f"{task}: no champion: {done['status']}, {done['gate']}")
        return done

    return home, _proof.cached(home.with_suffix(".json"), run)


def figures_of(name: str, contestant: str, seed: int, home: Path) -> dict[str, float]:
    """Return cost, success and seconds of an action of one start, which runs once."""
    path = _proof.results_folder("control") / f"{name}-{contestant}" / f"{seed}.json"

    def run() -> dict[str, float]:
        episode = run_episode(load_task(name), policy(name, contestant, home), seed)
        success = bool(episode.success)
        return {"cost": episode.cost, "success": success, "seconds": episode.seconds}

    return _proof.cached(path, run)


def policy(name: str, contestant: str, home: Path) -> Any:
    """Return a contestant."""
    task = load_task(name)
    if contestant in ("zero", "random"):
        return plain_policy(task, contestant)
    if contestant == "true":
        return make_planner(task, uncertain_physics(task, THREADS))
    return make_planner(task, [learned_model(task, fetch_bundle(f"models:/{name}@champion", home))])


def prove_task(name: str, seeds: Sequence[int]) -> list[list[str]]:
    """Run all contestants on a task; return its rows of the table."""
    home, chain = champion(name)
    rows, costs = list[list[str]](), dict[str, float]()
    for contestant in CONTESTANTS:
        runs = [figures_of(name, contestant, seed, home) for seed in seeds]
        costs[contestant] = sum(run["cost"] for run in runs)
        good = sum(run["success"] for run in runs)
        rate = np.median([run["seconds"] for run in runs])
        ratio = f"{costs[contestant] / costs['true']:.3f}"
        speed = f"{1 / rate:.0f}" if contestant in ("true", "champion") else ""
        successes = f"{good} of {len(runs)}"
        error = accuracy(name) if contestant == "champion" else ""
        rows.append([name, contestant, successes, f"{costs[contestant]:.1f}", ratio, speed, error])
    print(f"{name}: nrmse {chain['metrics']['nrmse']['model']:.4f}, {rows}", flush=True)
    return rows


def accuracy(name: str) -> str:
    """Return the champion's largest error 25 steps ahead in the test split, % of the range."""
    _, chain = champion(name)
    errors = chain["metrics"]["test"]
    shares = (errors[state]["rmse"]["model"] / width for state, width in spans(name).items())
    return f"{100 * max(shares):.2f}"


def spans(name: str) -> dict[str, float]:
    """Return the range of each state in the test episodes; a whole turn for angles."""
    home = Home(champion(name)[0])
    dataset = load_dataset(home, find_version(home, name).ref)
    tests = [each for each in dataset.episodes if each.split == "test"]
    rows = np.concatenate([dataset.values[test_.start : test_.stop] for test_ in tests])
    ranges = dict(zip(dataset.states, np.ptp(rows, axis=0).tolist(), strict=False))
    return ranges | {angle: 2 * np.pi for angle in dataset.angles}


def main() -> None:
    """Prove what was asked for; the page is rewritten when all of it is there."""
    options = _proof.parser(__doc__, TASKS, 20).parse_args()
    tasks, seeds = options.row or TASKS, range(options.seeds)
    rows = [row for name in tasks for row in prove_task(name, seeds)]
    head = ["task", "planning model", "success", "total cost", "ratio to true physics", "Hz"]
    text = _proof.table([*head, "largest error at 25 steps, % of the range"], rows)
    if options.row:
        print(text)
    else:
        _proof.write("control", text)


if __name__ == "__main__":
    main()
