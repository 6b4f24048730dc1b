"""Contacts with end stops: velocities that are lost at an end of a position's range.

No smooth model fits a contact, so a training with contacts is worse everywhere. Symbols: n rows.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.verify.residuals import Series

NEAR = 0.03  # of a position's range: farther from its ends there is no contact
SUDDEN = 2.0  # factor over the changes of a velocity elsewhere, at their quantile COMMON
COMMON = 0.999
FEWEST = 3  # contacts; a single one can be an outlier
MOST_TURN = 6.0  # rad; an angle with a wider range has no ends
AROUND = 2  # rows before and after a contact that it affects


def share_of_contacts(
    series: Sequence[Series], dataset: PackedDataset, velocity: str, position: str
) -> float:
    """Return the share of a velocity's squared errors in rows around contacts of its position.

    Args:
        series: residuals by episode, (n, S), in units.
        dataset: dataset with the order of the channels.
        velocity: name of the velocity.
        position: name of its position.

    Returns:
        0 without contacts.
    """
    column = dataset.states.index(velocity)
    positions = [item.states[:, dataset.states.index(position)] for item in series]
    low = float(min(path.min() for path in positions))
    high = float(max(path.max() for path in positions))
    if position in dataset.angles and high - low > MOST_TURN:
        return 0.0
    rates = [item.states[:, column] for item in series]
    margin = NEAR * (high - low)
    near = [_either(path < low + margin) | _either(path > high - margin) for path in positions]
    changes = [np.diff(rate) for rate in rates]
    free_changes = np.abs(
        np.concatenate([of_episode[~at] for of_episode, at in zip(changes, near, strict=True)])
    )
    if not len(free_changes):
        return 0.0
    # Compared with changes away from the ends, because contacts would raise the quantile.
    sudden = SUDDEN * float(np.quantile(free_changes, COMMON))
    middle = (low + high) / 2.0
    contacts = list[NDArray[np.bool_]]()
    for path, rate, change, at in zip(positions, rates, changes, near, strict=True):
        outward = np.where(path[:-1] > middle, 1.0, -1.0)
        # Toward the end, and slowed by more than free motion explains: moving off is no contact.
        contacts.append(at & (outward * rate[:-1] > 0.0) & (outward * change < -sudden))
    if sum(int(contact.sum()) for contact in contacts) < FEWEST:
        return 0.0
    squares = [item.errors[:, column] ** 2 for item in series]
    inside = sum(
        float(square[_around(at)].sum()) for square, at in zip(squares, contacts, strict=True)
    )
    total = sum(float(square.sum()) for square in squares)
    return inside / total if total > 0.0 else 0.0


def _either(rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether the first or the second row of each pair of neighbors is true, (n - 1,)."""
    return rows[:-1] | rows[1:]


def _around(contacts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the rows (n,) at most AROUND rows from the contacts (n - 1,)."""
    width = np.ones(2 * AROUND + 1)
    # Sliced, because `same` returns the width of the window for a shorter episode.
    return np.convolve(np.append(contacts, False), width, "same")[: len(contacts) + 1] > 0.0
