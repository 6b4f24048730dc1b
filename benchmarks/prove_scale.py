"""Cost of one more recording among 1,000 and among 1,000,000: `make prove-scale`.

Fills two homes through the library, `prove/scale/` of KINEMILL_HOME, with logs of 0.6 s (three
channels, one in fifty broken). The first 20,000 are ingested and validated; the others are copies
of them, see `Copies`. Existing recordings are reused, so an interrupted run
resumes. Filling skips fsync; measuring does not. Then runs each operation `ROUNDS` times,
alternating between the homes: ingest and validate a new log, named or found by a scan; a scan
without new logs; the sensor tick without changes, with a watch on the folder as in the server, and
by scanning; the dataset version and the training set with the new episodes; pages of the
quarantine, of the versions, of one version and of the difference of two; a search by a statistic
and a status. On a machine with other jobs, the ratio of CPU time is more reliable than that of wall
time.
"""

import argparse
import hashlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import ROUNDS, _proof, largest_resident
from kinemill import catalog
from kinemill.augment import stage as augment
from kinemill.catalog import CatalogEntry, RecordingSet
from kinemill.catalog.history import set_digest
from kinemill.dataset import find_version, list_datasets, show_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.ingest import stage as ingest
from kinemill.ingest.arrivals import find_new_logs, watch_new_logs
from kinemill.ingest.file_stat import FileStat, read_file_stat
from kinemill.ingest.membership import new_member, stage_entry
from kinemill.ingest.recordings import open_recording
from kinemill.ingest.scan_cache import ScanCache
from kinemill.process import tune_process
from kinemill.search import search
from kinemill.search.run import Page
from kinemill.store import ArtifactRef, Json, atomic_write, digest
from kinemill.store.atomic_write import Move, settle
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate import stage as validate
from kinemill.validate.duplicates.index import Sketched, open_index
from kinemill.validate.episodes import episode_id, rules
from kinemill.validate.evaluation import NewResult, evaluate_recording, listed
from kinemill.validate.expectations import suite_digest
from kinemill.validate.published import latest_episodes, rules_digest
from kinemill.validate.recording_status import held_back
from kinemill.validate.results import Results, Update

SMALL, LARGE = 1_000, 1_000_000
EVALUATED = 20_000  # recordings that are ingested and validated; the others are copies of them
BATCH = 20_000  # recordings between two lines of progress
COPIES = 10_000  # in one transaction
MODELS = 2_000  # recordings that are copied
BROKEN = 50  # every 50th log has a torque outside the limits
DT, STEPS = 0.01, 60  # s
SWINGS = 6  # in a log; with three, one in ten of 20,000 is the same run as another by chance
QUERY = "max(velocity) > 4 and status != 'quarantined'"
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


