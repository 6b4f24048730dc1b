"""How fast policies reach what counts as solved: `make prove-reinforcement`.

Five seeds of each row, each beside stable-baselines3 with its own tuned settings (those of its
"zoo") in the same process, one after the other, with the same evaluations: 20 episodes on fresh
seeds every so many steps. Time is that of the training, evaluations included, imports not: of the
clock, and of the processor, which is what a busy machine does not change. `return` is the mean of
100 episodes from starts that neither saw. What is finished is kept under `prove/reinforcement/` of
KINEMILL_HOME; `--row NAME`, `--seeds N`, `--report` alone rewrites the table of docs/results.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import replace_section
from kinemill.home import Home
from kinemill.spec.ports import Silence
from kinemill.store import publish_json, read_json

SEEDS, EPISODES = 5, 100


@dataclass(frozen=True)
class Row:
    """What is to be reached.

    Attributes:
        task: of kinemill.
        target: mean return; None: none is known.
        within: s that the issue allows; None: no bound.
        overrides: of the task.
        library: settings of stable-baselines3; None: it has no such algorithm.
        learned: whether it learns in what the task `pendulum` learned, which is made first.
    """

    task: str
    target: float | None
    within: float | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    library: dict[str, Any] | None = None
    learned: bool = False


ROWS = {
    "CartPole-v1, PPO": Row(
        "cartpole_rl",
        475,
        30,
        {"learn.target": 475},
        {
            "class": "PPO",
            "id": "CartPole-v1",
            "copies": 8,
            "steps": 100_000,
            "every": 5120,
            "settings": {
                "n_steps": 32,
                "batch_size": 256,
                "gae_lambda": 0.8,
                "gamma": 0.98,
                "n_epochs": 20,
                "ent_coef": 0.0,
                "learning_rate": 1e-3,
                "clip_range": 0.2,
            },
            "falling": ["learning_rate", "clip_range"],
        },
    ),
    "CartPole-v1, evolution strategies": Row(
        "cartpole_rl",
        475,
        120,
        {
            "learn.target": 475,
            "learn.algorithm": {"type": "evolution"},
            "learn.model.hidden_sizes": [16],
            "learn.optimizer.lr": 0.05,
            "learn.copies": 32,
            "learn.steps": 3_000_000,
            "learn.eval_every": 20_000,
        },
    ),
    "Pendulum-v1, SAC": Row(
        "pendulum_rl",
        -200,
        None,
        {"learn.target": -200},
        {
            "class": "SAC",
            "id": "Pendulum-v1",
            "copies": 1,
            "steps": 20_000,
            "every": 1000,
            "settings": {"learning_rate": 1e-3},
        },
    ),
    "pendulum swing-up, PPO in the learned model, tried in true physics": Row(
        "pendulum_swing_up", None, learned=True
    ),
    "LunarLander-v3, PPO": Row(
        "lunar_lander",
        200,
        None,
        {"learn.target": 200},
        {
            "class": "PPO",
            "id": "LunarLander-v3",
            "copies": 16,
            "steps": 1_000_000,
            "every": 32_768,
            "settings": {
                "n_steps": 1024,
                "batch_size": 64,
                "gae_lambda": 0.98,
                "gamma": 0.999,
                "n_epochs": 4,
                "ent_coef": 0.01,
            },
        },
    ),
}


def kept() -> Path:
    """Return the folder of what is finished."""
    return Home.resolve().root / "prove" / "reinforcement"


def dynamics() -> Path:
    """Return the exported model of a simulated pendulum, learned from its logs if need be."""
    from kinemill.register import fetch_bundle
    from kinemill.sim import write_logs

    home = kept() / "dynamics"
    os.environ["KINEMILL_HOME"] = str(home)
    if not Home(home).has_registry:
        write_logs(home / "given", "pendulum", episodes=100, seconds=6.0, broken=False)
        command = [str(Path(sys.executable).with_name("kinemill")), "run", "pendulum"]
        settings = ["--set", "ingest.settle=0", "--logs", str(home / "given")]
        subprocess.run([*command, *settings], check=True, stdout=subprocess.DEVNULL)
    return Path(fetch_bundle("models:/pendulum@champion"))


class Timed(Silence):
    """Hears how long a training took so far."""

    seconds = 0.0

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep the time."""
        del step
        self.seconds = metrics.get("seconds", self.seconds)


def ours(row: Row, seed: int) -> dict[str, Any]:
    """Train once, in a home of its own."""
    from kinemill.environments.card import make_card
    from kinemill.spec import load_task
    from kinemill.train import train

    changed = {**row.overrides, "learn.seed": seed, "track": []}
    if row.learned:
        changed["environment.model"] = str(dynamics())
    task = load_task(row.task, changed)
    heard = Timed()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        card = make_card(task, home)
        spent = time.process_time()
        summary = train(task, home, card.ref, card.ref, (heard, Silence())).summary
        spent = time.process_time() - spent
    return {
        "reached": summary["reached"],
        "seconds": heard.seconds,
        "processor": spent,  # the final evaluation of 100 episodes included
        "steps": summary["steps"],
        "return": summary["final"]["return"],
        "success": summary["final"]["success"],
    }


