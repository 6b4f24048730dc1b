"""Inputs that the exported files are tried on: measured windows, limits, zeros, extremes, noise.

Symbols: N rows, H history, T horizon, S states, A actions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.runtime import Interface
from kinemill.runtime.windows import Floats
from kinemill.verify.accuracy import gather, window_starts

MOST = 256
CORNERS = 64


@dataclass(frozen=True)
class Probe:
    """A batch to try.

    Attributes:
        name: where it comes from.
        states: (N, H, S) float32.
        past_actions: (N, H-1, A) float32.
        actions: (N, T, A) float32.
    """

    name: str
    states: NDArray[np.float32]
    past_actions: NDArray[np.float32]
    actions: NDArray[np.float32]

    def first(self, rows: int) -> "Probe":
        """Return `rows` rows, repeated from the start when there are fewer."""
        which = np.arange(rows) % len(self.states)
        return Probe(self.name, self.states[which], self.past_actions[which], self.actions[which])

    @property
    def inputs(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """What `rollout` takes."""
        return self.states, self.past_actions, self.actions


def make_probes(dataset: PackedDataset, interface: Interface, horizon: int) -> list[Probe]:
    """Return the probes; what is random comes from a fixed seed."""
    rng = np.random.default_rng(0)
    rows, count = interface.history + horizon, len(dataset.states)
    low, high = _bounds(dataset, interface)
    width = len(low)
    reach = np.where(rng.random((CORNERS, rows, width)) < 0.5, low - high, high - low)
    values = {
        "limits": np.where(rng.random((CORNERS, 1, width)) < 0.5, low, high).repeat(rows, axis=1),
        "zeros": np.zeros((7, rows, width)),
        "extremes": (low + high) / 2 + reach,
        "random": dataset.mean + dataset.std * rng.standard_normal((CORNERS, rows, width)),
    }
    probes = [measured(dataset, interface, horizon)]
    for name, rolls in values.items():
        states, actions = np.split(rolls, [count], axis=2)
        probes.append(_probe(name, states, actions, interface.history, horizon))
    return probes


def measured(dataset: PackedDataset, interface: Interface, horizon: int) -> Probe:
    """Return windows of the test split, spread evenly over it."""
    starts = window_starts(dataset, "test", interface.history + horizon, 1)
    chosen = np.linspace(0, len(starts) - 1, min(MOST, len(starts))).astype(np.int64)
    windows = gather(dataset, starts[chosen], interface.history, horizon)
    every = np.concatenate([windows.past_actions, windows.actions], axis=1)
    return _probe("held-out", windows.states, every, interface.history, horizon)


def _probe(name: str, states: Floats, actions: Floats, history: int, horizon: int) -> Probe:
    now = history - 1
    return Probe(
        name,
        states[:, :history].astype(np.float32),
        actions[:, :now].astype(np.float32),
        actions[:, now : now + horizon].astype(np.float32),
    )


def _bounds(dataset: PackedDataset, interface: Interface) -> tuple[Floats, Floats]:
    """Return lowest and highest value per channel: the stated limits, else those in training."""
    rows = [np.asarray(dataset.values)[item.start : item.stop] for item in dataset.of("train")]
    low = np.min([part.min(axis=0) for part in rows], axis=0).astype(np.float64)
    high = np.max([part.max(axis=0) for part in rows], axis=0).astype(np.float64)
    for index, name in enumerate((*interface.states, *interface.actions)):
        if name in interface.limits:
            low[index], high[index] = interface.limits[name]
    return low, high