class Copies:
    """Copies of the recordings of a home, all of which are ingested and validated.

    Ingest and validation of one small log take 13 ms of CPU time and create ten files. What grows
    with the number of recordings are the rows of the catalog, the memberships and the files of the
    folder, so a copy gets new ones, entered by the library: a log with other bytes, its stat, its
    membership, and a result with other episodes and another sketch. Its artifacts are those of the
    recording that it copies, its raw bytes are not stored, and it is not compared with others when
    it is added.

    Args:
        task: their task.
        home: the home to fill.
        logs: its folder of logs.
        name: returns the name of a log in that folder by its number.
        evaluated: number of evaluated logs, which have the first numbers.
    """

    def __init__(
        self, task: Task, home: Home, logs: Path, name: Callable[[int], str], evaluated: int
    ) -> None:
        self._task, self._home, self._logs, self._name = task, home, logs, name
        self._cache = ScanCache(task, home, logs)
        self._evaluated = evaluated
        self._models: list[tuple[str, CatalogEntry, NewResult]] = []  # with the text of the log

    def add(self, stop: int) -> None:
        """Add the copies with numbers below `stop` that are missing."""
        for start in range(self._evaluated, stop, COPIES):
            numbers = range(start, min(start + COPIES, stop))
            if not self._cache.find([self._name(numbers[-1])]):
                began = time.perf_counter()
                self._add(numbers)
                rate = len(numbers) / (time.perf_counter() - began)
                print(f"{numbers.stop} recordings, {rate:.0f}/s", file=sys.stderr)

    def _add(self, numbers: Sequence[int]) -> None:
        """Add a batch; its stats come last, so that they tell that the batch is complete."""
        task, home = self._task, self._home
        models = self._models = self._models or self._read_models()
        random = np.random.default_rng(numbers[0])
        entries, results, stats = list[CatalogEntry](), list[NewResult](), dict[FileStat, bytes]()
        moves, sketches = list[Move](), list[Sketched]()
        for number in numbers:
            text, entry, result = models[number % len(models)]
            stat, hash_ = self._write(text, number)
            moves += stage_entry(home, task.name, new_member(hash_, stat.label, stat.size))
            entries.append(replace(entry, hash=hash_, name=stat.label))
            results.append(_copy(result, hash_, stat.label))
            stats[stat] = bytes.fromhex(hash_)
            other = models[int(random.integers(len(models)))][2]
            sketches += _mix(results[-1], other, random)
        settle(moves)
        head = catalog.read_head(home, task.name)
        assert head
        catalog.amend(home, task.name, {one.hash: one for one in entries}, head.by)
        by = rules_digest(task, suite_digest(home, task.name))
        Results(task, home).enter(Update(results), by)
        with open_index(home, task) as index:
            index.insert(sketches)
        self._cache.write(stats, [], time.time() + 10.0)

    def _read_models(self) -> list[tuple[str, CatalogEntry, NewResult]]:
        head = catalog.read_head(self._home, self._task.name)
        assert head
        task_rules = rules(self._task)
        entries = RecordingSet(self._home, self._task.name, head.change)
        names = {self._name(number) for number in range(min(self._evaluated, MODELS))}
        return [
            ((self._logs / entry.name).read_text(), entry, self._result(entry, task_rules))
            for entry in entries
            if entry.name in names
        ]

    def _result(self, entry: CatalogEntry, task_rules: Json) -> NewResult:
        recording = open_recording(self._home, entry)
        return evaluate_recording(self._task, self._home, recording, task_rules)

    def _write(self, text: str, number: int) -> tuple[FileStat, str]:
        """Write a log with other digits at the end; return its stat and content hash."""
        data = f"{text.rstrip()}{number:07d}\n".encode()
        path = self._logs / self._name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        stat = read_file_stat(os.fspath(self._logs), self._name(number))
        assert stat
        return stat, hashlib.sha256(data).hexdigest()


def _copy(model: NewResult, hash_: str, name: str) -> NewResult:
    episodes = [
        replace(one, id=episode_id(hash_, number))
        for number, one in enumerate(model.result.episodes)
    ]
    row = replace(model.row, hash=hash_, name=name)
    result = replace(model.result, hash=hash_, episodes=episodes)
    set_ = set_digest(bytes.fromhex(digest(asdict(one))) for one in listed(row, result))
    details = replace(model.details, episodes=set_)
    return NewResult(row, details, result)


def _mix(one: NewResult, other: NewResult, random: np.random.Generator) -> list[Sketched]:
    """Return sketches of a course between those of two recordings, which no other copy has."""
    shares = random.uniform(-1.0, 1.0, 2)
    return [
        replace(
            mine,
            sketch=replace(
                mine.sketch,
                points=(shares @ np.array([mine.sketch.points, yours.sketch.points])).tolist(),
                begins=[digest([one.row.hash])],
            ),
        )
        for mine, yours in zip(one.sketches, other.sketches, strict=False)
    ]


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
    }


def _last(filled: FilledHome) -> ArtifactRef:
    """Return the last published episodes."""
    ref = latest_episodes(filled.home, TASK.name)
    assert ref
    return ref


def table(measured: Measured) -> str:
    """Return a Markdown table: medians in ms with minimum and maximum, and medians of ratios."""
    small, large = next(iter(measured.values()))
    head = ["work", f"among {small:,}", f"among {large:,}", "ratio", "ratio of CPU"]
    rows = list[list[str]]()
    for what, by_size in measured.items():
        walls, cpus = ([[one[at] for one in by_size[n]] for n in (small, large)] for at in (0, 1))
        rows.append([what, *map(_cell, walls), _ratio(walls), _ratio(cpus)])
    peak = f"Peak memory of the process: {largest_resident():,.0f} MB."
    return f"{_proof.table(head, rows)}\n{peak}\n"


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
