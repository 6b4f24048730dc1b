"""What trying a model where it is to run is made of: lines of a verdict, times of a call."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCKS, CALLS = 5, 1000

Line = dict[str, Any]


def line(name: str, passed: bool, measured: str, expected: str) -> Line:
    """Make one line of a verdict."""
    return {"name": name, "passed": bool(passed), "found": measured, "wanted": expected}


def timed(call: Callable[[], object], calls: int) -> dict[str, float]:
    """Time a call, ms: the best of five blocks of so many calls."""
    blocks = list[NDArray[np.float64]]()
    for _ in range(BLOCKS):
        times = np.empty(calls)
        for index in range(calls):
            began = time.perf_counter_ns()
            call()
            times[index] = (time.perf_counter_ns() - began) / 1e6
        blocks.append(times)
    best = min(blocks, key=lambda times: float(np.percentile(times, 99)))
    p50, p99 = np.percentile(best, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "worst": float(best.max())}
