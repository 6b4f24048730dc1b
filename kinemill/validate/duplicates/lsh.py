"""LSH keys: locality-sensitive hashing of recordings, so that few pairs are compared.

The course of a sketch is hashed by the signs of random projections (Charikar 2002, section 3): two
courses at an angle θ agree in one sign with probability 1 - θ/π. Duplicates therefore nearly always
share one of `TABLES` keys of `SIGNS` signs, and independent runs almost never do. A search also
tries the keys of a log that begins or ends slightly earlier or later.

Symbols: p points of a sketch, q points of a shape, s states, c courses, m moves of both ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kinemill.validate.duplicates.similarity import LENGTHS, POINTS, SHIFT, Course
from kinemill.validate.faults import Array

SIGNS = 30
TABLES = 16  # of a key, of an index
ENDS = 7  # places that both ends of a log are looked for at, within `SHIFT` of where they are
SHAPE = 32  # points of a shape, each a mean over five of a sketch
_LENGTH = 48
_BEGIN = 1 << 62  # where in a key its length is, and that it is of first rows
_BATCH = 64  # courses hashed together; more do not fit into a cache
_INNER = 128  # columns multiplied at a time: threads would cost more than so small a product

_Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Keys:
    """Keys of a course: `stored` to insert it, `probes` to search for its duplicates."""

    stored: list[int]
    probes: list[int]


def hashed(courses: Sequence[Course]) -> list[Keys]:
    """Return the keys of courses of the same states."""
    results: list[Keys] = []
    for first in range(0, len(courses), _BATCH):
        batch = courses[first : first + _BATCH]
        for course, shapes in zip(batch, _shapes(batch), strict=True):
            begins = [_BEGIN | int(begin[:15], 16) for begin in sorted(course.begins)]
            hashes = (_length(course.seconds) << _LENGTH) | shapes[len(shapes) // 2]
            results.append(Keys([*hashes.tolist(), *begins], [*_probes(course, shapes), *begins]))
    return results


def keys(courses: Sequence[Course]) -> list[list[int]]:
    """Return the keys under which each course is entered: of its shape and of its first rows."""
    return [result.stored for result in hashed(courses)]


def _probes(course: Course, shapes: NDArray[np.int64]) -> list[int]:
    """Return the keys of shapes (m, tables), each with the length that the move makes of it."""
    first, last = _moves()
    seconds = course.seconds * (1.0 + (last - first) / (POINTS - 1))
    # Some are shorter by more than the ends move: `LENGTHS` is more than `SHIFT`.
    lengths = [_length(seconds * (1.0 - SHIFT)), _length(seconds * (1.0 + SHIFT))]
    return np.unique((np.stack(lengths)[:, :, None] << _LENGTH) | shapes).tolist()


@cache
def _moves() -> tuple[Array, Array]:
    """Return where a log may begin, and by how much it may end later, (m,) and (m,) points.

    The one in the middle is no move.
    """
    ends = SHIFT * POINTS * np.linspace(-1.0, 1.0, ENDS)
    return np.repeat(ends, ENDS), np.tile(ends, ENDS)


def _length(seconds: float | Array) -> NDArray[np.int64]:
    """Return the number of a duration on a logarithmic scale, in steps of 10 %, from 0."""
    steps = np.log(np.clip(seconds, 1e-9, 1e9)) / (2.0 * LENGTHS)
    return 512 + np.floor(steps).astype(np.int64)


def _shapes(courses: Sequence[Course]) -> NDArray[np.int64]:
    """Return the hash of each move and table, (c, m, tables): its sides of the planes.

    A state at rest has little shape.
    """
    size = np.stack([np.hypot(course.size, course.rest) for course in courses])
    points = np.stack([course.points for course in courses])
    points = ((points - points[:, :1]) / size[:, None]).astype(np.float32)
    padded = np.pad(points, ((0, 0), (2, 2), (0, 0)), mode="edge")
    smooth = sum(padded[:, k : k + POINTS] * w for k, w in enumerate((1, 2, 3, 2, 1)))
    moved = _moved(np.asarray(smooth, np.float32))
    flat = (moved - moved.mean(axis=2, keepdims=True)).reshape(*moved.shape[:2], -1)
    signs = (_projected(flat) > 0.0).transpose(0, 2, 1, 3)  # (c, m, tables, signs)
    bits = np.zeros((*signs.shape[:3], 8), np.uint8)
    bits[..., : -(-SIGNS // 8)] = np.packbits(signs, axis=3, bitorder="little")
    return bits.view("<i8")[..., 0] | (np.arange(TABLES, dtype=np.int64) << SIGNS)


def _moved(points: _Singles) -> _Singles:
    """Return (c, p, s) points as if logs had started and ended at other rows: (c, m, q, s)."""
    row, part = _positions()
    lower = points[:, row]
    return np.asarray(lower + part[..., None] * (points[:, row + 1] - lower), np.float32)


@cache
def _positions() -> tuple[NDArray[np.intp], _Singles]:
    """Return where among p points those of a shape are after each move: row and part, (m, q)."""
    first, last = _moves()
    share = (np.arange(SHAPE) + 0.5) / SHAPE
    begin = first[:, None] - 0.5
    end = POINTS - 0.5 + last[:, None]
    positions = np.clip(begin + share * (end - begin), 0.0, POINTS - 1)
    row = np.minimum(positions.astype(np.intp), POINTS - 2)
    part: _Singles = np.asarray(positions - row, np.float32)
    return row, part


def _projected(flat: _Singles) -> _Singles:
    """Return the products of shapes (c, m, q s) with the normals of all planes: (c, t, m, signs).

    In small products: the threads of a large one wait for more, and that costs a core.
    """
    normals = _normals(flat.shape[2])
    blocks = range(0, flat.shape[2], _INNER)
    parts = [flat[:, None, :, k : k + _INNER] @ normals[:, k : k + _INNER] for k in blocks]
    return np.asarray(sum(parts[1:], start=parts[0]))


@cache
def _normals(size: int) -> _Singles:
    """Return the normals of the planes of every table, (tables, size, signs)."""
    by_table = planes(size).reshape(size, TABLES, SIGNS).transpose(1, 0, 2)
    return np.ascontiguousarray(by_table, np.float32)


@cache
def planes(size: int) -> Array:
    """Return the normals of the random planes, (size, TABLES x SIGNS); the same everywhere."""
    return np.random.default_rng(0).standard_normal((size, TABLES * SIGNS))
