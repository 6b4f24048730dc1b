"""Similarity of two recordings: the criterion for near-duplicates, and keys to find them by.

The criterion is local: it depends on the sketches of two recordings and on the task, and on no
other recording. Adding data therefore changes no earlier result. Near-duplicates have equally long
episodes whose states follow the same course, or first rows that are equal number by number, as in
a log that was appended to after it was read.

Locality-sensitive hashing (LSH) keys of recordings make few pairs to compare. The course of a
sketch is hashed by the signs of random projections (Charikar 2002, section 3): two courses at an
angle θ agree in one sign with probability 1 - θ/π. Duplicates therefore nearly always share one of
`TABLES` keys of `SIGNS` signs, and independent runs almost never do. A search also tries the keys
of a log that begins or ends slightly earlier or later.

Symbols: p points of a sketch, q points of a shape, s states, d shifts, c courses, m moves of both
ends.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kinemill.runtime import whole_turns
from kinemill.task import Task
from kinemill.validate.faults import Array, Values
from kinemill.validate.signal_stats import extremes, mean_and_deviation

POINTS = 128  # points of a sketch, evenly spaced over the whole episode
BEGIN = 20  # first rows of an episode that are compared number by number
BEGINS = 8  # episodes of a recording whose first rows are kept
LENGTHS = 0.05  # by which the durations of repeats may differ, relative
MAX_DISTANCE = (
    0.15  # rms distance of two courses over the states' deviation; repeats have 0.03 to 0.17
)
NOISES = 4.0  # times its noise, and
STILL = 0.01  # of half of its limits: a state that deviates by less is at rest
SHIFT = 0.03  # of its duration by which one log may start earlier or later than the other
RESOLVED = 0.5  # of a state's deviation that its course must have
COARSE = 4
FAR = 3.0  # stride of the coarse distance, and the factor on `ALIKE` above which it rejects
STEP = 0.5
FINER = 5  # stride of the shifts of the coarse search, and number of shifts that are refined

Signs = NDArray[np.bool_]

SIGNS = 30
TABLES = 16  # of a key, of an index
_ENDS = 7  # places that both ends of a log are looked for at, within `SHIFT` of where they are
_SHAPE = 32  # points of a shape, each a mean over five of a sketch
_LENGTH = 48
_BEGIN = 1 << 62  # where in a key its length is, and that it is of first rows
_BATCH = 64  # courses hashed together; more do not fit into a cache
_INNER = 128  # columns multiplied at a time: threads would cost more than so small a product

_Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Sketch:
    """Summary of a recording, or of one of its parts, for comparison with neighbors.

    Attributes:
        seconds: duration of the longest episode, s.
        points: its states around `POINTS` moments, (p x s) in one row, in task units.
        noise: noise of each state, (s,).
        begins: digests of the first rows of its episodes.
    """

    seconds: float
    points: list[float]
    noise: list[float]
    begins: list[str]


def sketch(pieces: Sequence[Values], task: Task) -> Sketch:
    """Return the sketch of a recording, or of one part of it.

    Args:
        pieces: its accepted episodes, channel -> (n,), at least one.
        task: its states, with units and order of the numbers.
    """
    longest = max(pieces, key=_rows)
    points = [_points(longest, name) for name in course_channels(task)]
    return Sketch(
        seconds=_rows(longest) * task.dt,
        points=[float(f"{x:.6g}") for x in np.stack(points, axis=1).ravel().tolist()],
        noise=[float(f"{_noise(longest, name):.4g}") for name in course_channels(task)],
        begins=sorted({begin for piece in pieces[:BEGINS] if (begin := _begin(piece, task))}),
    )


def course_channels(task: Task) -> list[str]:
    """Return the channels whose course is compared: states, or the actions of a task without."""
    return task.states or task.actions


def _rows(piece: Values) -> int:
    return len(next(iter(piece.values())))


def _points(piece: Values, name: str) -> Array:
    """Return (p,) means of a channel (n,), each over two of p equal parts around a part's middle.

    The means suppress motion that is too fast for the points, so that a course shifted by part of
    a point stays the same. If little remains, in long logs of fast motion, values are sampled.
    """
    values = piece[name]
    rows = len(values)
    part = rows / POINTS
    middles: Array = part * (np.arange(POINTS, dtype=np.float64) + 0.5)
    first = np.maximum(middles - part, 0.0)
    last = np.minimum(middles + part, rows)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    sum_before, sum_after = np.interp(np.stack((first, last)), np.arange(rows + 1), sums)
    means = (sum_after - sum_before) / (last - first)
    if means.std() > RESOLVED * mean_and_deviation(piece, name)[1]:
        return means
    return np.interp(middles - 0.5, np.arange(rows), values)


def _noise(piece: Values, name: str) -> float:
    """Return the noise of a channel: its median second difference, which slow motion does not have.

    Second differences of white noise have sqrt(6) times its standard deviation. For a quantized
    signal that rests most of the time the median is zero; its smallest steps are the noise.
    """
    low, high = extremes(piece, name)
    change = np.diff(piece[name])
    bend = np.abs(np.diff(change))
    change = np.abs(change)
    change = change[change > 1e-9 * max(high - low, 1e-300)]
    step = float(np.quantile(change, 0.05)) if len(change) else 0.0
    usual = 1.4826 * float(np.median(bend)) / np.sqrt(6.0) if len(bend) else 0.0
    return max(usual, step / np.sqrt(12.0))


def _begin(piece: Values, task: Task) -> str | None:
    """Return a digest of the first rows of an episode, or None if the robot does not move yet."""
    rows = np.stack([piece[name][:BEGIN] for name in task.columns], axis=1).astype(np.float64)
    moved = len(np.unique(rows[:, : len(course_channels(task))], axis=0))
    if len(rows) < BEGIN or moved < BEGIN // 2:
        return None
    return hashlib.sha256(rows.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Course:
    """A sketch as arrays.

    Attributes:
        seconds: duration of the episode, s.
        points: (p, s) in task units, angles shifted to start within half a turn.
        size: (s,) deviation over the points.
        rest: (s,) deviation below which a state is at rest.
        begins: digests of first rows.
    """

    seconds: float
    points: Array
    size: Array
    rest: Array
    begins: frozenset[str]


def course(sketch: Sketch, task: Task) -> Course:
    """Return a sketch as arrays; its noise and the limits define rest."""
    return courses_of([sketch.seconds], [numbers(sketch)], [sketch.begins], task)[0]


def numbers(sketch: Sketch) -> NDArray[np.float32]:
    """Return points and noise of a sketch as the index stores them: (p s + s,)."""
    return np.array([*sketch.points, *sketch.noise], np.float32)


def courses_of(
    seconds: Sequence[float],
    numbers: Sequence[NDArray[np.float32]],
    begins: Sequence[Iterable[str]],
    task: Task,
) -> list[Course]:
    """Return sketches as arrays, given the stored columns of the index, one value per sketch."""
    if not seconds:
        return []
    channels = [task.channels[name] for name in course_channels(task)]
    count = len(channels)
    stacked = np.stack(numbers).astype(np.float64)
    points = stacked[:, :-count].reshape(-1, POINTS, count)
    noise = stacked[:, -count:]
    angles = np.array([channel.kind == "angle" for channel in channels])
    points -= whole_turns(points[:, :1], angles)
    limits = [channel.limits for channel in channels]
    reach = np.array([0.5 * (limit[1] - limit[0]) if limit else 0.0 for limit in limits])
    rest = np.maximum(NOISES * noise, STILL * reach)
    # Numbers are rounded to six digits, so smaller changes are not motion.
    by_state = np.ascontiguousarray(points.transpose(0, 2, 1))
    rest = np.maximum(rest, 1e-5 * np.abs(by_state).max(axis=2) + 1e-12)
    size = by_state.std(axis=2)
    return [
        Course(long, points[k], size[k], rest[k], frozenset(begin))
        for k, (long, begin) in enumerate(zip(seconds, begins, strict=True))
    ]


def distances(course: Course, neighbors: Sequence[Course]) -> Array:
    """Return the rms distance of a course to each of neighbors, (k,), relative to the deviation.

    It is that of the worst state. One course is shifted along the other by up to `SHIFT` plus the
    difference of their durations, and the smallest distance counts. It is infinite for different
    durations and for robots at rest. A state that rests in both is scaled by the deviation that
    counts as rest.
    """
    result = np.full(len(neighbors), np.inf)
    if not neighbors:
        return result
    seconds = np.array([neighbor.seconds for neighbor in neighbors])
    shorter = np.minimum(course.seconds, seconds)
    longer = np.maximum(course.seconds, seconds)
    rest = np.maximum(course.rest, [neighbor.rest for neighbor in neighbors])  # (k, s)
    sizes = np.array([neighbor.size for neighbor in neighbors])
    size = np.maximum(np.minimum(course.size, sizes), rest)
    near = (shorter >= (1.0 - LENGTHS) * longer) & (size > rest).any(axis=1)
    # Triangle inequality of standard deviations, with a margin for ends that are cut off.
    near &= (np.abs(course.size - sizes) <= 3.0 * MAX_DISTANCE * size).all(axis=1)
    at = np.flatnonzero(near)
    if not len(at):
        return result
    shorter = shorter[at]
    longer = longer[at]
    size = size[at]
    step = STEP * shorter / POINTS
    counts = np.ceil((SHIFT * longer + (longer - shorter)) / step)
    moves = np.arange(-counts.max(), counts.max() + 1.0)
    coarse = np.clip(moves, -counts[:, None], counts[:, None]) * step[:, None]
    near_courses = [neighbors[k] for k in at.tolist()]
    result[at], shifts = _shifted_distances(course, near_courses, size, coarse, COARSE)
    close = np.flatnonzero(result[at] <= FAR * MAX_DISTANCE)  # most comparisons end here
    if len(close):
        near_courses = [neighbors[k] for k in at[close].tolist()]
        finer = np.linspace(-1.0, 1.0, 2 * FINER + 1, dtype=np.float64)
        fine: Array = shifts[close, None] + step[close, None] * finer
        result[at[close]], _ = _shifted_distances(course, near_courses, size[close], fine)
    return result


def _shifted_distances(
    course: Course, neighbors: Sequence[Course], size: Array, shifts: Array, step: int = 1
) -> tuple[Array, Array]:
    """Return the smallest distances to k neighbors over shifts (k, d) s, and their shifts s, (k,).

    The deviations `size` (k, s) scale them; `step` is the stride over the points.
    """
    points = np.stack([neighbor.points for neighbor in neighbors])
    seconds = np.array([neighbor.seconds for neighbor in neighbors])[:, None, None]
    times = np.minimum(course.seconds, seconds) / POINTS * (np.arange(0, POINTS, step) + 0.5)
    half = 0.5 * shifts[:, :, None]
    a, a_inside = _at(course.points[None], course.seconds, times + half)
    b, b_inside = _at(points, seconds, times - half)
    inside = (a_inside & b_inside).astype(np.float64)
    square = (inside[:, :, None] @ (a - b) ** 2)[:, :, 0]  # (k, d, s)
    off = np.sqrt(square / inside.sum(axis=2)[:, :, None])
    worst = (off / size[:, None]).max(axis=2)
    best = np.argmin(worst, axis=1)
    indices = np.arange(len(shifts))
    return worst[indices, best], shifts[indices, best]


def _at(points: Array, seconds: Array | float, times: Array) -> tuple[Array, Signs]:
    """Interpolate courses (k or 1, p, s) at (k, d, p) s; return values and which are inside."""
    positions = times * (POINTS / seconds) - 0.5
    row = np.clip(positions.astype(np.intp), 0, POINTS - 2)
    part = (positions - row)[..., None]
    inside = (positions >= 0.0) & (positions <= POINTS - 1)
    row += POINTS * np.arange(len(points))[:, None, None]
    flat = points.reshape(-1, points.shape[2])
    rise = np.diff(points, axis=1, append=0.0)
    values = rise.reshape(flat.shape).take(row, axis=0)
    values *= part
    values += flat.take(row, axis=0)
    return values, inside


def duplicate_distances(course: Course, neighbors: Sequence[Course]) -> list[float | None]:
    """Return the distance of each other course of the same run, and None for different runs.

    The distance is zero if first rows are equal.
    """
    far = distances(course, neighbors).tolist()
    return [
        0.0 if course.begins & neighbor.begins else size if size < MAX_DISTANCE else None
        for neighbor, size in zip(neighbors, far, strict=True)
    ]


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
    ends = SHIFT * POINTS * np.linspace(-1.0, 1.0, _ENDS)
    return np.repeat(ends, _ENDS), np.tile(ends, _ENDS)


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
    share = (np.arange(_SHAPE) + 0.5) / _SHAPE
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
