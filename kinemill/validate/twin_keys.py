"""The keys under which the twins of a recording are found among many, without looking at each.

The course of a sketch is hashed by the signs of random projections (Charikar 2002, section 3): two
courses at an angle θ agree in one sign with probability 1 - θ/π, so twins share one of `TABLES`
keys of `SIGNS` signs nearly always, and independent runs next to never. A log that begins or ends
elsewhere is looked for as if it did not.

Symbols: p points of a sketch, s states, c courses.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kinemill.validate.faults import Array
from kinemill.validate.twins import LENGTHS, POINTS, SHIFT, Course

SIGNS, TABLES = 36, 16  # of a key, of an index
ENDS = 7  # places that both ends of a log are looked for at, within `SHIFT` of where they are
_LENGTH, _BEGIN = 48, 1 << 62  # where in a key its length is, and that it is of first rows


def keys(courses: Sequence[Course]) -> list[list[int]]:
    """Return the keys under which each course is entered: of its shape and of its first rows."""
    shapes = _shapes(np.stack([one.points for one in courses]), courses)
    lengths = np.array([_length(one.seconds) for one in courses])
    own = (lengths[:, None] << _LENGTH) | shapes
    return [[*row, *_begin_keys(one)] for row, one in zip(own.tolist(), courses, strict=True)]


def probes(one: Course) -> list[int]:
    """Return the keys under which twins of a course are looked for: moved, and of near length."""
    moved = _moved(one.points)
    shapes = _shapes(moved, [one] * len(moved))
    lengths = {_length(one.seconds * (1.0 - LENGTHS)), _length(one.seconds / (1.0 - LENGTHS))}
    found = np.unique([(length << _LENGTH) | shapes for length in lengths])
    return [*found.tolist(), *_begin_keys(one)]


def _moved(points: Array) -> Array:
    """Return (p, s) points as if the log had begun and ended earlier or later: (ends^2, p, s)."""
    at, ends = np.arange(POINTS, dtype=np.float64), SHIFT * POINTS * np.linspace(-1.0, 1.0, ENDS)
    places = [np.linspace(first, POINTS - 1 + last, POINTS) for first in ends for last in ends]
    moved = [np.interp(places, at, column) for column in points.T]
    return np.stack(moved, axis=2)


def _length(seconds: float) -> int:
    """Return the number of a duration on a logarithmic scale, in steps of 10 %, from 0."""
    return 512 + int(np.floor(np.log(min(max(seconds, 1e-9), 1e9)) / (2.0 * LENGTHS)))


def _begin_keys(one: Course) -> list[int]:
    return [_BEGIN | int(begin[:15], 16) for begin in sorted(one.begins)]


def _shapes(points: Array, courses: Sequence[Course]) -> NDArray[np.int64]:
    """Return a number for each table, (c, tables): on which sides of its planes shapes lie.

    Args:
        points: (c, p, s), in task units.
        courses: what they are of; a state at rest has little shape.
    """
    size = np.stack([np.hypot(one.size, one.rest) for one in courses])
    shape = (points - points.mean(axis=1, keepdims=True)) / size[:, None]
    padded = np.pad(shape, ((0, 0), (2, 2), (0, 0)), mode="edge")
    smooth = sum(padded[:, k : k + POINTS] * w for k, w in enumerate((1, 2, 3, 2, 1)))
    flat = np.asarray(smooth).reshape(len(points), -1)
    signs = (flat @ planes(flat.shape[1]) > 0.0).reshape(len(points), TABLES, SIGNS)
    bits = signs @ (1 << np.arange(SIGNS, dtype=np.int64))
    return bits | (np.arange(TABLES, dtype=np.int64) << SIGNS)


@cache
def planes(size: int) -> Array:
    """Return the normals of the random planes, (size, TABLES x SIGNS); the same everywhere."""
    return np.random.default_rng(0).standard_normal((size, TABLES * SIGNS))
