"""How long calls take, how much goes through, and what the first one costs.

Times in ms, one thread unless said otherwise, on the machine that the document names.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from kinemill.runtime import Simulator
from kinemill.store import Json
from kinemill.verify.test_inputs import Probe

WARM_UP, BLOCKS, CALLS = 30, 5, 1000
BLOCK_SECONDS = 0.12  # of a model that nobody wants to be quick, a block may be shorter
THROUGHPUT_BATCHES, THROUGHPUT_SECONDS = (1, 16, 256), 0.03


@dataclass(frozen=True)
class Latency:
    """Percentiles over the calls of the best of some blocks, ms.

    Attributes:
        p50: the median.
        p90: nine of ten are quicker.
        p99: 99 of 100 are quicker.
        p99_9: 999 of 1000 are quicker.
        jitter: p99 - p50.
        calls: in each block.
        blocks: of which the one with the least p99 counts: others share the machine.
    """

    p50: float
    p90: float
    p99: float
    p99_9: float
    jitter: float
    calls: int
    blocks: int


def latency(simulator: Simulator, probe: Probe, *, whole: bool = False) -> dict[str, Latency]:
    """Time `rollout` over the probe's horizon and `step`, both with a batch of one.

    Args:
        simulator: what is timed.
        probe: what it is given.
        whole: 1,000 rollouts a block, however long they take: a bound depends on it.
    """
    one = probe.first(1)
    carry = simulator.warm_up(one.states, one.past_actions)
    state, action = one.states[:, -1], one.actions[:, 0]
    return {
        "rollout": timed(lambda: simulator.rollout(*one.inputs), whole=whole),
        "step": timed(lambda: simulator.step(state, action, *carry), whole=False),
    }


def timed(call: Callable[[], object], *, whole: bool) -> Latency:
    """Time a call; `whole`: 1,000 of them a block, however long they take."""
    warm = _block(call, WARM_UP)
    seconds = max(float(np.median(warm)) / 1e3, 1e-9)
    calls = CALLS if whole else int(np.clip(BLOCK_SECONDS / seconds, WARM_UP, CALLS))
    blocks = [np.percentile(_block(call, calls), [50, 90, 99, 99.9]) for _ in range(BLOCKS)]
    p50, p90, p99, p99_9 = (float(value) for value in min(blocks, key=lambda block: block[2]))
    return Latency(p50, p90, p99, p99_9, p99 - p50, calls, BLOCKS)


def _block(call: Callable[[], object], calls: int) -> list[float]:
    taken: list[float] = []
    for _ in range(calls):
        begin = time.perf_counter_ns()
        call()
        taken.append((time.perf_counter_ns() - begin) / 1e6)
    return taken


def throughput(simulators: Mapping[int, Simulator], probe: Probe) -> list[Json]:
    """Return steps/s of `rollout` over batches, by each of some numbers of threads."""
    found: list[Json] = []
    for threads, simulator in simulators.items():
        for batch in THROUGHPUT_BATCHES:
            some = probe.first(batch)
            simulator.rollout(*some.inputs)
            calls, begin = 0, time.perf_counter()
            while (spent := time.perf_counter() - begin) < THROUGHPUT_SECONDS or not calls:
                simulator.rollout(*some.inputs)
                calls += 1
            rate = calls * batch * some.actions.shape[1] / spent
            found.append({"batch": batch, "threads": threads, "steps_per_second": rate})
    return found


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> Json:
    """Return on what all this was measured."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": version("onnxruntime"),
    }
