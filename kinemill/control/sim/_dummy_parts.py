"""Parts of synthetic logs: sums of sines, rotations, related channels.

Symbols: n rows, K sines.
"""

import numpy as np
from numpy.typing import NDArray

from kinemill.task import Task

REACH = 0.7  # share of what limits and jumps leave that is used
NOISE = 1e-4  # of a sensor, over the amplitude of its signal

Floats = NDArray[np.float64]
Waves = NDArray[np.complex128]


def play(waves: Waves, omega: Floats, time: Floats) -> Floats:
    """Return the sum of sines at times (n,) s as (n,); `waves` (K,) at `omega` (K,) rad/s."""
    return np.real(np.exp(1j * np.outer(time, omega)) @ waves)


def turn(angle: Floats, axis: Floats, random: np.random.Generator) -> Floats:
    """Return unit quaternions (4, n) of turns by angles (n,) rad about an axis (3,)."""
    axis = axis / np.linalg.norm(axis)
    turned = np.vstack([np.cos(angle / 2.0), axis[:, None] * np.sin(angle / 2.0)])
    turned = turned + NOISE * random.standard_normal(turned.shape)
    return np.asarray(turned / np.linalg.norm(turned, axis=0), np.float64)


def families(task: Task) -> list[dict[str, int]]:
    """Return each state that derives from no other, first, with its derivatives and their order."""
    families = [
        {name: 0}
        for name in task.states
        if task.channels[name].derivative_of is None and task.channels[name].kind != "quaternion"
    ]
    families += [
        {name: 0} for name in task.states if task.channels[name].derivative_of in task.actions
    ]
    for family in families:
        for _ in task.states:
            family |= {
                name: family[parent] + 1
                for name in task.states
                if (parent := task.channels[name].derivative_of) in family and parent
            }
    return families
