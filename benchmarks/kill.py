"""SIGKILL at random moments of training: `python -m benchmarks.kill --kills 100 --seed 0`.

A small double pendulum is learned on the CPU, once without interruption. Then a new
training starts for each kill, in a separate home. It is killed at a moment drawn uniformly over its
steps (and the time before the first and after the last step), and started again. Its published
files must be identical, byte for byte, to those of the uninterrupted training, and it must not
repeat more steps than lie between two checkpoints. If a training ends before its kill, it starts
again with the next moment.
Rewrites the section `kill` of docs/results-*.md, except with `--json`; exits with 1 if weights
differ or more steps were repeated.
"""

import argparse
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import Row, replace_section, row, table
from benchmarks._killing import SAVE_EVERY, Site, Trainings, prepare, published, steps_in
from kinemill.store.home import Home
from kinemill.train.warm_start import WEIGHTS

KILLS, AT_ONCE = 100, 2
OUTSIDE_SHARE = 0.1  # share of kills before the first step, and after the last, over those between
LOOK_EVERY, AFTER, ASIDE = 0.001, 0.02, 0.3  # s between looks; at most, after a look told to kill


@dataclass(frozen=True)
class Whole:
    """A training that nothing interrupted: its files' sha256, its steps, the s that it took."""

    files: dict[str, str]
    steps: int
    seconds: float


@dataclass(frozen=True)
class Trial:
    """What came of one kill.

    Attributes:
        early: trainings that were over before their kill came.
        reached: steps done when the kill came.
        resumed: the step that the next training went on from.
        differs: files of the model that are not those of the training that nothing interrupted.
    """

    early: int
    reached: int
    resumed: int
    differs: tuple[str, ...]

    @property
    def lost(self) -> int:
        """Steps that had to be done twice."""
        return self.reached - self.resumed


def kill_one(trainings: Trainings, whole: Whole, draw: str) -> Trial:
    """Kill one training, continue it, and compare."""
    moments, early = random.Random(draw), 0
    while True:
        folder = trainings.site.home.root.parent / f"{draw}-{early}"
        home = trainings.site.copy(folder)
        process = trainings.start(home, folder / "before")
        _wait(process, folder / "before", whole.steps, moments)
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            break
        shutil.rmtree(folder)
        early += 1
    trial = _after(trainings, home, whole, early)
    shutil.rmtree(folder)
    return trial


def _wait(process: Any, watch: Path, steps: int, moments: random.Random) -> None:
    """Wait for a moment, evenly over the steps of a training and somewhat before and after."""
    at = moments.uniform(-OUTSIDE_SHARE, 1.0 + OUTSIDE_SHARE) * steps
    while process.is_alive() and steps_in(watch)[1] < min(at, steps):
        time.sleep(LOOK_EVERY)
    time.sleep(moments.uniform(0.0, AFTER if 0.0 < at < steps else ASIDE))


def _after(trainings: Trainings, home: Home, whole: Whole, early: int) -> Trial:
    """Go on with the training that was killed in a home, and compare."""
    home_before, home_after = home.root / "before", home.root / "after"
    _, reached = steps_in(home_before)
    trainings.finish(home, home_after)
    first, _ = steps_in(home_after)
    digests = published(home)
    resumed = first - 1 if first else reached  # all its steps were done, or even published
    names = sorted(digests.keys() | whole.files.keys())
    differs = tuple(name for name in names if digests.get(name) != whole.files.get(name))
    return Trial(early, reached, resumed, differs)


def measure(kills: int, seed: int, folder: Path) -> tuple[list[Trial], Whole]:
    """Return what came of each kill, and of no kill."""
    site: Site = prepare(folder)
    trainings = Trainings(site)
    trainings.finish(site.copy(folder / "first"), folder / "first-watch")  # starts the server
    home, began = site.copy(folder / "whole"), time.perf_counter()
    trainings.finish(home, folder / "whole-watch")
    seconds = time.perf_counter() - began
    whole = Whole(published(home), steps_in(folder / "whole-watch")[1], seconds)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [
            pool.submit(kill_one, trainings, whole, f"{seed}-{number}") for number in range(kills)
        ]
        trials = list[Trial]()
        for one in waiting:
            trials.append(one.result())
            sys.stderr.write(f"{len(trials)}/{kills} {trials[-1]}\n")
    return trials, whole


def rows(trials: list[Trial], whole: Whole) -> list[Row]:
    """Return the rows of the table."""
    kills, lost = float(len(trials)), [trial.lost for trial in trials]
    between = {f"{SAVE_EVERY} between checkpoints": float(SAVE_EVERY)}
    weights = float(sum(WEIGHTS not in trial.differs for trial in trials))
    rest = float(sum(not trial.differs for trial in trials))
    within = sum(0 < trial.reached < whole.steps for trial in trials)
    return [
        row("identical weights (sha256) after SIGKILL", "trainings", weights, {"killed": kills}),
        row("identical curves, figure and summary", "trainings", rest, {"killed": kills}),
        row("steps lost to a kill, maximum", "steps", float(max(lost)), between),
        row("steps lost to a kill, median", "steps", float(statistics.median(lost)), between),
        row("killed between first and last step", "trainings", float(within), {}),
        row(f"{whole.steps} steps without a kill, total", "s", whole.seconds, {}),
    ]


def main() -> int:
    """Kill, compare, print; return 1 where a training did not go on as it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print figures, and leave the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trials, whole = measure(options.kills, options.seed, Path(folder))
    result_rows = rows(trials, whole)
    if options.json:
        print(json.dumps({"rows": result_rows}))
    else:
        print(f"## kill\n\n{table(result_rows)}")
        if options.kills >= KILLS:
            replace_section("kill", table(result_rows))
    well = all(not trial.differs and trial.lost <= SAVE_EVERY for trial in trials)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
