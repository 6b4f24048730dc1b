"""Parts of a self-test: result lines and latency."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kinemill.store.json_io import Json

BLOCKS = 5
CALLS = 1000

Line = Json  # name, passed, found, wanted
Latencies = dict[str, dict[str, float]]  # percentiles in ms by name of the call


def line(name: str, passed: bool, measured: str, expected: str) -> Line:
    """Return the result of one check: its name, whether it passed, and what was expected."""
    return {"name": name, "passed": bool(passed), "found": measured, "wanted": expected}


def times_of(call: Callable[[], object], calls: int) -> NDArray[np.float64]:
    """Return the time of each of `calls` calls, ms."""
    times = np.empty(calls)
    for index in range(calls):
        began = time.perf_counter_ns()
        call()
        times[index] = (time.perf_counter_ns() - began) / 1e6
    return times


def timed(call: Callable[[], object], calls: int) -> dict[str, float]:
    """Return percentiles of the time of a call, ms: p50, p99 and worst.

    Of five blocks of `calls` calls, the one with the smallest p99 counts: other programs can only
    make a block slower.
    """
    blocks = [times_of(call, calls) for _ in range(BLOCKS)]
    best = min(blocks, key=lambda times: float(np.percentile(times, 99)))
    p50, p99 = np.percentile(best, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "worst": float(best.max())}
