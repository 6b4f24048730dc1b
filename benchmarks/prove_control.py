"""Closed loops with learned models against true physics: `make prove-control`.

For each task, in a separate home under `prove/control/` of KINEMILL_HOME: logs of the simulated
robot, the chain, then 20 seeded starts with each contestant. Then the learning loop: from logs of
random inputs, three rounds of learning, running the champion, and learning from its runs. Finished
results are kept, so an interrupted proof resumes. `--task NAME` runs one task, `--seeds N` fewer
starts.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ROOT, replace_section
from benchmarks._animation import animate
from kinemill.control import (
    learned_model,
    make_planner,
    plain_policy,
    run_episode,
    uncertain_physics,
)
from kinemill.control.closed_loop import Episode
from kinemill.control.report import links, page
from kinemill.dataset import find_version, load_dataset
from kinemill.register import fetch_bundle
from kinemill.runtime import load
from kinemill.runtime.window_metrics import cut_windows, deviations
from kinemill.sim import write_logs
from kinemill.store import publish_file, publish_json
from kinemill.store.home import Home
from kinemill.task import load_task

TASKS = ("pendulum", "cart_pole_swing_up", "double_cart_pole")
CONTESTANTS = ("true", "champion", "zero", "random")
EPISODES, SECONDS = 200, 6.0  # 20 minutes of logs
THREADS = os.cpu_count() or 1
ROUNDS, RUNS, ROUND_TASK = 3, 16, "cart_pole_swing_up"
# Every split gets some of the 16 logs. The network trains fast and stays bounded outside the data.
SMALL_NETWORK = (
    "ingest.min_file_age=0",
    "dataset.validation=0.2",
    "dataset.test=0.2",
    "learn.model.activation=tanh",
    "learn.steps=4000",
    "learn.horizon_schedule.steps=2000",
)
RANGES = {"hanging": (0.0, 1.05), "level": (1.05, 2.09), "upright": (2.09, 3.15)}  # rad
IMAGES = ROOT / "docs" / "images"


def results_folder() -> Path:
    """Return the folder of what is finished."""
    return Home.resolve().root / "prove" / "control"


def kinemill(home: Path, *arguments: str) -> dict[str, Any]:
    """Run a command in a home, and return its document, also for a refusal or a missed target."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("kinemill")), *arguments, "--json"],
        env={**os.environ, "KINEMILL_HOME": str(home)},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode > 1:
        sys.exit(f"kinemill {' '.join(arguments)} ended with code {done.returncode}")
    return json.loads(done.stdout)


def champion(task: str) -> tuple[Path, dict[str, Any]]:
    """Return the home with a task's champion, and the document of the chain that made it."""
    home, document = results_folder() / task, results_folder() / f"{task}.json"
    if not document.is_file():
        logs = home / "logs" / task
        write_logs(logs, task, episodes=EPISODES, seconds=SECONDS, noise=False, broken=False)
        done = kinemill(home, "run", task)
        if done["alias"] != "champion":
            sys.exit(
                f"{task}: the chain ended without a champion: {done['status']}, {done['gate']}"
            )
        publish_json(document, done)
    return home, json.loads(document.read_text())


def episode(name: str, contestant: str, seed: int, home: Path) -> Episode:
    """Run one start, or return what came of it the last time."""
    path = results_folder() / f"{name}-{contestant}" / f"{seed}.json"
    if path.is_file():
        raw = json.loads(path.read_text())
        return Episode(**raw | {key: np.array(raw[key]) for key in ("states", "actions")})
    rollout = run_episode(load_task(name), policy(name, contestant, home), seed)
    raw = vars(rollout) | {key: getattr(rollout, key).tolist() for key in ("states", "actions")}
    publish_json(path, raw)
    return rollout


def policy(name: str, contestant: str, home: Path) -> Any:
    """Return a contestant."""
    task = load_task(name)
    if contestant in ("zero", "random"):
        return plain_policy(task, contestant)
    if contestant == "true":
        return make_planner(task, uncertain_physics(task, THREADS))
    return make_planner(task, [learned_model(task, fetch_bundle(f"models:/{name}@champion", home))])


def prove_task(name: str, seeds: Sequence[int]) -> list[str]:
    """Run all contestants on a task; return its rows of the table."""
    home, chain = champion(name)
    rows, costs = list[str](), dict[str, float]()
    for contestant in CONTESTANTS:
        runs = [episode(name, contestant, seed, home) for seed in seeds]
        costs[contestant] = sum(run.cost for run in runs)
        good, rate = sum(run.success for run in runs), np.median([run.seconds for run in runs])
        ratio = f"{costs[contestant] / costs['true']:.3f}"
        speed = f"{1 / rate:.0f}" if contestant in ("true", "champion") else ""
        rows.append(
            f"| {name} | {contestant} | {good} of {len(runs)} | {costs[contestant]:.1f} | {ratio} "
            f"| {speed} |"
        )
        if contestant == "champion":
            show(name, runs, seeds)
    print("\n".join([f"nrmse {chain['metrics']['nrmse']['model']:.4f}", *rows]))
    return rows


def show(name: str, runs: Sequence[Episode], seeds: Sequence[int]) -> None:
    """Write the report, and the moving picture that the pages show."""
    task = load_task(name)
    publish_file(
        results_folder() / f"{name}.html", page(task, "the champion", runs, seeds).encode()
    )
    IMAGES.mkdir(exist_ok=True)
    publish_file(
        IMAGES / f"control-{name}.gif", animate(links(task, [run.states for run in runs]), task.dt)
    )


