"""Latency of single calls, ms, and throughput of batches, steps/s, on this machine."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from kinemill.runtime.timing import BLOCKS, times_of
from kinemill.store.machine import cores
from kinemill.verify.check_results import Latency, Machine, Throughput
from kinemill.verify.test_inputs import Probe

WARM_UP = 30
CALLS = 1000
BLOCK_SECONDS = 0.12  # target duration of a block if the latency has no limit
THROUGHPUT_BATCHES = (1, 16, 256)
THROUGHPUT_SECONDS = 0.03


Call = Callable[[], object]


def latency(calls: Mapping[str, Call], *, whole: bool = False) -> dict[str, Latency]:
    """Time calls with a batch of one, ms.

    Args:
        calls: calls by name; a task can limit the first.
        whole: time 1,000 of the first call in each block, however long they take, because a limit
            depends on the result.
    """
    first = next(iter(calls))
    return {name: timed(call, whole=whole and name == first) for name, call in calls.items()}


def timed(call: Call, *, whole: bool) -> Latency:
    """Time a call; with `whole`, 1,000 times in each block, however long they take."""
    warm = times_of(call, WARM_UP)
    seconds = max(float(np.median(warm)) / 1e3, 1e-9)
    calls = CALLS if whole else int(np.clip(BLOCK_SECONDS / seconds, WARM_UP, CALLS))
    # The block with the smallest p99 counts: other processes only make calls slower, never faster.
    blocks = [np.percentile(times_of(call, calls), [50, 90, 99, 99.9]) for _ in range(BLOCKS)]
    p50, p90, p99, p99_9 = (float(value) for value in min(blocks, key=lambda block: block[2]))
    return Latency(p50, p90, p99, p99_9, p99 - p50, calls, BLOCKS)


def throughput(
    batch_call: Callable[[Probe, int], Call],
    probe: Probe,
    steps: int,
    threads: Sequence[int] = (1,),
) -> list[Throughput]:
    """Return steps/s for each batch size and number of threads.

    Args:
        batch_call: function from a batch and a number of threads to the call to time.
        probe: test inputs whose rows make the batches.
        steps: steps of one row in one call.
        threads: numbers of threads of ONNX Runtime.
    """
    results: list[Throughput] = []
    for count in threads:
        for batch in THROUGHPUT_BATCHES:
            call = batch_call(probe.first(batch), count)
            call()
            calls = 0
            begin = time.perf_counter()
            while (spent := time.perf_counter() - begin) < THROUGHPUT_SECONDS or not calls:
                call()
                calls += 1
            results.append(Throughput(batch, count, calls * batch * steps / spent))
    return results


def machine() -> Machine:
    """Return a description of this machine."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return Machine(
        processor=names[0] if names else platform.processor() or platform.machine(),
        cores=cores(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        onnxruntime=version("onnxruntime"),
    )
