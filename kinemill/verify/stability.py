"""Stability of long rollouts: divergence, and sensitivity to noise.

Symbols: N rollouts, H history, T steps, S states, A actions.
"""

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import training_range
from kinemill.runtime import QUIETLY, Floats, Simulator, wrapped
from kinemill.verify.results import ChannelSensitivity, Sensitivity, Stability
from kinemill.verify.test_inputs import Probe, long_probe

STEPS = 1000
ROLLOUTS = 32
RUN_AWAY = 10.0  # distance from the range of a channel, in ranges, at which a rollout has diverged
NOISE = 0.01  # in training standard deviations of each state


@QUIETLY
def stability(simulator: Simulator, dataset: PackedDataset, steps: int = STEPS) -> Stability:
    """Roll out windows of the test split for `steps` steps with their measured actions.

    At the end of its episode, the actions of a window repeat.
    """
    probe = long_probe(dataset, simulator.interface, ROLLOUTS, steps)
    rolled = simulator.rollout(*probe.windows).astype(np.float64)
    low, high = _reach(simulator, dataset)
    # A channel that never moves in training has no range; one unit replaces it.
    span = np.where(high > low, high - low, 1.0)
    within = (rolled >= low - RUN_AWAY * span) & (rolled <= high + RUN_AWAY * span)
    diverged = within.sum(axis=2) < rolled.shape[2]  # (N, T); a comparison with NaN is false
    steps_diverged = np.flatnonzero(diverged.sum(axis=0))
    outside = {
        name: float(_leaves(rolled[:, :, index], simulator.limits[name]).mean())
        for index, name in enumerate(simulator.states)
        if name in simulator.limits
    }
    first = int(steps_diverged[0]) + 1 if len(steps_diverged) else None
    return Stability(steps, len(rolled), float((diverged.sum(axis=1) > 0).mean()), outside, first)


def _leaves(values: Floats, limits: tuple[float, float]) -> NDArray[np.bool_]:
    """Return whether each rollout leaves the limits at any step: (N, T) -> (N,)."""
    inside = (values >= limits[0]) & (values <= limits[1])
    return inside.sum(axis=1) < values.shape[1]


def _reach(simulator: Simulator, dataset: PackedDataset) -> tuple[Floats, Floats]:
    """Return the ends of the range of each state, (S,), (S,): its limits, or values in training."""
    low, high = (ends[: len(simulator.states)] for ends in training_range(dataset))
    for index, name in enumerate(simulator.states):
        low[index], high[index] = simulator.limits.get(name, (low[index], high[index]))
    return low, high


@QUIETLY
def sensitivity(simulator: Simulator, probe: Probe, std: Floats) -> Sensitivity:
    """Return the effect of noise in the known rows on the last prediction, by state.

    Noise of NOISE standard deviations `std`, (S,), in units, from a fixed seed, is added to every
    known row (N, H, S). `gain` is the RMS change divided by the noise.
    """
    rng = np.random.default_rng(0)
    noisy = probe.states + NOISE * std * rng.standard_normal(probe.states.shape)
    plain = simulator.rollout(*probe.windows)[:, -1].astype(np.float64)
    moved = simulator.rollout(noisy.astype(np.float32), probe.past_actions, probe.actions)[:, -1]
    change = np.sqrt((wrapped(moved - plain, simulator.interface.is_angle) ** 2).mean(axis=0))
    return Sensitivity(
        noise=NOISE,
        steps=probe.actions.shape[1],
        channels={
            name: ChannelSensitivity(
                unit=simulator.units[name],
                change=float(change[index]),
                gain=float(change[index] / (NOISE * std[index])),
            )
            for index, name in enumerate(simulator.states)
        },
    )
