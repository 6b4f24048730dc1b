"""How fast policies reach what counts as solved: `make prove-reinforcement`.

Five seeds of each row, each beside stable-baselines3 with its own tuned settings (those of its
"zoo") in the same process, one after the other, with the same evaluations: 20 episodes every so
many steps, from the same starts each time, and from 20 new ones where the target is reached. Time
is that of the training, evaluations included, imports not: of the clock, and of the processor,
which a busy machine hardly changes. Ratios are of pairs that ran one after the other; all are
medians over seeds, with the lowest and the highest. `return` is the mean of 100 episodes from
starts that neither saw. The swing-up is learned in a model of its own for each seed, made first as
a user would: 24 logs of 15 s that the seed draws, then `kinemill run pendulum`. What is finished is
kept under `prove/reinforcement/` of KINEMILL_HOME; `--row NAME`, `--seeds N`, `--report` alone
rewrites the table of docs/results.md.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import RESULTS, replace_section
from benchmarks._reinforcement_rows import CART, ORDINARY_CART, ROWS, Row
from benchmarks.prove_control import kinemill
from kinemill.store import publish_json, read_json
from kinemill.store.home import Home
from kinemill.task.protocols import NullReporter

SEEDS, EPISODES = 5, 100
TIMES, SIDES = ("seconds", "processor"), ("ours", "theirs")
IMPORTS = ("torch._dynamo", "stable_baselines3", "kinemill.rl.training_loop", "kinemill.rl.sb3")
PARTS = ("stepping", "evaluation", "learning")
HEAD = (
    "| task | seeds that reached it | return, fresh starts | s | s of the processor | "
    "stable-baselines3: reached | return | s | s of the processor | ours / theirs: s | "
    "processor |\n|---|---|---|---|---|---|---|---|---|---|---|"
)
PARTS_HEAD = (
    "| side | environment steps | environment, s | evaluations, s | rest, s | total, s | "
    "environment, µs per step | rest, µs per step |\n|---|---|---|---|---|---|---|---|"
)


def kept() -> Path:
    """Return the folder of what is finished."""
    return Home.resolve().root / "prove" / "reinforcement"


def dynamics(seed: int) -> Path:
    """Return the exported model of a simulated pendulum, learned as a user would from its logs.

    Args:
        seed: of the logs; what was learned from them is kept.
    """
    from kinemill.register import fetch_bundle
    from kinemill.sim import write_logs

    home = kept() / f"dynamics-{seed}"
    if not Home(home).has_registry:
        write_logs(home / "given", "pendulum", seed=seed)
        given = ["--logs", str(home / "given"), "--set", "ingest.min_file_age=0"]
        done = kinemill(home, "run", "pendulum", *given)
        if done["alias"] != "champion":
            sys.exit(f"pendulum: no champion from the logs of seed {seed}: {done['gate']}")
    return Path(fetch_bundle("models:/pendulum@champion", home))


class Timed(NullReporter):
    """Hears how long a training took so far."""

    seconds = 0.0

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep the time."""
        del step
        self.seconds = metrics.get("seconds", self.seconds)


class Spent:
    """Seconds of the processor by part of a training."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("stepping", "evaluation", "final"), 0.0)

    def of(self, part: Callable[..., str], call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that adds its time to a part, which depends on its arguments."""

        def timed(*args: Any, **more: Any) -> Any:
            began = time.process_time()
            try:
                return call(*args, **more)
            finally:
                self.seconds[part(*args, **more)] += time.process_time() - began

        return timed

    def document(self, total: float) -> dict[str, float]:
        """Return the seconds of all parts, of which `total` contains the final evaluation."""
        processor = total - self.seconds["final"]
        known = self.seconds["stepping"] + self.seconds["evaluation"]
        parts = {key: self.seconds[key] for key in ("stepping", "evaluation")}
        return {"processor": processor, **parts, "learning": processor - known}


