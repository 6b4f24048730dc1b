"""Recordings that share the artifacts of evaluated ones, to fill a home with a million of them.

Ingest and validation of one small log take 13 ms of CPU time and create ten files. What grows with
the number of recordings are the rows of the catalog, the memberships and the files of the folder,
so a copy gets new ones, entered by the library: a log with other bytes, its stat, its membership,
and a result with other episodes and another sketch. Its artifacts are those of the recording that
it copies, its raw bytes are not stored, and it is not compared with others when it is added.
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from kinemill import catalog
from kinemill.catalog import CatalogEntry, RecordingSet
from kinemill.catalog.history import set_digest
from kinemill.ingest.file_stat import FileStat, read_file_stat
from kinemill.ingest.membership import new_member, stage_entry
from kinemill.ingest.recordings import open_recording
from kinemill.ingest.scan_cache import ScanCache
from kinemill.store import Json, digest
from kinemill.store.atomic_write import Move, settle
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.duplicates.index import Sketched, open_index
from kinemill.validate.episodes import episode_id, rules
from kinemill.validate.evaluation import NewResult, evaluate_recording, listed
from kinemill.validate.expectations import suite_digest
from kinemill.validate.published import rules_digest
from kinemill.validate.results import Results, Update

BATCH = 10_000  # copies in one transaction
MODELS = 2_000  # recordings that are copied


class Copies:
    """Copies of the recordings of a home, all of which are ingested and validated.

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
        for start in range(self._evaluated, stop, BATCH):
            numbers = range(start, min(start + BATCH, stop))
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
