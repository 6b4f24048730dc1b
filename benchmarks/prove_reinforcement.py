"""Training time until policies solve their environments: `make prove-reinforcement`.

Runs five seeds of each row, kinemill and stable-baselines3 with the tuned settings of its "zoo", in
the same process, one after the other, with the same evaluations: 20 episodes at regular intervals
from the same initial states, and from 20 new ones where the target is reached. Times are CPU time
of the training, including evaluations, excluding imports. Ratios are those of pairs
that ran one after the other. Cells are medians over seeds with minimum and maximum. `return` is the
mean of 100 episodes from unseen initial states. Each seed of the swing-up trains in its own
dynamics model, created as a user would: 24 logs of 15 s, then `kinemill run pendulum`. Finished
results are kept under `prove/reinforcement/` of KINEMILL_HOME. Options: `--row NAME`, `--seeds N`;
`--seeds 0` only rewrites the table of docs/results-*.md.
"""

import importlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import _proof, read_section
from benchmarks._reinforcement_rows import ROWS, Row
from kinemill.store import publish_json, read_json
from kinemill.store.home import Home
from kinemill.task.protocols import NullReporter

SEEDS, EPISODES = 5, 100
LIBRARIES = ("ours", "theirs")
IMPORTS = (
    "torch._dynamo",
    "stable_baselines3",
    "kinemill.policies.rl.training_loop",
    "kinemill.policies.rl.sb3",
)
HEAD = ["task", "seeds that reached the target", "return, unseen starts", "CPU s"]
HEAD += ["stable-baselines3: reached", "return", "CPU s", "ratio of CPU s"]


def results_folder() -> Path:
    """Return the folder of finished results."""
    return _proof.results_folder("reinforcement")


def dynamics(seed: int) -> Path:
    """Return the exported model of a simulated pendulum, trained from its logs as a user would.

    The trained model is reused.
    """
    from kinemill.control.sim import write_logs
    from kinemill.register import fetch_bundle

    home = results_folder() / f"dynamics-{seed}"
    if not Home(home).has_registry:
        write_logs(home / "given", "pendulum", seed=seed)
        log_options = ["--logs", str(home / "given"), "--set", "ingest.min_file_age=0"]
        done = _proof.kinemill(home, "run", "pendulum", *log_options)
        if done["alias"] != "champion":
            sys.exit(f"pendulum: no champion from the logs of seed {seed}: {done['gate']}")
    return Path(fetch_bundle("models:/pendulum@champion", home))


def ours(row: Row, seed: int) -> dict[str, Any]:
    """Train once with kinemill, in a separate home."""
    from kinemill.policies.environments.card import make_card
    from kinemill.policies.rl.evaluation import Evaluator
    from kinemill.task import load_task
    from kinemill.train import stage as train

    changed = {**row.overrides, "learn.seed": seed, "track": []}
    if row.learned:
        changed["environment.model"] = str(dynamics(seed))
    task = load_task(row.task, changed)
    episodes, run, last = task.environment.trials.episodes, Evaluator.run, 0.0

    def timed(self: Evaluator, policy: Any, seeds: Sequence[int]) -> Any:
        """Add up the CPU time of evaluations on the seeds of the trials: no part of a training."""
        nonlocal last
        began = time.process_time()
        trials = run(self, policy, seeds)
        last += time.process_time() - began if len(seeds) == episodes else 0.0
        return trials

    Evaluator.run = timed
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        card = make_card(task, home)
        spent = time.process_time()
        quiet = NullReporter()
        summary = train.run(task, home, card.ref, card.ref, (quiet, quiet)).summary
        spent = time.process_time() - spent
    Evaluator.run = run
    return {
        "reached": summary["reached"],
        "processor": spent - last,
        "return": summary["final"]["return"],
        "success": summary["final"]["success"],
    }


