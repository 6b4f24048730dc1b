"""Data leakage: validation and test rows that repeat training rows.

Rows are searched in the training rows of the same run: in near-duplicates
(`kinemill.validate.duplicates.similarity`) and, where `tail` or `rows` cut a recording, in the rest
of it. Equal samples are copies, on which errors look small. The same course with other samples,
such as a periodic motion or an excitation that was run again, is a repetition: its noise is new, so
it is a valid test, of repeatability alone.

Symbols: N rows, C columns, L rows of a window.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.description import read_description
from kinemill.dataset.listing import EPISODE, scan_listing
from kinemill.dataset.packed import Floats, ListedEpisodes, PackedDataset, PackedEpisode
from kinemill.dataset.split import SplitContext, tears_recordings, unit_column
from kinemill.dataset.summary import Leakage, NearDuplicates
from kinemill.task import Dataset

LISTED = 20  # torn groups listed by name
LENGTH = 200  # rows of a window; a shorter piece is one window
WINDOWS = 8
PIECES = 24  # windows per piece, and pieces per split, that are sampled
MOST = 20_000  # training rows of the same run that are searched, the nearest in time
MATCH = 0.15  # rms distance to the best match, relative to the deviation of the window
COPY = 1e-4  # the same, of equal samples: text with five digits
MOTION = 0.1  # minimum deviation of a window, relative to the data: rest repeats nothing


class Related(NamedTuple):
    """An episode of a unit that repeats another or is repeated."""

    root: str
    recording: str
    name: str
    side: str


def find_related(rules: Dataset, listing: pl.LazyFrame, context: SplitContext) -> list[Related]:
    """Return each episode of a unit that repeats another or is repeated."""
    roots: dict[str, str] = {**context.roots, **context.duplicates}
    if not roots:
        return []
    units = listing.with_columns(unit=unit_column(rules))
    related = units.filter(pl.col("unit").is_in([*roots, *set(roots.values())]))
    columns = related.select("episode", "unit", "recording", "name", "side").collect()
    episodes = columns.unique("episode", keep="first", maintain_order=True)
    root = pl.col("unit").replace(roots)
    return [Related(*row) for row in episodes.select(root, *Related._fields[1:]).iter_rows()]


def find_torn_duplicates(related: Sequence[Related], context: SplitContext) -> NearDuplicates:
    """Count the near-duplicates that stay together, and list those in different splits."""
    groups: dict[str, dict[str, set[str]]] = {}
    for episode in related:
        splits = groups.setdefault(episode.root, {})
        if episode.side != "unused":
            splits.setdefault(episode.side, set()).add(episode.name)
    torn = [splits for splits in groups.values() if len(splits) > 1]
    listed = [
        {side: sorted(names) for side, names in names_by_side.items()}
        for names_by_side in torn[:LISTED]
    ]
    return NearDuplicates(len(context.roots), len(torn), listed)


def measure_leakage(
    rules: Dataset, folder: Path, related: Sequence[Related], dataset: PackedDataset
) -> dict[str, Leakage]:
    """Return the shares of validation and test rows that repeat training rows.

    The shares are estimated from sampled windows.
    """
    duplicated = _trained_duplicates(related)
    training = scan_listing(folder, "train").select(*EPISODE, "rows")
    about = read_description(folder)
    leakage: dict[str, Leakage] = {}
    for side in ("validation", "test"):
        searched = {name: {name, *names} for name, names in duplicated.items()}
        pieces = scan_listing(folder, side)
        if tears_recordings(rules):  # else no recording has rows in two splits
            torn = pieces.join(training, on="recording", how="semi").select("recording").collect()
            searched |= {name: {name} for name in torn["recording"] if name not in searched}
        pieces = pieces.filter(pl.col("recording").is_in([*searched]))
        copies, repetitions = _repeated_rows(dataset, pieces, training, searched)
        rows = about.count(side)[1] or 1
        leakage[side] = Leakage(copies / rows, repetitions / rows)
    return leakage


def _trained_duplicates(related: Sequence[Related]) -> dict[str, set[str]]:
    """Return the trained near-duplicates of each recording, without the recording itself."""
    trained: dict[str, set[str]] = {}
    roots: dict[str, set[str]] = {}
    for episode in related:
        roots.setdefault(episode.recording, set()).add(episode.root)
        if episode.side == "train":
            trained.setdefault(episode.root, set()).add(episode.recording)
    duplicated = dict[str, set[str]]()
    for recording, recording_roots in roots.items():
        neighbors = set[str]().union(*(trained.get(root, set()) for root in recording_roots))
        if neighbors := neighbors - {recording}:
            duplicated[recording] = neighbors
    return duplicated


def _repeated_rows(
    dataset: PackedDataset,
    pieces: pl.LazyFrame,
    training: pl.LazyFrame,
    searched: Mapping[str, Collection[str]],
) -> tuple[float, float]:
    """Return the number of rows of pieces that copy, and that repeat, training rows of their run.

    Args:
        dataset: rows.
        pieces: of a split.
        training: pieces that are trained on.
        searched: the recordings in which each recording is searched.
    """
    listed = pieces.select(*EPISODE, "rows").collect()
    sampled = ListedEpisodes(listed.gather_every(max(1, len(listed) // PIECES)).head(PIECES).lazy())
    if not sampled:
        return 0.0, 0.0
    names = set[str]().union(*(searched[piece.recording] for piece in sampled))
    trained = ListedEpisodes(training.filter(pl.col("recording").is_in([*names])))
    shares = [
        _repeated_shares(
            dataset, piece, [run for run in trained if run.recording in searched[piece.recording]]
        )
        for piece in sampled
    ]
    copies, repetitions = np.average(shares, axis=0, weights=[piece.rows for piece in sampled])
    total = int(listed["rows"].sum())
    return float(copies) * total, float(repetitions) * total


def _repeated_shares(
    dataset: PackedDataset, piece: PackedEpisode, training: Sequence[PackedEpisode]
) -> tuple[float, float]:
    """Return the shares of a piece's windows that copy, and that repeat, training rows."""
    scaled = _scaled(dataset, piece.start, piece.stop)
    length = min(LENGTH, len(scaled))
    firsts = np.unique(np.linspace(0, len(scaled) - length, WINDOWS).astype(np.int64))
    windows = [scaled[first : first + length] for first in firsts]
    windows = [window for window in windows if np.sqrt(window.var(axis=0).mean()) >= MOTION]
    if not windows:
        return 0.0, 0.0
    nearest = np.full(len(windows), np.inf)
    for rows in _search_rows(dataset, training, length):
        nearest = np.minimum(nearest, _distances(rows, windows))
    distance = np.sqrt(nearest / np.array([window.var(axis=0).mean() for window in windows]))
    copied = float(np.mean(distance <= COPY))
    return copied, float(np.mean(distance <= MATCH)) - copied


