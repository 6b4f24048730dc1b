"""Stability of long rollouts: divergence, sensitivity to noise, energy, and mirror symmetry.

Symbols: N rollouts, H history, T steps, S states, A actions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.runtime import Simulator, wrapped
from kinemill.runtime.window_metrics import QUIETLY, Floats
from kinemill.store import Json
from kinemill.verify.test_inputs import Probe, stretched

STEPS, ROLLOUTS = 1000, 32
RUN_AWAY = 10.0  # times the span of a channel beyond its limits
NOISE = 0.01  # of each state's spread in training


@dataclass(frozen=True)
class Stability:
    """What long rollouts did.

    Attributes:
        steps: of each.
        rollouts: how many.
        diverged: share that is not finite, or far beyond what a channel may be.
        outside: share that leaves a limit, by state that has limits.
        first: the earliest step at which one diverges; None if none does.
    """

    steps: int
    rollouts: int
    diverged: float
    outside: Mapping[str, float]
    first: int | None

    def to_json(self) -> Json:
        """Return the part `stability` of verification.json."""
        return {
            "steps": self.steps,
            "rollouts": self.rollouts,
            "diverged": self.diverged,
            "outside_limits": max(self.outside.values(), default=0.0),
            "outside": dict(self.outside),
            "first_diverged_step": self.first,
        }


@QUIETLY
def stability(simulator: Simulator, dataset: PackedDataset, steps: int = STEPS) -> Stability:
    """Roll windows of the test split out for `steps`, under the actions that were measured.

    After the end of its episode the actions of a window start again.
    """
    probe = stretched(dataset, simulator.interface, ROLLOUTS, steps)
    found = simulator.rollout(*probe.inputs).astype(np.float64)
    low, high = _reach(simulator, dataset)
    span = np.where(high > low, high - low, 1.0)
    within = (found >= low - RUN_AWAY * span) & (found <= high + RUN_AWAY * span)
    lost = within.sum(axis=2) < found.shape[2]  # (N, T); NaN is nowhere, so it is lost
    gone = np.flatnonzero(lost.sum(axis=0))
    outside = {
        name: float(_left(found[:, :, index], simulator.limits[name]).mean())
        for index, name in enumerate(simulator.states)
        if name in simulator.limits
    }
    first = int(gone[0]) + 1 if len(gone) else None
    return Stability(steps, len(found), float((lost.sum(axis=1) > 0).mean()), outside, first)


def _left(values: Floats, limits: tuple[float, float]) -> NDArray[np.bool_]:
    """Tell which rollouts (N, T) are not within limits all the time, (N,)."""
    inside = (values >= limits[0]) & (values <= limits[1])
    return inside.sum(axis=1) < values.shape[1]


def _reach(simulator: Simulator, dataset: PackedDataset) -> tuple[Floats, Floats]:
    """Return the least and the largest value of each state: its limits, else those in training."""
    count = len(simulator.states)
    rows = [np.asarray(dataset.values)[one.start : one.stop, :count] for one in dataset.of("train")]
    low = np.min([part.min(axis=0) for part in rows], axis=0).astype(np.float64)
    high = np.max([part.max(axis=0) for part in rows], axis=0).astype(np.float64)
    for index, name in enumerate(simulator.states):
        low[index], high[index] = simulator.limits.get(name, (low[index], high[index]))
    return low, high


@QUIETLY
def sensitivity(simulator: Simulator, probe: Probe, spread: Floats) -> Json:
    """Return how much noise in the known states moves the last prediction, by state.

    Noise of NOISE spreads, the same at each repetition, is added to every known row. `gain` is the
    root mean square change over the noise, both in spreads: 1 passes it on as it is.
    """
    rng = np.random.default_rng(0)
    noisy = probe.states + NOISE * spread * rng.standard_normal(probe.states.shape)
    plain = simulator.rollout(*probe.inputs)[:, -1].astype(np.float64)
    moved = simulator.rollout(noisy.astype(np.float32), probe.past_actions, probe.actions)[:, -1]
    angle = np.array([name in simulator.interface.angles for name in simulator.states])
    change = np.sqrt((wrapped(moved - plain, angle) ** 2).mean(axis=0))
    return {
        "noise": NOISE,
        "steps": probe.actions.shape[1],
        "channels": {
            name: {
                "unit": simulator.units[name],
                "change": float(change[index]),
                "gain": float(change[index] / (NOISE * spread[index])),
            }
            for index, name in enumerate(simulator.states)
        },
    }
