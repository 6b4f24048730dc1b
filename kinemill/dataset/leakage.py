"""Data leakage: validation and test rows that repeat training rows, so that errors look small.

Two kinds are measured. A near-duplicate is another recording of the same run
(`kinemill.validate.duplicates.similarity`). A repeated stretch belongs to a recording that is also
trained on, cut by `tail` or `rows`, and recurs in the training rows: periodic motion, or the same
excitation again.

Symbols: N rows, C columns, L rows of a window.
"""

from collections.abc import Iterator, Sequence
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
MOST = 20_000  # training rows of the same recording that are searched, the nearest in time
MATCH = 0.15  # rms distance to the best match, relative to the deviation of the window
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

    The share of repeated stretches is estimated from sampled windows.
    """
    repeating = _repeating_training(related)
    about = read_description(folder)
    leakage: dict[str, Leakage] = {}
    for side in ("validation", "test"):
        _, rows = about.count(side)
        pieces = scan_listing(folder, side)
        repeats = pl.col("recording").is_in(repeating)
        duplicated = pieces.filter(repeats).select(pl.col("rows").sum()) if repeating else None
        distinct = rows - (duplicated.collect().item() if duplicated is not None else 0)
        tears = tears_recordings(rules)  # else no recording has rows in two splits
        repeated_share = _repeated_rows(dataset, folder, pieces.filter(~repeats)) if tears else 0.0
        leakage[side] = Leakage((rows - distinct) / (rows or 1), repeated_share / (rows or 1))
    return leakage


def _repeating_training(related: Sequence[Related]) -> list[str]:
    """Return the recordings with a near-duplicate, other than themselves, that is trained on."""
    trained: dict[str, set[str]] = {}
    roots: dict[str, set[str]] = {}
    for episode in related:
        roots.setdefault(episode.recording, set()).add(episode.root)
        if episode.side == "train":
            trained.setdefault(episode.root, set()).add(episode.recording)
    return [
        recording
        for recording, recording_roots in roots.items()
        if any(trained.get(root, set()) - {recording} for root in recording_roots)
    ]


def _repeated_rows(dataset: PackedDataset, folder: Path, pieces: pl.LazyFrame) -> float:
    """Return the number of rows of pieces that recur in training rows of their recording."""
    training = scan_listing(folder, "train").select(*EPISODE, "rows")
    cut = pieces.join(training, on="recording", how="semi", maintain_order="left")
    cut = cut.select(*EPISODE, "rows").collect()
    sampled = ListedEpisodes(cut.gather_every(max(1, len(cut) // PIECES)).head(PIECES).lazy())
    if not sampled:
        return 0.0
    recordings = [piece.recording for piece in sampled]
    trained = ListedEpisodes(training.filter(pl.col("recording").is_in(recordings)))
    shares = [
        _repeated_share(dataset, piece, [o for o in trained if o.recording == piece.recording])
        for piece in sampled
    ]
    share = float(np.average(shares, weights=[piece.rows for piece in sampled]))
    return share * int(cut["rows"].sum())


def _repeated_share(
    dataset: PackedDataset, piece: PackedEpisode, training: Sequence[PackedEpisode]
) -> float:
    """Return the share of a piece's windows that recur in training rows."""
    scaled = _scaled(dataset, piece.start, piece.stop)
    length = min(LENGTH, len(scaled))
    firsts = np.unique(np.linspace(0, len(scaled) - length, WINDOWS).astype(np.int64))
    windows = [scaled[first : first + length] for first in firsts]
    windows = [window for window in windows if np.sqrt(window.var(axis=0).mean()) >= MOTION]
    if not windows:
        return 0.0
    nearest = np.full(len(windows), np.inf)
    for rows in _search_rows(dataset, training, length):
        nearest = np.minimum(nearest, _distances(rows, windows))
    variance = np.array([window.var(axis=0).mean() for window in windows])
    return float(np.mean(nearest <= MATCH**2 * variance))


def _search_rows(
    dataset: PackedDataset, training: Sequence[PackedEpisode], length: int
) -> Iterator[Floats]:
    """Yield the latest `MOST` training rows of a recording, in stretches that fit a window."""
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
