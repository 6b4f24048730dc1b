"""What one more recording costs among a thousand and among a hundred thousand: `make prove-scale`.

Two homes are filled through the library, `var/prove/scale-<number>/`, with logs of 0.6 s (three
channels, one in fifty broken). What is there already is kept, so a stopped proof goes on. Filling
leaves out fsync, which a proof does not need; measuring does not. Then each work is done in one
home right after the other, `ROUNDS` times: a new log is ingested and validated to a published
snapshot, named alone or found in its folder; nothing new; what the sensor does when nothing has
changed, with a watch on the folder as in the server, and by scanning; the dataset version and the
training set with the new episodes; pages of the quarantine, of the versions, of one of them and of
what two differ in. Wall time is what a person waits for; on a
machine that does other work the ratio of CPU time says more about what grows.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import ROOT, ROUNDS, replace_section
from kinemill.augment import stage as augment
from kinemill.dataset import (
    diff_datasets,
    find_version,
    list_datasets,
    show_dataset,
)
from kinemill.dataset import stage as dataset_stage
from kinemill.ingest import stage as ingest
from kinemill.ingest.arrivals import find_new_logs, watch_new_logs
from kinemill.process import tune_process
from kinemill.store import ArtifactRef, atomic_write
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate import stage as validate
from kinemill.validate.published import latest_episodes
from kinemill.validate.recording_status import held_back

FEW, MANY = 1_000, 100_000
BATCH = 20_000  # recordings taken between two lines of progress
BROKEN = 50  # one log in so many has a torque beyond the limits
DT, STEPS = 0.01, 60  # s
SWINGS = 6  # in a log; with three, one in ten of 20,000 is the same run as another by chance
TASK = Task.model_validate(
    {
        "task": "arm",
        "dt": DT,
        "channels": {
            "angle": {"role": "state", "kind": "angle", "unit": "rad"},
            "velocity": {"role": "state", "unit": "rad/s", "derivative_of": "angle"},
            "torque": {"role": "action", "unit": "N*m", "limits": [-5, 5]},
        },
        "ingest": {"min_file_age": 0.0},
        "validate": {"min_steps": 20},
        "learn": {"type": "dynamics", "model": {"type": "mlp"}},
    }
)


@dataclass(frozen=True)
class Place:
    """A home filled with a number of recordings, and the folder their logs came from."""

    recordings: int
    root: Path

    @property
    def home(self) -> Home:
        """The home."""
        return Home(self.root / "home")

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.root / "logs"


def write(path: Path, number: int) -> None:
    """Write a log of its own: swings at once, with speeds, rates and phases by its number."""
    random, t = np.random.default_rng(number), DT * np.arange(STEPS)[:, None]
    speed, phase = random.uniform(0.3, 2.0, SWINGS), random.uniform(0.0, 6.3, SWINGS)
    rate = random.uniform(5.0, 50.0, SWINGS)  # rad/s
    angle = (speed / rate * np.sin(rate * t + phase)).sum(axis=1)
    velocity = (speed * np.cos(rate * t + phase)).sum(axis=1)
    torque = np.sin(3.0 * t[:, 0] + phase[0]) if number % BROKEN else np.full(STEPS, 9.0)
    columns = [t[:, 0], angle, velocity, torque]
    rows = [",".join(f"{value:.6f}" for value in row) for row in zip(*columns, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["time,angle,velocity,torque", *rows, ""]))


def fill(place: Place) -> None:
    """Deliver what is missing, and take it."""
    for start in range(0, place.recordings, BATCH):
        numbers = range(start, min(start + BATCH, place.recordings))
        missing = [n for n in numbers if not (place.logs / _name(n)).is_file()]
        for number in missing:
            write(place.logs / _name(number), number)
        if missing:
            began = time.perf_counter()
            with _unsynced():
                take(place, place.logs)
            spent = time.perf_counter() - began
            print(f"{numbers.stop} recordings, {len(missing) / spent:.0f}/s", file=sys.stderr)
    with _unsynced():
        take(place, place.logs)


def _name(number: int) -> str:
    return f"{number // 1000:03d}/log-{number:06d}.csv"


@contextmanager
def _unsynced() -> Generator[None]:
    """Leave out fsync and syncfs: what is filled need not outlive the machine's fall."""
    before = os.fsync, atomic_write.MAX_SEPARATE
    os.fsync, atomic_write.MAX_SEPARATE = lambda _: None, sys.maxsize
    try:
        yield
    finally:
        os.fsync, atomic_write.MAX_SEPARATE = before


