"""How long one rollout and one step take, batch 1, one thread, in ms."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kinemill.runtime import Simulator
from kinemill.verify.probes import Probe

WARM_UP, CALLS = 30, 300


@dataclass(frozen=True)
class Latency:
    """Percentiles over calls, ms."""

    p50: float
    p99: float


def latency(simulator: Simulator, probe: Probe) -> dict[str, Latency]:
    """Time `rollout` over the probe's horizon and `step`, both with a batch of one."""
    one = probe.first(1)
    carry = simulator.warm_up(one.states, one.past_actions)
    state, action = one.states[:, -1], one.actions[:, 0]
    return {
        "rollout": _time(lambda: simulator.rollout(*one.inputs)),
        "step": _time(lambda: simulator.step(state, action, *carry)),
    }


def _time(call: Callable[[], object]) -> Latency:
    for _ in range(WARM_UP):
        call()
    taken: list[float] = []
    for _ in range(CALLS):
        begin = time.perf_counter_ns()
        call()
        taken.append((time.perf_counter_ns() - begin) / 1e6)
    p50, p99 = np.percentile(taken, [50, 99])
    return Latency(float(p50), float(p99))
