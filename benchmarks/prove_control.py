"""Closed loops with learned models against true physics: `make prove-control`.

For each task, in a separate home under `prove/control/` of KINEMILL_HOME: logs of the simulated
robot, the chain, then 20 seeded starts with each contestant. `--row NAME` runs one
task, `--seeds N` fewer starts.
"""

import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ROOT, _proof
from kinemill.control import (
    learned_model,
    make_planner,
    plain_policy,
    run_episode,
    uncertain_physics,
)
from kinemill.control.closed_loop import Episode, successes_of
from kinemill.control.plan import Floats
from kinemill.control.report import links, page
from kinemill.control.sim import write_logs
from kinemill.dataset import find_version, load_dataset
from kinemill.register import fetch_bundle
from kinemill.store import publish_file, publish_json
from kinemill.store.home import Home
from kinemill.task import load_task

TASKS = ("pendulum", "cart_pole_swing_up", "double_cart_pole")
PICTURED = ("cart_pole_swing_up", "double_cart_pole")  # tasks that the documentation shows
CONTESTANTS = ("true", "champion", "zero", "random")
EPISODES, SECONDS = 200, 6.0  # 20 minutes of logs
THREADS = os.cpu_count() or 1
IMAGES = ROOT / "docs" / "images"


def champion(task: str) -> tuple[Path, dict[str, Any]]:
    """Return the home with a task's champion, and the document of the chain that made it."""
    home = _proof.results_folder("control") / task
    document = home.with_suffix(".json")
    if not document.is_file():
        logs = home / "logs" / task
        write_logs(logs, task, episodes=EPISODES, seconds=SECONDS, noise=False, broken=False)
        done = _proof.kinemill(home, "run", task)
        if done["alias"] != "champion":
            sys.exit(
                f"{task}: the chain ended without a champion: {done['status']}, {done['gate']}"
            )
        publish_json(document, done)
    return home, json.loads(document.read_text())


def episode(name: str, contestant: str, seed: int, home: Path) -> Episode:
    """Run one start, or return what came of it the last time."""
    path = _proof.results_folder("control") / f"{name}-{contestant}" / f"{seed}.json"
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


def prove_task(name: str, seeds: Sequence[int]) -> list[list[str]]:
    """Run all contestants on a task; return its rows of the table."""
    home, chain = champion(name)
    rows, costs = list[list[str]](), dict[str, float]()
    for contestant in CONTESTANTS:
        runs = [episode(name, contestant, seed, home) for seed in seeds]
        costs[contestant] = sum(run.cost for run in runs)
        good, rate = successes_of(runs), np.median([run.seconds for run in runs])
        ratio = f"{costs[contestant] / costs['true']:.3f}"
        speed = f"{1 / rate:.0f}" if contestant in ("true", "champion") else ""
        successes = f"{good} of {len(runs)}"
        error = accuracy(name) if contestant == "champion" else ""
        rows.append([name, contestant, successes, f"{costs[contestant]:.1f}", ratio, speed, error])
        if contestant == "champion":
            show(name, runs, seeds)
    print(f"{name}: nrmse {chain['metrics']['nrmse']['model']:.4f}, {rows}", flush=True)
    return rows


def show(name: str, runs: Sequence[Episode], seeds: Sequence[int]) -> None:
    """Write the report, and the animation that the documentation shows."""
    task = load_task(name)
    publish_file(
        _proof.results_folder("control") / f"{name}.html",
        page(task, "the champion", runs, seeds).encode(),
    )
    if name in PICTURED:
        animation = animate(links(task, [run.states for run in runs]), task.dt)
        publish_file(IMAGES / f"control-{name}.gif", animation)


PANEL = 240  # px, width and height of one run
COLUMNS = 3
FINE = 2  # drawn so many times larger, for smooth lines
PAPER, INK, RAIL, JOINT = (255, 255, 255), (31, 78, 121), (190, 190, 190), (200, 80, 40)


def animate(runs: Sequence[Floats], dt: float, rate: float = 25.0) -> bytes:
    """Return a GIF of runs side by side.

    Args:
        runs: for each the ends of the links, (N, P, 2) m, x to the right, z up.
        dt: time between two rows, s.
        rate: pictures a second.
    """
    every = max(1, round(1.0 / (rate * dt)))
    frames = max(len(run) for run in runs)
    columns = min(COLUMNS, len(runs))
    size = columns * PANEL, -(-len(runs) // columns) * PANEL
    reach = 1.1 * max(float(np.nanmax(np.abs(run))) for run in runs)
    pictures = [_frame(runs, index, reach, size) for index in range(0, frames, every)]
    file = io.BytesIO()
    first, *rest = pictures
    # A GIF counts in hundredths of a second.
    last_frame_ms = max(20, 10 * round(100 * dt * every))
    first.save(
        file,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=last_frame_ms,
        loop=0,
        optimize=True,
    )
    return file.getvalue()


def _frame(runs: Sequence[Floats], index: int, reach: float, size: tuple[int, int]) -> Any:
    from PIL import Image, ImageDraw

    columns = size[0] // PANEL
    picture = Image.new("RGB", (size[0] * FINE, size[1] * FINE), PAPER)
    pen = ImageDraw.Draw(picture)
    for panel, run in enumerate(runs):
        row, column = divmod(panel, columns)
        middle = (np.array([column, row]) + 0.5) * PANEL * FINE
        ends = run[min(index, len(run) - 1)] * [1.0, -1.0] * (PANEL * FINE / 2 / reach) + middle
        _draw(pen, ends, middle)
    small = picture.resize(size, Image.Resampling.BOX)
    return small.quantize(colors=16, dither=Image.Dither.NONE)


def _draw(pen: Any, ends: Floats, middle: Floats) -> None:
    """Draw one plant: the rail through its first joint, its links, its joints."""
    half = 0.46 * PANEL * FINE
    pen.line([middle[0] - half, middle[1], middle[0] + half, middle[1]], fill=RAIL, width=FINE)
    x, y = ends[0]
    pen.rectangle([x - 9 * FINE, y - 5 * FINE, x + 9 * FINE, y + 5 * FINE], fill=INK)
    pen.line([tuple(end) for end in ends.tolist()], fill=INK, width=4 * FINE)
    for x, y in ends.tolist():
        pen.ellipse([x - 3 * FINE, y - 3 * FINE, x + 3 * FINE, y + 3 * FINE], fill=JOINT)


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