def _search_rows(
    dataset: PackedDataset, training: Sequence[PackedEpisode], length: int
) -> Iterator[Floats]:
    """Yield the latest `MOST` training rows of a run, in stretches that fit a window."""
    remaining = MOST
    for episode in reversed(training):
        first = max(episode.start, episode.stop - remaining)
        if remaining > 0 and episode.stop - first >= length:
            yield _scaled(dataset, first, episode.stop)
        remaining -= episode.stop - first


def _scaled(dataset: PackedDataset, first: int, stop: int) -> Floats:
    """Return rows (N, C) divided by the std of each channel; angles as sines and cosines."""
    values = dataset.view(first, stop).astype(np.float64)
    scaled = list[NDArray[np.float64]]()
    for number, name in enumerate(dataset.columns):
        if name in dataset.angles:
            scaled += [np.sin(values[:, number]), np.cos(values[:, number])]
        elif dataset.std[number] > 0.0:
            scaled.append((values[:, number] - dataset.mean[number]) / dataset.std[number])
    return np.stack(scaled, axis=1) if scaled else np.zeros((len(values), 1))


def _distances(rows: Floats, windows: Sequence[Floats]) -> Floats:
    """Return the mean squared distance of each window (L, C) to its best match in rows (N, C).

    |a - b|^2 = |a|^2 + |b|^2 - 2 a.b at every shift; the products come from one Fourier transform.
    """
    length = len(windows[0])
    shifts = len(rows) - len(windows[0]) + 1
    # At least N, so that the circular correlation is exact at all N - L + 1 shifts.
    size = 1 << (len(rows) - 1).bit_length()
    spectrum = np.fft.rfft(rows, size, axis=0)
    # Differences of prefix sums are the energy of the rows at every shift.
    energy = np.concatenate(([0.0], np.cumsum((rows**2).sum(axis=1))))
    here = energy[length:] - energy[:-length]
    distances = list[float]()
    for window in windows:
        conjugate = np.conj(np.fft.rfft(window, size, axis=0))
        product = np.fft.irfft((spectrum * conjugate).sum(axis=1), size)[:shifts]
        squared = (window**2).sum() + here - 2.0 * product
        distances.append(max(float(squared.min()), 0.0) / window.size)
    return np.array(distances)
