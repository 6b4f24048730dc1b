"""Means and spreads of many pieces of rows, each worked out by itself and then joined.

What a piece comes to depends on its rows alone, so it is kept and joined again as long as the piece
is the same. Joining is Chan, Golub and LeVeque 1983, eq. (2.1), for all pieces at once: squares
about the mean, no cancellation. Everything is relative to the first row, or to the first piece, so
that the deviation of a channel that never changes is 0 and not almost.

Symbols: n rows of a piece, P pieces, k columns.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def moments(rows: Floats) -> Floats:
    """Return mean and sum of squares about it, (2, k), of (n, k) `rows`; 0 of no rows."""
    if not len(rows):
        return np.zeros((2, rows.shape[1]))
    apart = rows - rows[0]
    mean = apart.mean(axis=0)
    return np.stack([rows[0] + mean, ((apart - mean) ** 2).sum(axis=0)])


def join(counts: NDArray[np.int64], pieces: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation, (k,) each, of the rows of all pieces together.

    Args:
        counts: (P,) rows of each piece.
        pieces: (P, 2, k) `moments` of each.
    """
    pieces, counts = pieces[counts > 0], counts[counts > 0]
    if not len(counts):
        return np.zeros(pieces.shape[2]), np.zeros(pieces.shape[2])
    first = pieces[0, 0]
    mean = first + _sums(counts[:, None] * (pieces[:, 0] - first)) / counts.sum()
    squares = _sums(pieces[:, 1] + counts[:, None] * (pieces[:, 0] - mean) ** 2)
    # The deviation of the rows that are there, not of a population that they were drawn from.
    return mean, np.sqrt(squares / counts.sum())


def _sums(values: Floats) -> Floats:
    """Return (k,) sums of (P, k) values, added in pairs: the error grows with log P."""
    return np.ascontiguousarray(values.T).sum(axis=1)