def accuracy(name: str) -> list[str]:
    """Return the champion's errors 25 steps ahead on its test split, as shares of the range."""
    _, chain = champion(name)
    task, rows = load_task(name), list[str]()
    ranges = spans(name)
    for state in task.states:
        error = chain["metrics"]["test"][state]["rmse"]["model"]
        rows.append(
            f"| {name} | {state} | {task.channels[state].unit} | {error:.3g} | {ranges[state]:.3g} "
            f"| {100 * error / ranges[state]:.2f} |"
        )
    return rows


def spans(name: str) -> dict[str, float]:
    """Return the range of each state in the test episodes; a whole turn for angles."""
    home = Home(champion(name)[0])
    dataset = load_dataset(home, find_version(home, name).ref)
    tests = [each for each in dataset.episodes if each.split == "test"]
    rows = np.concatenate([dataset.values[each.start : each.stop] for each in tests])
    ranges = dict(zip(dataset.states, np.ptp(rows, axis=0).tolist(), strict=False))
    return ranges | {angle: 2 * np.pi for angle in dataset.angles}


def prove_rounds(seeds: Sequence[int]) -> list[str]:
    """Close the loop: random pushes, then three champions, each learning from the one before."""
    home, rows = results_folder() / "rounds", list[str]()
    for number in range(ROUNDS):
        path = results_folder() / f"round-{number}.json"
        if not path.is_file():
            publish_json(path, one_round(home, number, seeds))
        result = json.loads(path.read_text())
        errors = " | ".join(f"{result['errors'][name]:.3g}" for name in RANGES)
        minutes = RUNS * (number + 1) * load_task(ROUND_TASK).control.seconds / 60
        rows.append(
            f"| {number + 1} | {minutes:.1f} | {result['alias'] or 'refused'} | {errors} "
            f"| {result['successes']} of {RUNS} |"
        )
    print("\n".join(rows))
    return rows


def one_round(home: Path, number: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Learn from all logs so far, judge the champion, and let it run."""
    if number == 0:
        kinemill(
            home, "model", "rollout", ROUND_TASK, "--controller", "random", "--episodes", str(RUNS)
        )
    chain = kinemill(
        home, "run", ROUND_TASK, *(word for key in SMALL_NETWORK for word in ("--set", key))
    )
    first = ["--seed", str(1000 * (number + 1)), "--episodes", str(RUNS), "--explore", "0.05"]
    rolled = kinemill(home, "model", "rollout", ROUND_TASK, *first)
    return {
        "alias": chain["alias"],
        "errors": errors_by_angle(home, seeds),
        "successes": rolled["successes"],
    }


def errors_by_angle(home: Path, seeds: Sequence[int]) -> dict[str, float]:
    """Return the champion's error of the pole's angle, rad, 25 steps ahead, by where it starts.

    On runs of the controller with true physics, which no champion has learned from.
    """
    task, model = load_task(ROUND_TASK), load(champion_of(home))
    column, angles = task.states.index("pole_angle"), np.array(["angle" in n for n in task.states])
    off, where = list[Any](), list[Any]()
    for seed in seeds:
        run = episode(ROUND_TASK, "true", seed, home)
        values = np.concatenate([run.states[:-1], run.actions], axis=1)
        starts = np.arange(0, len(values) - model.history - 25, 5)
        windows = cut_windows(values, len(task.states), starts, model.history, 25)
        off.append(deviations(model, windows, angles)[:, -1, column])
        start = windows.states[:, -1, column]
        where.append(np.abs((start + np.pi) % (2 * np.pi) - np.pi))
    errors, reached = np.concatenate(off), np.concatenate(where)
    return {
        name: float(np.sqrt(np.mean(errors[(reached >= low) & (reached < high)] ** 2)))
        for name, (low, high) in RANGES.items()
    }


def champion_of(home: Path) -> Path:
    """Return the folder of the champion in a home."""
    return fetch_bundle(f"models:/{ROUND_TASK}@champion", home)


def write_section(rows: Iterable[str], errors: Iterable[str], rounds: Iterable[str]) -> None:
    """Rewrite the section `control` of docs/results-*.md."""
    where = " | ".join(f"{name}, rad" for name in RANGES)
    text = [
        "| task | planning model | success | total cost | ratio to true physics | Hz |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "| task | state | unit | error at 25 steps | range | % |",
        "|---|---|---|---|---|---|",
        *errors,
        "",
        f"| round | minutes of logs | alias | {where} | success |",
        "|---|---|---|---|---|---|---|",
        *rounds,
    ]
    replace_section("control", "\n".join(text) + "\n")


def main() -> None:
    """Prove what was asked for; the page is rewritten when all of it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=[*TASKS, "rounds"], action="append")
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    cases, seeds = options.task or [*TASKS, "rounds"], range(options.seeds)
    tasks = [name for name in TASKS if name in cases]
    rows = [row for name in tasks for row in prove_task(name, seeds)]
    errors = [row for name in tasks for row in accuracy(name)]
    print("\n".join(errors))
    rounds = prove_rounds(seeds) if "rounds" in cases else []
    if not options.task:
        write_section(rows, errors, rounds)


if __name__ == "__main__":
    main()
