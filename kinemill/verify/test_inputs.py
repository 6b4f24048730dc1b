"""Inputs that the exported files are tried on: measured windows, limits, zeros, extremes, noise.

Symbols: N rows, H history, T horizon, S states, A actions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.runtime import Interface
from kinemill.runtime.window_metrics import Floats, Windows
from kinemill.verify.accuracy import gather, window_starts

MOST = 256
CORNERS = 64
BEYOND = "extremes"


@dataclass(frozen=True)
class Probe:
    """A batch to try.

    Attributes:
        name: where it comes from.
        states: (N, H, S) float32.
        past_actions: (N, H-1, A) float32.
        actions: (N, T, A) float32.
        beyond: whether it lies beyond what may ever be, where a sound model may overflow.
    """

    name: str
    states: NDArray[np.float32]
    past_actions: NDArray[np.float32]
    actions: NDArray[np.float32]
    beyond: bool = False

    def first(self, rows: int) -> "Probe":
        """Return `rows` rows, repeated from the start when there are fewer."""
        which = np.arange(rows) % len(self.states)
        parts = [part[which] for part in self.inputs]
        return Probe(self.name, *parts, beyond=self.beyond)

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
        BEYOND: (low + high) / 2 + reach,
        "random": dataset.mean + dataset.std * rng.standard_normal((CORNERS, rows, width)),
    }
    probes = [measured(dataset, interface, horizon)]
    for name, rolls in values.items():
        states, actions = np.split(rolls, [count], axis=2)
        probes.append(_probe(name, states, actions, interface.history, horizon))
    return probes


def held_out(dataset: PackedDataset, interface: Interface, horizon: int) -> Windows:
    """Return the windows of `measured`, with what was measured after them."""
    starts = window_starts(dataset, "test", interface.history + horizon, 1)
    chosen = np.linspace(0, len(starts) - 1, min(MOST, len(starts))).astype(np.int64)
    return gather(dataset, starts[chosen], interface.history, horizon)


def measured(dataset: PackedDataset, interface: Interface, horizon: int) -> Probe:
    """Return windows of the test split, spread evenly over it."""
    windows = held_out(dataset, interface, horizon)
    every = np.concatenate([windows.past_actions, windows.actions], axis=1)
    return _probe("held-out", windows.states, every, interface.history, horizon)


def stretched(dataset: PackedDataset, interface: Interface, rows: int, steps: int) -> Probe:
    """Return windows of the test split, whose actions go round until there are `steps` of them."""
    starts = window_starts(dataset, "test", interface.history + 1, 1)
    chosen = starts[np.linspace(0, len(starts) - 1, min(rows, len(starts))).astype(np.int64)]
    stops = np.sort([item.stop for item in dataset.of("test")])
    stop = stops[np.searchsorted(stops, chosen, side="right")]
    now, count = chosen + interface.history - 1, len(interface.states)
    known = np.asarray(dataset.values)[chosen[:, None] + np.arange(interface.history)]
    acting = now[:, None] + np.arange(steps) % (stop - now)[:, None]
    return Probe(
        f"{steps} steps",
        known[:, :, :count].astype(np.float32),
        known[:, :-1, count:].astype(np.float32),
        np.asarray(dataset.values)[acting][:, :, count:].astype(np.float32),
    )


def _probe(name: str, states: Floats, actions: Floats, history: int, horizon: int) -> Probe:
    now = history - 1
    return Probe(
        name,
        states[:, :history].astype(np.float32),
        actions[:, :now].astype(np.float32),
        actions[:, now : now + horizon].astype(np.float32),
        beyond=name == BEYOND,
    )


def _bounds(dataset: PackedDataset, interface: Interface) -> tuple[Floats, Floats]:
    """Return lowest and highest value per channel: the stated limits, else those in training.

    An angle goes round at least once, so that it has to come out within a turn.
    """
    rows = [np.asarray(dataset.values)[item.start : item.stop] for item in dataset.of("train")]
    low = np.min([part.min(axis=0) for part in rows], axis=0).astype(np.float64)
    high = np.max([part.max(axis=0) for part in rows], axis=0).astype(np.float64)
    for index, name in enumerate((*interface.states, *interface.actions)):
        if name in interface.limits:
            low[index], high[index] = interface.limits[name]
        elif name in interface.angles:
            low[index], high[index] = min(low[index], -np.pi), max(high[index], np.pi)
    return low, high
