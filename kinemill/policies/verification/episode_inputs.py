"""Test inputs of a policy: recorded observations, limits, zeros, extremes and random values.

Each probe has consecutive steps from the start of an episode, so that the carry is tested too.

Symbols: N rows, T steps.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.export.policy_cases import random_inputs, step_seeds
from kinemill.policies.environments.evaluation import Recorded
from kinemill.policies.environments.obs_filter import narrowed
from kinemill.runtime import PolicyInterface
from kinemill.runtime.agents import Agent
from kinemill.runtime.policy_layout import MASK, OBSERVATION, SEED
from kinemill.train.demonstrations import Demonstrations, Feed
from kinemill.verify.test_inputs import Arrays, Probe

ROWS = 256
STEPS = 3
LONG = 200
EPISODES = 7  # rows of probes with many steps
PICTURED = (64, 2)  # rows and steps of observations with pictures
# Multiples of the limits: values of a broken sensor, and values that no sensor gives.
EXTREME = 10.0
IMPOSSIBLE = 1e6


def make_probes(interface: PolicyInterface) -> list[Probe]:
    """Return synthetic probes, random observations first."""
    rows, steps = PICTURED if interface.layout.images else (ROWS, STEPS)
    plain = random_inputs(interface, rows, steps, seed=1)
    unchanged = (MASK, SEED)
    zeros = {k: v if k in unchanged else np.zeros_like(v) for k, v in plain.items()}
    probes = [Probe("random", plain), Probe("zeros", zeros)]
    if interface.layout.observation:
        probes += [
            Probe("limits", plain | {OBSERVATION: _edges(interface, plain[OBSERVATION].shape)}),
            Probe("extremes", plain | {OBSERVATION: plain[OBSERVATION] * EXTREME}, is_extreme=True),
        ]
    probes += [
        Probe(f"turns of {first.name}", turn_inputs(interface, first, plain))
        for first in _firsts(interface)
    ]
    if interface.carry and not interface.layout.images:
        probes.append(Probe("many steps", random_inputs(interface, EPISODES, LONG, seed=2)))
    return probes


def _firsts(interface: PolicyInterface) -> list[Agent]:
    """Return the first agent of each network, if agents act in turns."""
    return list({agent.policy: agent for agent in reversed(interface.layout.agents)}.values())


def turn_inputs(interface: PolicyInterface, agent: Agent, plain: Arrays) -> Arrays:
    """Return inputs (N, T, ...), in units, in which one agent acts at every step.

    The numbers of `plain`, (N, T, ...), are used.
    """
    layout = interface.layout
    numbers = plain[OBSERVATION].copy()
    first, stop = agent.columns
    # The observation has a one-hot code of the acting agent, and zeros in the columns of others.
    agent_numbers = numbers[..., first:stop].copy()
    numbers[:] = 0.0
    numbers[..., first:stop], numbers[..., layout.agents.index(agent)] = agent_numbers, 1.0
    made = plain | {OBSERVATION: numbers}
    if not layout.mask:
        return made
    mask = plain[MASK].copy()
    column = 0
    for index, count in enumerate(interface.choices):
        if not agent.actions[0] <= index < agent.actions[1]:
            mask[..., column : column + count] = 0.0
            mask[..., column : column + min(count, 1)] = 1.0
        column += count
    return made | {MASK: mask}


def out_of_range_probe(interface: PolicyInterface) -> Probe | None:
    """Return observations of 1e6 times their limits; None for a policy without numbers."""
    if not interface.layout.observation:
        return None
    plain = random_inputs(interface, ROWS, STEPS, seed=3)
    numbers = plain[OBSERVATION] * IMPOSSIBLE
    return Probe("out of range", plain | {OBSERVATION: numbers}, is_extreme=True)


def _edges(interface: PolicyInterface, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return numbers of this shape, each randomly at its lower or upper limit, in units."""
    layout = interface.layout
    low, high = np.array([layout.limits.get(name, (-1.0, 1.0)) for name in layout.observation]).T
    upper = np.random.default_rng(4).integers(0, 2, shape).astype(bool)
    return np.where(upper, high, low).astype(np.float32)


def logged_probe(data: Demonstrations, interface: PolicyInterface) -> Probe | None:
    """Return the first steps of held-out episodes as observations; None without episodes."""
    layout = interface.layout
    most = PICTURED[1] * 5 if layout.images else LONG
    episodes = data.packed.of("test")[:EPISODES]
    steps = min([most, *(episode.rows for episode in episodes)])
    if not episodes or not steps:
        return None
    feed = Feed(data, layout, torch.device("cpu"))
    rows = np.array([[episode.start + k for k in range(steps)] for episode in episodes])
    tensors = feed.at(torch.from_numpy(rows.reshape(-1)))
    inputs = {
        name: part.numpy().reshape(*rows.shape, *part.shape[1:]) for name, part in tensors.items()
    }
    return Probe("held-out logs", inputs | seeds_of(interface, *rows.shape))


def seeds_of(interface: PolicyInterface, rows: int, steps: int) -> Arrays:
    """Return seeds (N, T, 1) and a mask (N, T, M) that allows all choices, if the policy has them.

    N is `rows`, T is `steps`.
    """
    inputs: Arrays = {}
    if interface.layout.seeded:
        inputs[SEED] = step_seeds(range(rows), steps)
    if interface.layout.mask:
        inputs[MASK] = np.ones((rows, steps, interface.layout.mask), np.float32)
    return inputs


def recorded_probe(episodes: Sequence[Recorded], interface: PolicyInterface) -> Probe | None:
    """Return the first steps of recorded episodes; None without episodes.

    The policy was reset with the seeds of the episodes; it may observe only a part of the
    observations.
    """
    episodes = episodes[:EPISODES]
    steps = min([LONG, *(len(episode.rewards) for episode in episodes)])
    if not episodes or not steps:
        return None
    observed = [
        narrowed(episode.observations, interface.layout, episode.layout) for episode in episodes
    ]
    inputs: Arrays = {
        name: np.stack([observation[name][:steps] for observation in observed])
        for name in interface.layout.inputs
        if name != SEED
    }
    for name, (_, kind) in interface.shapes().items():
        if name in inputs:
            inputs[name] = inputs[name].astype(kind)
    if interface.layout.seeded:
        inputs[SEED] = step_seeds((episode.seed for episode in episodes), steps)
    return Probe("recorded observations", inputs)
