"""What a policy is tried on: observations that were met, limits, nothing, extremes, and draws.

Each probe is some steps in a row from the beginning of an episode, so that memory is tried too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.environments.evaluation import Recorded
from kinemill.environments.obs_filter import narrowed
from kinemill.export.policy_cases import random_inputs
from kinemill.runtime import PolicyInterface
from kinemill.runtime.policy import step_seed
from kinemill.runtime.policy_layout import MASK, OBSERVATION, SEED
from kinemill.train.demonstrations import Demonstrations, Feed

ROWS, STEPS, LONG = 256, 3, 200
FEW = 7  # rows that are followed over many steps
PICTURED = (64, 2)  # rows and steps where pictures are seen
EXTREME, NEVER = 10.0, 1e6  # times the limits: what a broken sensor says, and what none does

Inputs = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Probe:
    """Steps in a row.

    Attributes:
        name: what they are.
        inputs: by name, (N, T, ...).
        beyond: whether numbers lie beyond their limits.
    """

    name: str
    inputs: Inputs
    beyond: bool = False

    @property
    def rows(self) -> int:
        """How many run side by side, N."""
        return len(next(iter(self.inputs.values())))

    def first(self, rows: int) -> "Probe":
        """Return the first rows of it."""
        return Probe(self.name, {k: part[:rows] for k, part in self.inputs.items()}, self.beyond)

    def start(self) -> Inputs:
        """Return the inputs of the first step, a batch."""
        return {name: np.ascontiguousarray(part[:, 0]) for name, part in self.inputs.items()}


def make_probes(interface: PolicyInterface) -> list[Probe]:
    """Return what a policy is tried on beside what is really met."""
    rows, steps = PICTURED if interface.layout.images else (ROWS, STEPS)
    plain = random_inputs(interface, rows, steps, seed=1)
    made = [Probe("drawn", plain), Probe("zeros", {k: _nothing(k, v) for k, v in plain.items()})]
    if interface.layout.observation:
        made += [
            Probe("limits", plain | {OBSERVATION: _edges(interface, plain[OBSERVATION].shape)}),
            Probe("extremes", plain | {OBSERVATION: plain[OBSERVATION] * EXTREME}, beyond=True),
        ]
    if interface.carry and not interface.layout.images:
        made.append(Probe("many steps", random_inputs(interface, FEW, LONG, seed=2)))
    return made


def never(interface: PolicyInterface) -> Probe | None:
    """Return numbers that no sensor says, 1e6 times the limits; None if none are observed."""
    if not interface.layout.observation:
        return None
    plain = random_inputs(interface, ROWS, STEPS, seed=3)
    return Probe("far beyond", plain | {OBSERVATION: plain[OBSERVATION] * NEVER}, beyond=True)


def _nothing(name: str, part: NDArray[Any]) -> NDArray[Any]:
    return part if name in (MASK, SEED) else np.zeros_like(part)


def _edges(interface: PolicyInterface, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return numbers each of which is at its lower or upper limit, by chance."""
    layout = interface.layout
    low, high = np.array([layout.limits.get(name, (-1.0, 1.0)) for name in layout.observation]).T
    upper = np.random.default_rng(4).integers(0, 2, shape).astype(bool)
    return np.where(upper, high, low).astype(np.float32)


def met_in_logs(data: Demonstrations, interface: PolicyInterface) -> Probe | None:
    """Return beginnings of held-out episodes as a policy sees them; None if none is left."""
    layout = interface.layout
    most = PICTURED[1] * 5 if layout.images else LONG
    episodes = data.packed.of("test")[:FEW]
    steps = min([most, *(one.rows for one in episodes)])
    if not episodes or not steps:
        return None
    feed = Feed(data, layout, "cpu")
    rows = np.array([[one.start + k for k in range(steps)] for one in episodes])
    found = feed.at(torch.from_numpy(rows.reshape(-1)))
    inputs = {
        name: part.numpy().reshape(*rows.shape, *part.shape[1:]) for name, part in found.items()
    }
    return Probe("held-out logs", inputs | seeds_of(interface, *rows.shape))


def seeds_of(interface: PolicyInterface, rows: int, steps: int) -> Inputs:
    """Return the seeds of so many episodes, if the policy draws at all, and allow every choice."""
    found: Inputs = {}
    if interface.layout.seeded:
        seeds = [[step_seed(n, k) for k in range(steps)] for n in range(rows)]
        found[SEED] = np.array(seeds, np.int64)[..., None]
    if interface.layout.mask:
        found[MASK] = np.ones((rows, steps, interface.layout.mask), np.float32)
    return found


def met_in_episodes(episodes: Sequence[Recorded], interface: PolicyInterface) -> Probe | None:
    """Return beginnings of recorded episodes; None if there are none.

    Args:
        episodes: in full; the policy was reset with their seeds.
        interface: of the policy, which may see a part of what was shown.
    """
    kept = episodes[:FEW]
    steps = min([LONG, *(len(one.rewards) for one in kept)])
    if not kept or not steps:
        return None
    seen = [narrowed(one.observations, interface.layout, one.layout) for one in kept]
    inputs: Inputs = {
        name: np.stack([one[name][:steps] for one in seen])
        for name in interface.layout.inputs
        if name != SEED
    }
    for name, (_, kind) in interface.shapes().items():
        if name in inputs:
            inputs[name] = inputs[name].astype(kind)
    if interface.layout.seeded:
        seeds = [[step_seed(one.seed, k) for k in range(steps)] for one in kept]
        inputs[SEED] = np.array(seeds, np.int64)[..., None]
    return Probe("observations met", inputs)
