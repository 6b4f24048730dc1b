"""Data leakage: how much of validation and test repeats training rows, so errors look too small.

Two kinds count. A near-duplicate is another recording of the same run
(`kinemill.validate.duplicates.similarity`).
A repeated stretch is cut from a recording that is also trained on, by `tail` or `rows`, and returns
there in the same course: periodic motion, the same excitation again.

Symbols: N rows, C columns, L rows of a window.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset._packed import PackedDataset, PackedEpisode
from kinemill.dataset._split import Known, SplitEpisode, unit_of
from kinemill.store import Json
from kinemill.task import Dataset

LENGTH = 200  # rows of a window; a piece that is shorter is one
WINDOWS, PIECES = 8, 24  # windows of a piece, and pieces of a side, that are looked up
MOST = 20_000  # training rows of the same recording that are searched, the nearest in time
ALIKE = 0.15  # rms distance to the best match over the deviation of the window itself
MOVING = 0.1  # deviation of a window, over that of the data: a robot at rest repeats nothing

_Rows = NDArray[np.float64]


def independence(
    rules: Dataset,
    episodes: Iterable[SplitEpisode],
    known: Known,
    dataset: PackedDataset,
) -> Json:
    """Return the share of rows that repeat training rows, by side.

    Returns:
        `{"validation": {"near_duplicates": 0.2, "repeated": 0.0}, "test": ...}`; shares of the
        side's rows. Of repeated stretches it is an estimate from sampled windows.
    """
    trained = _trained_groups(rules, episodes, known)
    found: Json = {}
    for side in ("validation", "test"):
        pieces = dataset.of(side)
        total = sum(piece.rows for piece in pieces) or 1
        twins = [piece for piece in pieces if _repeats_another(piece, trained)]
        rest = [piece for piece in pieces if piece not in twins]
        found[side] = {
            "near_duplicates": sum(piece.rows for piece in twins) / total,
            "repeated": _repeated_rows(dataset, rest) / total,
        }
    return found


def _trained_groups(
    rules: Dataset, episodes: Iterable[SplitEpisode], known: Known
) -> dict[str, set[str]]:
    """Return, by recording, the recordings of its near-duplicates that are trained on."""
    groups: dict[str, set[str]] = {}
    members: dict[str, set[str]] = {}
    for episode in episodes:
        unit = unit_of(rules, episode)
        root = known.twins.get(unit, unit)
        groups.setdefault(root, set())
        members.setdefault(episode.recording, set()).add(root)
        if known.side(rules, episode) == "train":
            groups[root].add(episode.recording)
    return {
        recording: set[str]().union(*(groups[root] for root in roots)) - {recording}
        for recording, roots in members.items()
    }


def _repeats_another(piece: PackedEpisode, trained: dict[str, set[str]]) -> bool:
    return bool(trained.get(piece.recording))


def _repeated_rows(dataset: PackedDataset, pieces: Sequence[PackedEpisode]) -> float:
    """Return how many rows of pieces return in training rows of their own recording."""
    training: dict[str, list[PackedEpisode]] = {}
    for episode in dataset.of("train"):
        training.setdefault(episode.recording, []).append(episode)
    cut = [piece for piece in pieces if piece.recording in training]
    chosen = cut[:: max(1, len(cut) // PIECES)][:PIECES]
    shares = [_share(dataset, piece, training[piece.recording]) for piece in chosen]
    looked = sum(piece.rows for piece in chosen)
    alike = sum(share * piece.rows for share, piece in zip(shares, chosen, strict=True))
    return alike / looked * sum(piece.rows for piece in cut) if looked else 0.0


def _share(
    dataset: PackedDataset, piece: PackedEpisode, training: Sequence[PackedEpisode]
) -> float:
    """Return the share of a piece's windows that return in training rows."""
    own = _scaled(dataset, piece.start, piece.stop)
    length = min(LENGTH, len(own))
    firsts = np.unique(np.linspace(0, len(own) - length, WINDOWS).astype(np.int64))
    windows = [own[first : first + length] for first in firsts]
    moving = [one for one in windows if np.sqrt(one.var(axis=0).mean()) >= MOVING]
    if not moving:
        return 0.0
    nearest = np.full(len(moving), np.inf)
    for rows in _searched(dataset, training, length):
        nearest = np.minimum(nearest, _distances(rows, moving))
    spread = np.array([one.var(axis=0).mean() for one in moving])
    return float(np.mean(nearest <= ALIKE**2 * spread))


def _searched(
    dataset: PackedDataset, training: Sequence[PackedEpisode], length: int
) -> Iterator[_Rows]:
    """Yield training rows of a recording in which a window fits, the latest `MOST`."""
    left = MOST
    for episode in reversed(training):
        first = max(episode.start, episode.stop - left)
        if left > 0 and episode.stop - first >= length:
            yield _scaled(dataset, first, episode.stop)
        left -= episode.stop - first


def _scaled(dataset: PackedDataset, first: int, stop: int) -> _Rows:
    """Return rows (N, C) over the deviation of each channel; angles as sines and cosines."""
    values = np.asarray(dataset.values[first:stop], dtype=np.float64)
    columns = [*dataset.states, *dataset.actions]
    scaled = list[_Rows]()
    for number, name in enumerate(columns):
        if name in dataset.angles:
            scaled += [np.sin(values[:, number]), np.cos(values[:, number])]
        elif dataset.std[number] > 0.0:
            scaled.append((values[:, number] - dataset.mean[number]) / dataset.std[number])
    return np.stack(scaled, axis=1) if scaled else np.zeros((len(values), 1))


def _distances(rows: _Rows, windows: Sequence[_Rows]) -> _Rows:
    """Return the mean squared distance of each window (L, C) to its best match in rows (N, C)."""
    length, places = len(windows[0]), len(rows) - len(windows[0]) + 1
    size = 1 << (len(rows) - 1).bit_length()
    spectrum = np.fft.rfft(rows, size, axis=0)
    energy = np.concatenate(([0.0], np.cumsum((rows**2).sum(axis=1))))
    here = energy[length:] - energy[:-length]
    found = list[float]()
    for window in windows:
        turned = np.conj(np.fft.rfft(window, size, axis=0))
        common = np.fft.irfft((spectrum * turned).sum(axis=1), size)[:places]
        squared = (window**2).sum() + here - 2.0 * common
        found.append(max(float(squared.min()), 0.0) / window.size)
    return np.array(found)
