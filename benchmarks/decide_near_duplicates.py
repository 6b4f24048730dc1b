"""Compare the search for near-duplicates with datasketch (MinHash LSH) and faiss.

    python -m benchmarks.decide_near_duplicates 1000 20000

Neither is a dependency; install `datasketch` and `faiss-cpu` into the environment to measure them.
Each search proposes candidates among earlier recordings; the criterion of
`kinemill.validate.duplicates.similarity` accepts or rejects every candidate.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from datasketch import MinHash, MinHashLSH

from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.validate.duplicates.index import MAX_COMPARED, Sketched, open_index
from kinemill.validate.duplicates.similarity import Course, course, duplicate_distances, sketch

TASK = """\
task: arm
dt: 0.01
channels:
  a: {role: state, unit: rad}
  b: {role: state, unit: rad}
  c: {role: state, unit: rad/s}
  d: {role: state, unit: rad/s}
  u: {role: action, unit: N*m}
learn: {type: dynamics, model: {type: mlp}}
"""
ROWS = 600, 900  # shortest and longest recording
SHARE = 0.2  # of the recordings that repeat an earlier one
MOTIONS = 40  # that runs are variations of
QUERIES = 400  # recordings that are compared with all others, for the true duplicates
SHAPE = 32  # points of the vectors and sets that the libraries index
WIDTH = 0.5  # of a bin of MinHash, in standard deviations
PERMUTATIONS, JACCARD = 128, 0.3
FAR = 0.7  # rms distance of two vectors beyond which faiss proposes no candidate
Floats = np.ndarray
Candidates = list[list[int]]


def main() -> None:
    """Print recall and times for each number of recordings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arm.yaml"
        path.write_text(TASK)
        task = load_task(path)
        for count in map(int, sys.argv[1:]):
            compare(task, count, Home(Path(folder) / str(count)))


def compare(task: Task, count: int, home: Home) -> None:
    """Print what each search finds among `count` recordings."""
    random = np.random.default_rng(count)
    sketches = [sketch([values], task) for values in recordings(count, random)]
    courses = [course(one, task) for one in sketches]
    queries = random.choice(np.arange(1, count), min(QUERIES, count - 1), replace=False).tolist()
    began = time.perf_counter()
    truth = {at: duplicates(courses, at, range(at)) for at in queries}
    pairs = sum(map(len, truth.values()))
    print(f"\n{count} recordings, {pairs} true pairs of {len(queries)} queries", end=", ")
    print(f"compared with all in {time.perf_counter() - began:.0f} s")
    own_search(task, home, sketches, truth)
    shapes = np.stack([shape(one) for one in courses])
    searches: dict[str, Callable[[Floats], Candidates]] = {
        "datasketch MinHashLSH": minhash,
        "faiss flat": lambda vectors: nearest(faiss.IndexFlatL2(vectors.shape[1]), vectors),
        "faiss HNSW": lambda vectors: nearest(faiss.IndexHNSWFlat(vectors.shape[1], 32), vectors),
        "faiss LSH": lambda vectors: nearest(faiss.IndexLSH(vectors.shape[1], 480), vectors),
    }
    for name, search in searches.items():
        began = time.perf_counter()
        candidates = search(shapes)
        queried = time.perf_counter()
        results = {at: duplicates(courses, at, near) for at, near in enumerate(candidates)}
        seconds = time.perf_counter() - began
        size = sum(map(len, candidates)) / count
        show(
            name, results, truth, seconds, f"search {queried - began:.2f} s, {size:.1f} candidates"
        )
    print(f"faiss flat, one more recording: {1e3 * add_one(shapes, home.root / 'flat'):.1f} ms")


def own_search(task: Task, home: Home, sketches: list[dict], truth: dict[int, set[int]]) -> None:
    """Measure `DuplicateIndex`: all recordings but one, then one more in a new transaction."""
    began = time.perf_counter()
    units = [Sketched(f"{at:064x}", str(at), one) for at, one in enumerate(sketches)]
    with open_index(home, task) as index:
        reported = index.add(units[:-1])
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    with open_index(home, task) as index:
        reported |= index.add(units[-1:])
    single = time.perf_counter() - began
    numbers = {
        at: {int(one.recording, 16) for one in reported.get(f"{at:064x}", [])} for at in truth
    }
    show("kinemill", numbers, truth, seconds, f"one more recording: {1e3 * single:.1f} ms")


def duplicates(courses: list[Course], at: int, candidates: "range | list[int]") -> set[int]:
    """Return the candidates that the criterion accepts."""
    near = list(candidates)
    distances = duplicate_distances(courses[at], [courses[one] for one in near])
    return {one for one, distance in zip(near, distances, strict=True) if distance is not None}


