"""A custom augmentation: a sensor that shakes with one slow sine."""

import numpy as np
from numpy.typing import NDArray


def shake(
    values: NDArray[np.float32], signals, random: np.random.Generator, std: float = 0.01
) -> NDArray[np.float32]:
    """Return a copy of (n, C) rows in which states carry a sine of random phase, task units.

    `signals` has the names of the columns, their channels (role, unit, limits) and the time step.
    """
    time = np.arange(len(values)) * signals.dt
    for column, name in enumerate(signals.columns):
        if signals.channels[name].role == "state":
            phase = random.uniform(0.0, 2 * np.pi)
            values[:, column] += std * np.sin(2 * np.pi * 0.5 * time + phase)
    return values
