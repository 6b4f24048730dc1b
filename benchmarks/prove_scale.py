"""Cost of one more recording among 1,000 and among 1,000,000: `make prove-scale`.

Fills two homes through the library, `prove/scale/` of KINEMILL_HOME, with logs of 0.6 s (three
channels, one in fifty broken). The first 20,000 are ingested and validated; the others are copies
of them (`benchmarks/_scale_copies.py`). Existing recordings are reused, so an interrupted run
resumes. Filling skips fsync; measuring does not. Then runs each operation `ROUNDS` times,
alternating between the homes: ingest and validate a new log, named or found by a scan; a scan
without new logs; the sensor tick without changes, with a watch on the folder as in the server, and
by scanning; the dataset version and the training set with the new episodes; pages of the
quarantine, of the versions, of one version and of the difference of two; a search by a statistic
and a status. On a machine with other jobs, the ratio of CPU time is more reliable than that of wall
time.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import ROUNDS, _proof
from benchmarks._scale_copies import Copies
from kinemill.augment import stage as augment
from kinemill.dataset import diff_datasets, find_version, list_datasets, show_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.ingest import stage as ingest
from kinemill.ingest.arrivals import find_new_logs, watch_new_logs
from kinemill.process import tune_process
from kinemill.search import search
from kinemill.search.run import Page
from kinemill.store import ArtifactRef, atomic_write
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate import stage as validate
from kinemill.validate.published import latest_episodes
from kinemill.validate.recording_status import held_back

SMALL, LARGE = 1_000, 1_000_000
EVALUATED = 20_000  # recordings that are ingested and validated; the others are copies of them
BATCH = 20_000  # recordings between two lines of progress
BROKEN = 50  # every 50th log has a torque outside the limits
DT, STEPS = 0.01, 60  # s
SWINGS = 6  # in a log; with three, one in ten of 20,000 is the same run as another by chance
QUERY = "max(velocity) > 4 and not quarantined"
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
class FilledHome:
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
    """Write a unique log: a sum of swings with speeds, rates and phases from its number."""
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


def fill(filled: FilledHome) -> None:
    """Write the missing logs, then ingest and validate them; add copies up to the number."""
    evaluated = min(filled.recordings, EVALUATED)
    for start in range(0, evaluated, BATCH):
        numbers = range(start, min(start + BATCH, evaluated))
        missing = [n for n in numbers if not (filled.logs / _name(n)).is_file()]
        for number in missing:
            write(filled.logs / _name(number), number)
        if missing:
            began = time.perf_counter()
            with _unsynced():
                ingest_and_validate(filled, filled.logs)
            spent = time.perf_counter() - began
            print(f"{numbers.stop} recordings, {len(missing) / spent:.0f}/s", file=sys.stderr)
    with _unsynced():
        Copies(TASK, filled.home, filled.logs, _name, evaluated).add(filled.recordings)
        ingest_and_validate(filled, filled.logs)


def _name(number: int) -> str:
    return f"{number // 1000:03d}/log-{number:06d}.csv"


@contextmanager
def _unsynced() -> Generator[None]:
    """Skip fsync and syncfs: filled data need not survive a power loss."""
    original = os.fsync, atomic_write.MAX_SEPARATE
    os.fsync, atomic_write.MAX_SEPARATE = lambda _: None, sys.maxsize
    try:
        yield
    finally:
        os.fsync, atomic_write.MAX_SEPARATE = original


def ingest_and_validate(filled: FilledHome, logs: Path) -> None:
    """Ingest and validate new logs, and publish the snapshots."""
    recordings = ingest.run(TASK, filled.home, logs).artifact.ref
    validate.run(TASK, filled.home, recordings)


class Spent(NamedTuple):
    """Seconds of one operation: wall-clock, and CPU time of all cores."""

    wall: float
    cpu: float


Measured = dict[str, dict[int, list[Spent]]]


def measure(filled_homes: list[FilledHome]) -> Measured:
    """Return the times of each round, by operation and number of recordings."""
    spent: Measured = {}
    for number in range(ROUNDS + 1):
        works = {filled.recordings: _works(filled) for filled in filled_homes}
        for what in next(iter(works.values())):
            for recordings, each in works.items():
                wall, cpu = time.perf_counter(), time.process_time()
                each[what]()
                one = Spent(time.perf_counter() - wall, time.process_time() - cpu)
                if number:
                    spent.setdefault(what, {}).setdefault(recordings, []).append(one)
    return spent


def _works(filled: FilledHome) -> dict[str, Callable[[], object]]:
    """Return the operations in order; writes two new logs, one for each way to add it."""
    fresh = time.time_ns() // BROKEN * BROKEN + 1  # not a broken one
    alone, among = filled.root / "new" / f"{fresh}.csv", filled.logs / "new" / f"{fresh + 1}.csv"
    write(alone, fresh)
    write(among, fresh + 1)
    home, name = filled.home, TASK.name
    return {
        "add a named log": lambda: ingest_and_validate(filled, alone),
        "add a log by scanning its folder": lambda: ingest_and_validate(filled, filled.logs),
        "scan a folder without new logs": lambda: ingest_and_validate(filled, filled.logs),
        "sensor tick without new logs": lambda: watch_new_logs(TASK, home, filled.logs),
        "sensor tick by scanning": lambda: find_new_logs(TASK, home, filled.logs),
        "dataset version with two new episodes": lambda: dataset_stage.run(
            TASK, home, _last(filled)
        ),
        "training set of that version": lambda: augment.run(
            TASK, home, find_version(home, name).ref
        ),
        "first page of the quarantine": lambda: held_back(TASK, home, 0, 100),
        "search after new logs": lambda: search(TASK, home, QUERY, Page(limit=100)),
        "search": lambda: search(TASK, home, QUERY, Page(limit=100)),
        "page of dataset versions": lambda: list_datasets(home, name),
        "page of one version with episodes": lambda: show_dataset(home, name),
        "difference of two versions": lambda: diff_datasets(home, name, *_newest_two(filled)),
    }


def _last(filled: FilledHome) -> ArtifactRef:
    """Return the last published episodes."""
    ref = latest_episodes(filled.home, TASK.name)
    assert ref
    return ref


def _newest_two(filled: FilledHome) -> tuple[str, str]:
    newest = find_version(filled.home, TASK.name).number
    return str(max(newest - 1, 1)), str(newest)


def table(measured: Measured) -> str:
    """Return a Markdown table: medians in ms with minimum and maximum, and medians of ratios."""
    small, large = next(iter(measured.values()))
    head = ["work", f"among {small:,}", f"among {large:,}", "ratio", "ratio of CPU"]
    rows = list[list[str]]()
    for what, by_size in measured.items():
        walls, cpus = ([[one[at] for one in by_size[n]] for n in (small, large)] for at in (0, 1))
        rows.append([what, *map(_cell, walls), _ratio(walls), _ratio(cpus)])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{_proof.table(head, rows)}\nPeak memory of the process: {peak:,.0f} MB.\n"


def _ratio(samples: list[list[float]]) -> str:
    return f"{statistics.median(large / small for small, large in zip(*samples, strict=True)):.2f}"


def _middle(values: list[float]) -> str:
    return f"{1e3 * statistics.median(values):.0f} ms"


def _cell(values: list[float]) -> str:
    return f"{_middle(values)} ({1e3 * min(values):.0f} to {1e3 * max(values):.0f})"


def main() -> None:
    """Fill both homes, measure them, and rewrite the section `scale` of docs/results-*.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=LARGE)
    parser.add_argument("--folder", type=Path, default=_proof.results_folder("scale"))
    options = parser.parse_args()
    tune_process()  # as in every process of kinemill
    filled_homes = [FilledHome(n, options.folder / str(n)) for n in (SMALL, options.recordings)]
    for filled in filled_homes:
        fill(filled)
    measured = measure(filled_homes)
    if options.recordings >= LARGE:
        _proof.write("scale", table(measured))
    else:
        print(table(measured))


if __name__ == "__main__":
    main()