def theirs(row: Row, seed: int) -> dict[str, Any]:
    """Train once with stable-baselines3 and its tuned settings, with the same evaluations."""
    import numpy as np
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.noise import NormalActionNoise

    library = row.library or {}
    torch.set_num_threads(1)
    settings = dict(library["settings"])
    for name in library.get("falling", ()):
        first = settings[name]
        settings[name] = lambda remaining, first=first: remaining * first

    if std := library.get("action_noise"):  # of a single action
        settings["action_noise"] = NormalActionNoise(np.zeros(1), np.full(1, std))

    class Until(BaseCallback):
        """Evaluates from the same initial states; at the target also from new ones, then stops."""

        reached = False
        next_evaluation = library["every"]

        def _on_step(self) -> bool:
            if self.num_timesteps < self.next_evaluation:
                return True
            self.next_evaluation += library["every"]
            mean_return = self._mean_return(seed + 10**5)
            if mean_return >= row.target:
                mean_return = (
                    mean_return + self._mean_return(seed + 10**5 + self.num_timesteps)
                ) / 2
            self.reached = bool(mean_return >= row.target)
            return not self.reached

        def _mean_return(self, first: int) -> float:
            environment = make_vec_env(library["id"], 1, seed=first)
            return float(evaluate_policy(self.model, environment, 20)[0])

    environment = make_vec_env(library["id"], library["copies"], seed=seed)
    package = importlib.import_module(library.get("package", "stable_baselines3"))
    kind = getattr(package, library["class"])
    watch, spent = Until(), time.process_time()
    policy = library.get("policy", "MlpPolicy")
    model = kind(policy, environment, seed=seed, device="cpu", **settings)
    model.learn(library["steps"], callback=watch)
    spent = time.process_time() - spent
    final = evaluate_policy(model, make_vec_env(library["id"], 1, seed=10**6), EPISODES)[0]
    return {
        "reached": watch.reached,
        "processor": spent,
        "return": float(final),
    }


def file_of(name: str, seed: int) -> Path:
    """Return the path of a result."""
    short = "".join(one if one.isalnum() else "_" for one in name.lower())
    return results_folder() / f"{short}-{seed}.json"


def prove(name: str, seed: int) -> None:
    """Run one seed of one row, kinemill first for even seeds; finished results are skipped."""
    for module in IMPORTS:  # otherwise the first side would pay for the imports of both
        importlib.import_module(module)
    row, path = ROWS[name], file_of(name, seed)
    done: dict[str, Any] = read_json(path) if path.is_file() else {}
    for side in LIBRARIES if seed % 2 == 0 else LIBRARIES[::-1]:
        if side in done or (side == "theirs" and not row.library):
            continue
        done[side] = (ours if side == "ours" else theirs)(row, seed)
        publish_json(path, done)
        print(f"{name}, seed {seed}, {side}: {done[side]}", flush=True)


def finished(name: str) -> list[Any]:
    """Return the finished results of a row, one per seed."""
    return [read_json(path) for k in range(SEEDS) if (path := file_of(name, k)).is_file()]


def report() -> str:
    """Return the table of finished results; other rows are copied from docs/results-*.md."""
    page = read_section("reinforcement")
    rows = list[list[str]]()
    for name, row in ROWS.items():
        results, starts = finished(name), (f"| {name}: ", f"| {name} |")
        if any("ours" in result for result in results):
            rows.append(_cells_of(name, row, results))
        else:
            previous = [line for line in page.splitlines() if line.startswith(starts)][:1]
            rows += [line.strip("| ").split(" | ") for line in previous]
    return _proof.table(HEAD, rows)


def _cells_of(name: str, row: Row, results: Sequence[Any]) -> list[str]:
    own = [result["ours"] for result in results if "ours" in result]
    other = [result["theirs"] for result in results if "theirs" in result]
    pairs = [result for result in results if len(result) == len(LIBRARIES)]
    bound = f" within {row.within:g} s" if row.within else ""
    aim = "" if row.target is None else f": {row.target:g}{bound}"
    cells = [name + aim, *_cells(row, own)]
    if pairs:
        ratios = [pair["ours"]["processor"] / pair["theirs"]["processor"] for pair in pairs]
        cells += [*_cells(row, other), median_and_range(ratios, 2)]
    return [*cells, *["-"] * (len(HEAD) - len(cells))]


def _cells(row: Row, results: Sequence[Any]) -> list[str]:
    """Return seeds that reached the target, returns and CPU time of one side."""
    wins = [result["success"] for result in results if result.get("success") is not None]
    solved = sum(result["reached"] for result in results)
    return [
        f"{len(results)} seeds" if row.target is None else f"{solved} of {len(results)}",
        median_and_range([result["return"] for result in results])
        + (f", success {median_and_range(wins, 2)}" if wins else ""),
        median_and_range([result["processor"] for result in results]),
    ]


def median_and_range(values: Sequence[float], digits: int = 1) -> str:
    """Format the median of values with minimum and maximum."""
    ends = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({ends})"


def main() -> None:
    """Run the selected rows, each seed in a separate process."""
    parser = _proof.parser(__doc__, ROWS, SEEDS)
    parser.add_argument("--one", type=int, help="run this seed in this process")
    options = parser.parse_args()
    if options.one is not None:
        prove(options.row[0], options.one)
        return
    for seed in range(options.seeds):
        for name in options.row or ROWS:
            command = [sys.executable, "-m", "benchmarks.prove_reinforcement", "--row", name]
            subprocess.run([*command, "--one", str(seed)], check=True)
    if options.row:
        print(report())
    else:
        _proof.write("reinforcement", report())


if __name__ == "__main__":
    main()