def ours(row: Row, seed: int) -> dict[str, Any]:
    """Train once, in a home of its own."""
    from kinemill.environments.card import make_card
    from kinemill.rl.evaluation import Evaluator
    from kinemill.rl.vec_env import CopiesEnv
    from kinemill.task import load_task
    from kinemill.train import stage as train

    changed = {**row.overrides, "learn.seed": seed, "track": []}
    if row.learned:
        changed["environment.model"] = str(dynamics(seed))
    task = load_task(row.task, changed)
    heard, parts = Timed(), Spent()
    CopiesEnv.step_wait = parts.of(lambda *_: "stepping", CopiesEnv.step_wait)
    final = task.environment.trials.episodes
    Evaluator.run = parts.of(
        lambda _, __, seeds: "final" if len(seeds) == final else "evaluation", Evaluator.run
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        card = make_card(task, home)
        spent = time.process_time()
        summary = train.run(task, home, card.ref, card.ref, (heard, NullReporter())).summary
        spent = time.process_time() - spent
    return {
        "reached": summary["reached"],
        "seconds": heard.seconds,
        **parts.document(spent),
        "steps": summary["steps"],
        "return": summary["final"]["return"],
        "success": summary["final"]["success"],
    }


def theirs(row: Row, seed: int) -> dict[str, Any]:
    """Train once with stable-baselines3, its tuned settings, evaluated as often as ours."""
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
        settings[name] = lambda left, first=first: left * first

    if std := library.get("action_noise"):  # of a single action
        settings["action_noise"] = NormalActionNoise(np.zeros(1), np.full(1, std))

    class Until(BaseCallback):
        """Evaluates from the same starts, at the target from new ones too, and then ends."""

        reached = False
        due = library["every"]

        def _on_step(self) -> bool:
            if self.num_timesteps < self.due:
                return True
            self.due += library["every"]
            found = self._returned(seed + 10**5)
            if found >= row.target:
                found = (found + self._returned(seed + 10**5 + self.num_timesteps)) / 2
            self.reached = bool(found >= row.target)
            return not self.reached

        def _returned(self, first: int) -> float:
            place = make_vec_env(library["id"], 1, seed=first)
            return float(evaluate_policy(self.model, place, 20)[0])

    environment, parts = make_vec_env(library["id"], library["copies"], seed=seed), Spent()
    environment.step_wait = parts.of(lambda: "stepping", environment.step_wait)
    Until._returned = parts.of(lambda *_: "evaluation", Until._returned)
    package = importlib.import_module(library.get("package", "stable_baselines3"))
    kind = getattr(package, library["class"])
    watch, began, spent = Until(), time.perf_counter(), time.process_time()
    policy = library.get("policy", "MlpPolicy")
    model = kind(policy, environment, seed=seed, device="cpu", **settings)
    model.learn(library["steps"], callback=watch)
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    final = evaluate_policy(model, make_vec_env(library["id"], 1, seed=10**6), EPISODES)[0]
    return {
        "reached": watch.reached,
        "seconds": seconds,
        **parts.document(spent),
        "steps": int(model.num_timesteps),
        "return": float(final),
    }


def file_of(name: str, seed: int) -> Path:
    """Return where a result is kept."""
    short = "".join(one if one.isalnum() else "_" for one in name.lower())
    return kept() / f"{short}-{seed}.json"


def prove(name: str, seed: int, wanted: Sequence[str] = SIDES) -> None:
    """Do one seed of one row, ours first for even seeds; what is finished is not done again."""
    for module in IMPORTS:  # else the side that comes first would pay for both
        importlib.import_module(module)
    row, path = ROWS[name], file_of(name, seed)
    done: dict[str, Any] = read_json(path) if path.is_file() else {}
    for side in SIDES if seed % 2 == 0 else SIDES[::-1]:
        if side in done or side not in wanted or (side == "theirs" and not row.library):
            continue
        done[side] = (ours if side == "ours" else theirs)(row, seed)
        publish_json(path, done)
        print(f"{name}, seed {seed}, {side}: {done[side]}", flush=True)


def finished(name: str) -> list[Any]:
    """Return the results of a row that are kept, one for each seed."""
    return [read_json(path) for k in range(SEEDS) if (path := file_of(name, k)).is_file()]


def report(is_ordinary: bool = False) -> str:
    """Return the table of what is finished; lines of other rows are those of docs/results.md.

    Args:
        is_ordinary: whether it is the table in which both sides step ordinary environments.
    """
    page, lines = RESULTS.read_text(), [HEAD]
    for name, row in ROWS.items():
        if is_ordinary != row.is_ordinary and not (is_ordinary and row.has_no_rows):
            continue
        results, starts = finished(name), (f"| {name}: ", f"| {name} |")
        if any("ours" in one for one in results):
            lines.append(_line(name, row, results))
        else:
            lines += [line for line in page.splitlines() if line.startswith(starts)][:1]
    return "\n".join(lines) + "\n"


def parts() -> str:
    """Return where the processor's time goes in CartPole, ours with both runners."""
    sides = {
        "kinemill, `native`": (CART, "ours"),
        "kinemill, `in_process`": (ORDINARY_CART, "ours"),
        "stable-baselines3": (ORDINARY_CART, "theirs"),
    }
    lines = [PARTS_HEAD]
    for side, (name, key) in sides.items():
        runs = [one[key] for one in finished(name) if key in one]
        steps = [one["steps"] for one in runs]
        cells = [spread([one[part] for one in runs]) for part in (*PARTS, "processor")]
        each = [
            spread([1e6 * one[part] / one["steps"] for one in runs])
            for part in ("stepping", "learning")
        ]
        lines.append(f"| {' | '.join([side, spread(steps, 0), *cells, *each])} |")
    return "\n".join(lines) + "\n"


def _line(name: str, row: Row, found: Sequence[Any]) -> str:
    own = [one["ours"] for one in found if "ours" in one]
    other = [one["theirs"] for one in found if "theirs" in one]
    pairs = [one for one in found if len(one) == len(SIDES)]
    bound = f" within {row.within:g} s" if row.within else ""
    aim = "" if row.target is None else f": {row.target:g}{bound}"
    cells = [name + aim, *_cells(row, own)]
    if pairs:
        shares = [[one["ours"][key] / one["theirs"][key] for one in pairs] for key in TIMES]
        cells += [*_cells(row, other), *(spread(ratios, 2) for ratios in shares)]
    return f"| {' | '.join([*cells, *['-'] * (11 - len(cells))])} |"


def _cells(row: Row, found: Sequence[Any]) -> list[str]:
    """Say of one side how many seeds reached the target, what they return, and how long it took."""
    wins = [one["success"] for one in found if one.get("success") is not None]
    solved = sum(one["reached"] for one in found)
    return [
        f"{len(found)} seeds" if row.target is None else f"{solved} of {len(found)}",
        spread([one["return"] for one in found]) + (f", success {spread(wins, 2)}" if wins else ""),
        *(spread([one[key] for one in found]) for key in TIMES),
    ]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Say the median of some values, with the lowest and the highest."""
    ends = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({ends})"


def main() -> None:
    """Prove what is asked for; each seed in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", choices=list(ROWS), help="one row alone")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--one", type=int, help="this seed, in this process")
    parser.add_argument("--side", choices=SIDES, action="append", help="default: both, in turn")
    parser.add_argument("--report", action="store_true", help="rewrite the table alone")
    parser.add_argument("--json", action="store_true", help="print what is finished as JSON")
    given = parser.parse_args()
    if given.one is not None:
        prove(given.row, given.one, given.side or SIDES)
        return
    for seed in () if given.report or given.json else range(given.seeds):
        for name in [given.row] if given.row else ROWS:
            command = [sys.executable, "-m", "benchmarks.prove_reinforcement", "--row", name]
            sides = [word for side in given.side or () for word in ("--side", side)]
            subprocess.run([*command, "--one", str(seed), *sides], check=True)
    if given.json:
        files = sorted(kept().glob("*.json"))
        print(json.dumps({path.stem: read_json(path) for path in files}, indent=2))
        return
    tables = {"reinforcement": report(), "reinforcement-ordinary": report(is_ordinary=True)}
    if all(finished(name) for name in (CART, ORDINARY_CART)):
        tables["reinforcement-parts"] = parts()
    for section, text in tables.items():
        print(f"## {section}\n\n{text}")
        if not given.row:
            replace_section(section, text)


if __name__ == "__main__":
    main()