def take(place: Place, logs: Path) -> None:
    """Ingest and validate what is new, to published snapshots."""
    recordings = ingest.run(TASK, place.home, logs).artifact.ref
    validate.run(TASK, place.home, recordings)


class Spent(NamedTuple):
    """Seconds that one piece of work took: on the wall, and of all cores together."""

    wall: float
    cpu: float


Measured = dict[str, dict[int, list[Spent]]]


def measure(places: list[Place]) -> Measured:
    """Return what each round took, by what was done and number of recordings."""
    spent: Measured = {}
    for number in range(ROUNDS + 1):
        works = {place.recordings: _works(place) for place in places}
        for what in next(iter(works.values())):
            for recordings, each in works.items():
                wall, cpu = time.perf_counter(), time.process_time()
                each[what]()
                one = Spent(time.perf_counter() - wall, time.process_time() - cpu)
                if number:
                    spent.setdefault(what, {}).setdefault(recordings, []).append(one)
    return spent


def _works(place: Place) -> dict[str, Callable[[], object]]:
    """Return what is measured, in order; two new logs are written at once, one for each way."""
    fresh = time.time_ns() // BROKEN * BROKEN + 1  # not a broken one
    alone, among = place.root / "new" / f"{fresh}.csv", place.logs / "new" / f"{fresh + 1}.csv"
    write(alone, fresh)
    write(among, fresh + 1)
    home, name = place.home, TASK.name
    return {
        "add a log that is named": lambda: take(place, alone),
        "add a log found in its folder": lambda: take(place, place.logs),
        "take a folder with nothing new": lambda: take(place, place.logs),
        "tick of the sensor, nothing new": lambda: watch_new_logs(TASK, home, place.logs),
        "tick of the sensor, scanning": lambda: find_new_logs(TASK, home, place.logs),
        "dataset with two new episodes": lambda: dataset_stage.run(TASK, home, _last(place)),
        "training set of that": lambda: augment.run(TASK, home, find_version(home, name).ref),
        "first page of the quarantine": lambda: held_back(TASK, home, 0, 100),
        "page of dataset versions": lambda: list_datasets(home, name),
        "one version with a page of episodes": lambda: show_dataset(home, name),
        "what two versions differ in": lambda: diff_datasets(home, name, *_newest_two(place)),
    }


def _last(place: Place) -> ArtifactRef:
    """Return the episodes that were published last."""
    ref = latest_episodes(place.home, TASK.name)
    assert ref
    return ref


def _newest_two(place: Place) -> tuple[str, str]:
    newest = find_version(place.home, TASK.name).number
    return str(max(newest - 1, 1)), str(newest)


def table(measured: Measured) -> str:
    """Return a Markdown table: medians in ms with least and most, CPU ms; medians of ratios."""
    few, many = next(iter(measured.values()))
    lines = [
        f"| work | among {few:,} | among {many:,} | ratio | CPU | CPU | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, found in measured.items():
        walls, cpus = ([[one[at] for one in found[n]] for n in (few, many)] for at in (0, 1))
        cells = [*map(_cell, walls), _ratio(walls), *map(_middle, cpus), _ratio(cpus)]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _ratio(both: list[list[float]]) -> str:
    return f"{statistics.median(many / few for few, many in zip(*both, strict=True)):.2f}"


def _middle(values: list[float]) -> str:
    return f"{1e3 * statistics.median(values):.0f} ms"


def _cell(values: list[float]) -> str:
    return f"{_middle(values)} ({1e3 * min(values):.0f} to {1e3 * max(values):.0f})"


def main() -> None:
    """Fill both homes, measure them, and rewrite the section `scale` of docs/results.md."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--recordings", type=int, default=MANY)
    asked.add_argument("--folder", type=Path, default=ROOT / "var" / "prove")
    asked.add_argument("--json", action="store_true", help="print figures, and leave the page")
    given = asked.parse_args()
    tune_process()  # as every process of kinemill's
    places = [Place(n, given.folder / f"scale-{n}") for n in (FEW, given.recordings)]
    for place in places:
        fill(place)
    measured = measure(places)
    if given.json:
        print(json.dumps({"seconds": measured}))
    elif given.recordings >= MANY:
        replace_section("scale", table(measured))
    print(table(measured), file=sys.stderr)


if __name__ == "__main__":
    main()
