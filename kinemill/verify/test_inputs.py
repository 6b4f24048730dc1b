"""Test inputs of the exported files: measured windows, limits, zeros, extremes and random values.

Symbols: N rows, H history, T horizon, S states, A actions.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import training_range
from kinemill.dataset.windows import gather, window_starts
from kinemill.runtime import Interface
from kinemill.runtime.window_metrics import Array, Floats, Windows, evenly_spaced

MOST = 256  # most windows of the test split
CORNERS = 64  # rows of each synthetic probe
EXTREMES = "extremes"

Arrays = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Probe:
    """A batch of test inputs.

    Attributes:
        name: source of the values.
        inputs: tensors by name, in units: `states` (N, H, S), `past_actions` (N, H-1, A) and
            `actions` (N, T, A) of a dynamics model; each input of a policy at T steps, (N, T, ...).
        is_extreme: whether values are outside the possible range, so that a correct model may
            overflow.
    """

    name: str
    inputs: Arrays
    is_extreme: bool = False

    @property
    def rows(self) -> int:
        """Batch size, N."""
        return len(next(iter(self.inputs.values())))

    @property
    def states(self) -> Array:
        """Known states, (N, H, S), in units."""
        return self.inputs["states"]

    @property
    def past_actions(self) -> Array:
        """Actions between the known states, (N, H-1, A), in units."""
        return self.inputs["past_actions"]

    @property
    def actions(self) -> Array:
        """Actions after the known states, (N, T, A), in units."""
        return self.inputs["actions"]

    @property
    def windows(self) -> tuple[Array, Array, Array]:
        """Arguments of `Simulator.rollout`: (N, H, S), (N, H-1, A), (N, T, A)."""
        return self.states, self.past_actions, self.actions

    def take(self, rows: NDArray[np.int64]) -> "Probe":
        """Return the rows with these indices, (R,)."""
        inputs = {name: part[rows] for name, part in self.inputs.items()}
        return replace(self, inputs=inputs)

    def first(self, rows: int) -> "Probe":
        """Return `rows` rows, repeated from the start if there are fewer."""
        return self.take(np.arange(rows) % self.rows)

    def start(self) -> Arrays:
        """Return the inputs of a policy at the first step, (N, ...)."""
        return {name: np.ascontiguousarray(part[:, 0]) for name, part in self.inputs.items()}


def window_probe(name: str, states: Array, past_actions: Array, actions: Array) -> Probe:
    """Return windows (N, H, S), (N, H-1, A), (N, T, A) as inputs of a dynamics model."""
    parts = {"states": states, "past_actions": past_actions, "actions": actions}
    inputs = {key: part.astype(np.float32) for key, part in parts.items()}
    return Probe(name, inputs, is_extreme=name == EXTREMES)


def make_probes(dataset: PackedDataset, interface: Interface, horizon: int) -> list[Probe]:
    """Return all probes, measured windows first; random values come from a fixed seed."""
    rng = np.random.default_rng(0)
    rows = interface.history + horizon
    count = len(dataset.states)
    low, high = _bounds(dataset, interface)
    width = len(low)
    # A whole range from the middle: half a range outside of either end.
    reach = np.where(rng.random((CORNERS, rows, width)) < 0.5, low - high, high - low)
    values = {
        "limits": np.where(rng.random((CORNERS, 1, width)) < 0.5, low, high).repeat(rows, axis=1),
        "zeros": np.zeros((7, rows, width)),
        EXTREMES: (low + high) / 2 + reach,
        "random": dataset.mean + dataset.std * rng.standard_normal((CORNERS, rows, width)),
    }
    probes = [held_out_probe(dataset, interface, horizon)]
    for name, rolls in values.items():
        states, actions = np.split(rolls, [count], axis=2)
        probes.append(_probe(name, states, actions, interface.history, horizon))
    return probes


def held_out_windows(dataset: PackedDataset, interface: Interface, horizon: int) -> Windows:
    """Return the windows of `held_out_probe` with the measured values (N, T, S), in units."""
    starts = window_starts(dataset, "test", interface.history + horizon, 1)
    return gather(dataset, evenly_spaced(starts, MOST), interface.history, horizon)


def held_out_probe(dataset: PackedDataset, interface: Interface, horizon: int) -> Probe:
    """Return at most `MOST` evenly spaced windows of the test split."""
    windows = held_out_windows(dataset, interface, horizon)
    actions = np.concatenate([windows.past_actions, windows.actions], axis=1)
    return _probe("held-out", windows.states, actions, interface.history, horizon)


def long_probe(dataset: PackedDataset, interface: Interface, rows: int, steps: int) -> Probe:
    """Return `rows` windows of the test split with `steps` actions, repeated as necessary."""
    starts = evenly_spaced(window_starts(dataset, "test", interface.history + 1, 1), rows)
    stops = np.sort([item.stop for item in dataset.of("test")])
    # The end of the episode of each start: the first end after it.
    stop = stops[np.searchsorted(stops, starts, side="right")]
    now = starts + interface.history - 1
    count = len(interface.states)
    past = dataset.take(starts[:, None] + np.arange(interface.history))
    # Wraps to the current row, not to the start of the episode.
    rows_of_actions = now[:, None] + np.arange(steps) % (stop - now)[:, None]
    future = dataset.take(rows_of_actions)[:, :, count:]
    return window_probe(f"{steps} steps", past[:, :, :count], past[:, :-1, count:], future)


def _probe(name: str, states: Floats, actions: Floats, history: int, horizon: int) -> Probe:
    past = actions[:, : history - 1]
    future = actions[:, history - 1 : history - 1 + horizon]
    return window_probe(name, states[:, :history], past, future)


def _bounds(dataset: PackedDataset, interface: Interface) -> tuple[Floats, Floats]:
    """Return the lowest and highest value per channel, (S + A,), (S + A,), in units.

    They are the stated limits, else the limits of the training rows. An angle has a range of at
    least a whole turn, which tests that it is wrapped.
    """
    low, high = training_range(dataset)
    for index, name in enumerate((*interface.states, *interface.actions)):
        if name in interface.limits:
            low[index], high[index] = interface.limits[name]
        elif name in interface.angles:
            low[index], high[index] = min(low[index], -np.pi), max(high[index], np.pi)
    return low, high
