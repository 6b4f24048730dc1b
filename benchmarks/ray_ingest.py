"""Ingest by Ray, one raylet against two, a core each: `python -m benchmarks.ray_ingest`.

Each round ingests the same new logs into two empty homes: with one raylet, and with two. Each
raylet is pinned to a core, and all share a catalog in PostgreSQL. `read` is the part that is spread
over the nodes, start of the workers included; `ingest` adds the ingest that follows it, on one
core. Ray gives its workers niceness 15, and here 0: other jobs on the machine would slow them down.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from benchmarks._servers import add_node, new_database, postgres, ray_head
from benchmarks.prove_scale import TASK, write
from kinemill.ingest import stage as ingest
from kinemill.store.home import Home
from kinemill_dagster.resources.ray_ingest import read_on_nodes

LOGS = 10_000


def measure(logs: Path, workers: int, database: str) -> tuple[float, float]:
    """Return the seconds of `read` and of `ingest` with a number of raylets."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["KINEMILL_DATABASE"] = new_database(database)
        cluster = stack.enter_context(ray_head())
        for core in range(workers):
            _pin(add_node(cluster), core)
        compute = {"type": "ray", "address": cluster.address, "workers": workers, "ingest_from": 1}
        task = TASK.model_validate({**TASK.model_dump(by_alias=True), "compute": compute})
        home, problems = Home(root / "home"), list[str]()
        began = time.perf_counter()
        read_on_nodes(task, home, logs, problems.append)
        read = time.perf_counter() - began
        artifacts = len(list((home.store / "recording" / task.name).iterdir()))
        count = len(list(logs.iterdir()))
        assert artifacts == count, (artifacts, count, problems)
        report = ingest.run(task, home, logs)
        whole = time.perf_counter() - began
        assert report.artifact.summary["recordings"] == count
        return read, whole


def _pin(node: Any, core: int) -> None:
    """Keep a raylet and the workers that it starts on one core."""
    raylet = psutil.Process(next(iter(node.all_processes["raylet"])).process.pid)
    for process in (raylet, *raylet.children(recursive=True)):
        process.cpu_affinity([core])


def main() -> None:
    """Print the seconds of each round, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=LOGS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    rounds = list[dict[str, Sequence[float]]]()
    with tempfile.TemporaryDirectory() as folder, postgres() as database:
        logs = Path(folder)
        for number in range(options.logs):
            write(logs / f"log-{number:06d}.csv", number)
        for _ in range(options.rounds):
            times = {str(count): measure(logs, count, database) for count in (1, 2)}
            rounds.append(times)
            print(json.dumps(times), flush=True)
    for index, what in enumerate(("read", "ingest")):
        ratios = [times["1"][index] / times["2"][index] for times in rounds]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(
            f"{what}: two raylets are {middle:.2f} ({low:.2f} to {high:.2f}) times as fast as one"
        )


if __name__ == "__main__":
    main()