def theirs(row: Row, seed: int) -> dict[str, Any]:
    """Train once with stable-baselines3, its tuned settings, evaluated as often as ours."""
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    library = row.library or {}
    torch.set_num_threads(1)
    settings = dict(library["settings"])
    for name in library.get("falling", ()):
        first = settings[name]
        settings[name] = lambda left, first=first: left * first

    class Until(BaseCallback):
        """Evaluates on fresh seeds, twice where the target is reached, and then ends."""

        reached = False
        due = library["every"]

        def _on_step(self) -> bool:
            if self.num_timesteps < self.due:
                return True
            self.due += library["every"]
            place = make_vec_env(library["id"], 1, seed=seed + self.num_timesteps)
            found = evaluate_policy(self.model, place, 20)[0]
            if found >= row.target:
                found = (found + evaluate_policy(self.model, place, 20)[0]) / 2
            self.reached = bool(found >= row.target)
            return not self.reached

    environment = make_vec_env(library["id"], library["copies"], seed=seed)
    kind = getattr(stable_baselines3, library["class"])
    watch, began, spent = Until(), time.perf_counter(), time.process_time()
    model = kind("MlpPolicy", environment, seed=seed, device="cpu", **settings)
    model.learn(library["steps"], callback=watch)
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    final = evaluate_policy(model, make_vec_env(library["id"], 1, seed=10**6), EPISODES)[0]
    return {
        "reached": watch.reached,
        "seconds": seconds,
        "processor": spent,
        "steps": int(model.num_timesteps),
        "return": float(final),
    }


def file_of(name: str, seed: int) -> Path:
    """Return where a result is kept."""
    short = "".join(one if one.isalnum() else "_" for one in name.lower())
    return kept() / f"{short}-{seed}.json"


def prove(name: str, seed: int) -> None:
    """Do one seed of one row, ours first for even seeds."""
    row, path = ROWS[name], file_of(name, seed)
    if path.is_file():
        return
    done: dict[str, Any] = {}
    sides = [("ours", ours), *([("theirs", theirs)] if row.library else [])]
    for side, run in sides if seed % 2 == 0 else sides[::-1]:
        done[side] = run(row, seed)
        print(f"{name}, seed {seed}, {side}: {done[side]}", flush=True)
    publish_json(path, done)


def report() -> str:
    """Return the table of what is finished."""
    lines = [
        "| task | seeds that reached it | return, 100 fresh starts | s, median (spread) | s of the "
        "processor | stable-baselines3: reached, s, processor | ours / theirs, processor |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        found = [read_json(path) for k in range(SEEDS) if (path := file_of(name, k)).is_file()]
        if found:
            lines.append(_line(name, row, found))
    return "\n".join(lines) + "\n"


def _line(name: str, row: Row, found: list[Any]) -> str:
    own = [one["ours"] for one in found]
    seconds = [one["seconds"] for one in own]
    spent = statistics.median(one["processor"] for one in own)
    bound = f" within {row.within:g} s" if row.within else ""
    successes = [one["success"] for one in own if one.get("success") is not None]
    success = f", success {statistics.median(successes):.2f}" if successes else ""
    reached = f"{sum(one['reached'] for one in own)} of {len(own)}"
    cells = [
        name if row.target is None else f"{name}: {row.target:g}{bound}",
        reached if row.target is not None else "-",
        f"{statistics.median(one['return'] for one in own):.1f}{success}",
        f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})",
        f"{spent:.1f}",
    ]
    other = [one["theirs"] for one in found if "theirs" in one]
    if not other:
        return f"| {' | '.join([*cells, '-', '-'])} |"
    took = statistics.median(one["processor"] for one in other)
    cells.append(
        f"{sum(one['reached'] for one in other)} of {len(other)}, "
        f"{statistics.median(one['seconds'] for one in other):.1f}, {took:.1f}"
    )
    return f"| {' | '.join([*cells, f'{spent / took:.2f}'])} |"


def main() -> None:
    """Prove what is asked for; each seed in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", choices=list(ROWS), help="one row alone")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--one", type=int, help="this seed, in this process")
    parser.add_argument("--report", action="store_true", help="rewrite the table alone")
    parser.add_argument("--json", action="store_true", help="print what is finished as JSON")
    given = parser.parse_args()
    if given.one is not None:
        prove(given.row, given.one)
        return
    for seed in () if given.report or given.json else range(given.seeds):
        for name in [given.row] if given.row else ROWS:
            command = [sys.executable, "-m", "benchmarks.prove_reinforcement", "--row", name]
            subprocess.run([*command, "--one", str(seed)], check=True)
    if given.json:
        files = sorted(kept().glob("*.json"))
        print(json.dumps({path.stem: read_json(path) for path in files}, indent=2))
        return
    print(report())
    if not given.row:
        replace_section("reinforcement", report())


if __name__ == "__main__":
    main()
