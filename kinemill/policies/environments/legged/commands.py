"""Velocity commands of legged robots: fixed ones, and ranges from which each episode draws."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from kinemill.task.bounds import Quantity

SAMPLES = 64  # of each command in training, which computes the gait of each sample in advance


def _check_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"range [{ends[0]:g}, {ends[1]:g}]: the lower end must be first")
    return ends


Component = Quantity | Annotated[tuple[Quantity, Quantity], AfterValidator(_check_order)]
# Forward and left velocity, m/s, and turning rate, rad/s.
Command = tuple[Component, Component, Component]


def draw_command(commands: Sequence[Command], random: np.random.Generator) -> NDArray[np.float64]:
    """Draw one of some commands, and a point in its ranges, (3,)."""
    return _draw(commands[int(random.integers(len(commands)))], random)


def sample_commands(commands: Sequence[Command]) -> list[NDArray[np.float64]]:
    """Return fixed commands (3,): each command once, or `SAMPLES` times if one has a range."""
    random = np.random.default_rng(0)
    count = (
        SAMPLES if any(isinstance(part, tuple) for command in commands for part in command) else 1
    )
    return [_draw(command, random) for command in commands for _ in range(count)]


def largest_command(commands: Sequence[Command]) -> NDArray[np.float64]:
    """Return the largest absolute value of each part of some commands, (3,)."""
    ends = [[np.abs(part).max() for part in command] for command in commands]
    return np.array(ends, float).max(axis=0)


def _draw(command: Command, random: np.random.Generator) -> NDArray[np.float64]:
    parts = (random.uniform(*part) if isinstance(part, tuple) else part for part in command)
    return np.array([float(part) for part in parts])