def show(
    name: str,
    results: dict[int, set[int]],
    truth: dict[int, set[int]],
    seconds: float,
    note: str = "",
) -> None:
    """Print one line: the share of the true pairs, and of recordings with a duplicate."""
    pairs = sum(len(results[at] & true) for at, true in truth.items())
    repeats = [at for at, true in truth.items() if true]
    hit = sum(bool(results[at] & truth[at]) for at in repeats)
    total = sum(map(len, truth.values()))
    print(
        f"{name}: pairs {pairs / total:.1%}, repeats {hit}/{len(repeats)}, {seconds:.2f} s {note}"
    )


# Recordings


def recordings(count: int, random: np.random.Generator) -> list[dict[str, Floats]]:
    """Return runs of a few motions that vary, and repeats: exported again, cut or appended to."""
    motions = [spectrum(random) for _ in range(MOTIONS)]
    runs: list[tuple[Floats, int]] = []
    values: list[dict[str, Floats]] = []
    for _ in range(count):
        if runs and random.random() < SHARE:
            parts, rows = runs[random.integers(len(runs))]
            first, last = random.uniform(-0.02, 0.02, 2) * rows
            values.append(sampled(parts, first, rows + last, random))
            continue
        parts = motions[random.integers(MOTIONS)] + 0.4 * spectrum(random)
        rows = int(random.integers(*ROWS))
        runs.append((parts, rows))
        values.append(sampled(parts, 0.0, rows, random))
    return values


def spectrum(random: np.random.Generator) -> Floats:
    """Return the sine and cosine amplitudes of two joints at eight frequencies, (2, 2, 8)."""
    return random.standard_normal((2, 2, 8)) / np.sqrt(1.0 + np.arange(8))


def sampled(
    parts: Floats, first: float, last: float, random: np.random.Generator
) -> dict[str, Floats]:
    """Return the channels of a run from row `first` to row `last`, with noise of 1 %."""
    rows = first + np.arange(int(last - first))
    rates = 2.0 * np.pi * (1.0 + np.arange(8)) / ROWS[1]
    sine, cosine = np.sin(rates[:, None] * rows), np.cos(rates[:, None] * rows)
    positions = parts[:, 0] @ sine + parts[:, 1] @ cosine
    speeds = 100.0 * ((parts[:, 0] * rates) @ cosine - (parts[:, 1] * rates) @ sine)
    channels = dict(zip("abcd", [*positions, *speeds], strict=True))
    for name, exact in channels.items():
        channels[name] = exact + 0.01 * exact.std() * random.standard_normal(len(rows))
    return {**channels, "u": np.zeros(len(rows))}


# What the libraries index


def shape(one: Course) -> Floats:
    """Return the course over its deviation at a quarter of its points, (32 s,)."""
    points = one.points.reshape(SHAPE, -1, one.points.shape[1]).mean(axis=1)
    return (
        ((points - points.mean(axis=0)) / np.hypot(one.size, one.rest)).astype(np.float32).ravel()
    )


def minhash(vectors: Floats) -> Candidates:
    """Return the earlier recordings in a bucket, by the Jaccard similarity of binned points."""
    bins = np.floor(vectors / WIDTH).astype(int)
    sets = [[f"{at}:{value}".encode() for at, value in enumerate(row)] for row in bins.tolist()]
    index = MinHashLSH(threshold=JACCARD, num_perm=PERMUTATIONS)
    candidates: Candidates = []
    for at, hashes in enumerate(MinHash.generator(sets, num_perm=PERMUTATIONS)):
        candidates.append(sorted(index.query(hashes)))
        index.insert(at, hashes, check_duplication=False)
    return candidates


def nearest(index: faiss.Index, vectors: Floats) -> Candidates:
    """Return the nearest earlier recordings; the index is batched, later ones are left out."""
    faiss.omp_set_num_threads(1)
    index.train(vectors)
    index.add(vectors)
    squares, numbers = index.search(vectors, MAX_COMPARED)
    if not isinstance(index, faiss.IndexLSH):  # whose distances are numbers of bits
        numbers[squares > FAR**2 * vectors.shape[1]] = -1
    return [[one for one in row if 0 <= one < at] for at, row in enumerate(numbers.tolist())]


def add_one(vectors: Floats, path: Path) -> float:
    """Return the seconds to search for the last vector in a stored index, and to store it there."""
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors[:-1])
    faiss.write_index(index, str(path))
    began = time.perf_counter()
    stored = faiss.read_index(str(path))
    stored.search(vectors[-1:], MAX_COMPARED)
    stored.add(vectors[-1:])
    faiss.write_index(stored, str(path))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
