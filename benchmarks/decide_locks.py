"""File locks: `kinemill.store.locks` against filelock, with processes that compete and die.

Run `python -m benchmarks.decide_locks`. The result is docs/decisions/retries-and-locks.md.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from filelock import FileLock

from kinemill.store.home import Home
from kinemill.store.locks import lock

KINDS = ("kinemill", "filelock")
WORKERS, SECONDS, HOLD = 4, 5.0, 0.002
KILLS = 10


def main() -> None:
    """Print one line for each lock and question."""
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{kind}: the next waiter starts {_after_kill(kind, folder)} ms after a SIGKILL")
            print(f"{kind}: {_free(kind, folder):.0f} us to acquire and release a free lock")
            turns, wait = _compete(kind, folder)
            print(f"{kind}: turns {turns} of each process, longest wait {wait * 1e3:.0f} ms")


def _lock(kind: str, folder: str) -> AbstractContextManager[object]:
    return lock(Home(Path(folder)), "x") if kind == "kinemill" else FileLock(f"{folder}/x.lock")


def _worker(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.decide_locks", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _after_kill(kind: str, folder: str) -> str:
    waits = []
    for _ in range(KILLS):
        holder = _worker("hold", kind, folder)
        holder.stdout.readline()
        waiter = _worker("hold", kind, folder)
        time.sleep(1.5)  # until it waits
        killed = time.time()
        os.kill(holder.pid, signal.SIGKILL)
        waits.append(1e3 * (float(waiter.stdout.readline()) - killed))
        for process in (holder, waiter):
            process.kill()
            process.wait()
    return f"{np.median(waits):.1f} (largest {max(waits):.1f})"


def _free(kind: str, folder: str) -> float:
    began = time.perf_counter()
    for _ in range(300):
        with _lock(kind, folder):
            pass
    return (time.perf_counter() - began) / 300 * 1e6


def _compete(kind: str, folder: str) -> tuple[list[int], float]:
    start = time.time() + 3.0
    workers = [_worker("compete", kind, folder, str(start)) for _ in range(WORKERS)]
    results = [worker.communicate()[0].split() for worker in workers]
    return sorted(int(count) for count, _ in results), max(float(wait) for _, wait in results)


def _run_worker(what: str, kind: str, folder: str, start: str = "0") -> None:
    if what == "hold":
        with _lock(kind, folder):
            print(time.time(), flush=True)
            time.sleep(60)
    time.sleep(max(float(start) - time.time(), 0.0))
    turns, longest, end = 0, 0.0, float(start) + SECONDS
    while (began := time.time()) < end:
        with _lock(kind, folder):
            longest = max(longest, time.time() - began)
            turns += 1
            time.sleep(HOLD)
    print(turns, longest)


if __name__ == "__main__":
    if sys.argv[1:]:
        _run_worker(*sys.argv[1:])
    else:
        main()
