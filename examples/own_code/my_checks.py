"""A custom physical check: more energy than the robot can have."""

import numpy as np
from numpy.typing import NDArray


def energy(
    values: dict[str, NDArray[np.float64]], dt: float, most: float = 200.0
) -> NDArray[np.bool_]:
    """The energy of the rod is below its maximum.

    Return which rows (n,) are faulty; rows that other checks found faulty are NaN in `values`.
    """
    del dt
    total = 0.5 * values["velocity"] ** 2 - 14.715 * np.cos(values["angle"])
    return total > most
