"""Time of a search among a thousand and among a million recordings of 30 channels.

Each view is written through the segment writer with synthetic rows: eight segments' worth of
batches, then single recordings that replace earlier ones, as arriving logs do. Then each query runs
in this process, a page of 100 rows each, `ROUNDS` times after a warm-up. The update of a
view is measured by `benchmarks.prove_scale`. Memory is the largest resident size of a separate
process that searches.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import ROUNDS
from benchmarks.ingest import _largest_resident
from kinemill.process import tune_process
from kinemill.search.changes import Position
from kinemill.search.rows import schema
from kinemill.search.run import Page, search_view
from kinemill.search.segments import FORMAT, Pointer, Segments
from kinemill.search.view import View
from kinemill.store.home import Home
from kinemill.task import Task

SMALL, LARGE = 1_000, 1_000_000
CHANNELS = 30
BATCHES, SINGLE = 8, 40  # tables of a view, and recordings that are replaced one by one
QUERIES = {
    "metadata, statistic, status": "robot = 'r7' and firmware >= '2.10' "
    "and max(c3) > 1 and status <> 'quarantined'",
    "one status": "status = 'quarantined'",
    "three statistics": "max(c1) > 1 or min(c2) < -1 or std(c3) < 0",
    "check result": "array_contains(found, 'spike')",
    "pattern of names": "name like '%/log-00%7.csv'",
    "time range": "start >= '2026-03-01' and start < '2026-04-01'",
    "metadata as numbers": "TRY_CAST(batch AS DOUBLE) > 990",
    "all, first page": "",
}
TASK = Task.model_validate(
    {
        "task": "arm",
        "dt": 0.01,
        "channels": {
            f"c{index}": {"role": "state" if index else "action", "unit": "rad"}
            for index in range(CHANNELS)
        },
        "learn": {"type": "dynamics"},
    }
)


def rows(numbers: range) -> pl.DataFrame:
    """Return synthetic rows of a view, one for each number."""
    random, count = np.random.default_rng(numbers.start), len(numbers)
    stamps = pl.Series(1_767_225_600 + 300 * np.arange(numbers.start, numbers.stop)) * 1_000_000
    columns: dict[str, object] = {
        "recording": [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers],
        "name": [f"{number // 1000:04d}/log-{number:07d}.csv" for number in numbers],
        "status": [("accepted", "partly", "quarantined")[number % 3] for number in numbers],
        "start": stamps.cast(pl.Datetime("us", "UTC")),
        "found": [["spike"] if number % 50 == 0 else [] for number in numbers],
        "meta.robot": [f"r{number % 100}" for number in numbers],
        "meta.firmware": [f"2.{number % 30}" for number in numbers],
        "meta.batch": [str(number % 1000) for number in numbers],
    }
    own = schema(TASK)
    for name, dtype in own.items():
        if dtype == pl.Int64:
            columns[name] = random.integers(0, 10_000, count)
        elif dtype == pl.Float64:
            columns[name] = random.normal(size=count)
    return pl.DataFrame(columns, schema_overrides=own)


def write(folder: Path, recordings: int) -> Pointer:
    """Write the view of a number of recordings into a folder, and return its pointer."""
    each = -(-recordings // BATCHES)

    def batches() -> Iterator[pl.DataFrame]:
        for start in range(0, recordings, each):
            yield rows(range(start, min(start + each, recordings)))

    segments = Segments(folder)
    pointer = segments.update(Pointer(FORMAT, "rules", Position()), batches(), set())
    for number in range(SINGLE):
        pointer = segments.update(pointer, [rows(range(number, number + 1))], set())
    return pointer


def measure(folder: Path, home: Home) -> dict[str, list[float]]:
    """Return the seconds of each round by query, for the view in a folder."""
    segments = Segments(folder)
    pointer = segments.read("rules")
    assert pointer
    view, spent = View(TASK, segments, pointer), dict[str, list[float]]()
    for number in range(ROUNDS + 1):
        for what, query in QUERIES.items():
            began = time.perf_counter()
            search_view(view, home, query, Page(limit=100))
            if number:
                spent.setdefault(what, []).append(time.perf_counter() - began)
    return spent


def table(small: dict[str, list[float]], large: dict[str, list[float]], recordings: int) -> str:
    """Return a Markdown table: medians in ms with least and most, and their ratio."""
    lines = [f"| search | among {SMALL:,} | among {recordings:,} | ratio |", "|---|---|---|---|"]
    for what, seconds in large.items():
        ratio = statistics.median(seconds) / statistics.median(small[what])
        lines.append(f"| {what} | {_cell(small[what])} | {_cell(seconds)} | {ratio:.1f} |")
    return "\n".join(lines) + "\n"


def _cell(seconds: list[float]) -> str:
    milliseconds = [1e3 * one for one in seconds]
    low, high = min(milliseconds), max(milliseconds)
    return f"{statistics.median(milliseconds):.0f} ms ({low:.0f} to {high:.0f})"


def main() -> None:
    """Measure; `--peak FOLDER` is how this calls itself for its memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=LARGE)
    parser.add_argument("--json", action="store_true", help="print figures, not a table")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    tune_process()  # as every process of kinemill's
    if options.peak:
        seconds = measure(options.peak, Home(options.peak))
        print(json.dumps({"seconds": seconds, "megabytes": _largest_resident()}))
        return
    results = list[dict[str, dict[str, list[float]]]]()
    with tempfile.TemporaryDirectory() as scratch:
        for recordings in (SMALL, options.recordings):
            folder = Path(scratch) / str(recordings)
            write(folder, recordings)
            command = [sys.executable, "-m", "benchmarks.search", "--peak", str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results.append(json.loads(done.stdout))
    small, large = results
    text = table(small["seconds"], large["seconds"], options.recordings)
    print(json.dumps({"few": small, "many": large}) if options.json else text)
    print(f"{large['megabytes']:.0f} MB resident at most", file=sys.stderr)


if __name__ == "__main__":
    main()
