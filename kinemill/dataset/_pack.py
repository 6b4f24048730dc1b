"""Packing: accepted episodes become one array of rows with split and statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import pi
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from kinemill.dataset._balance import classes_of, weights_of
from kinemill.dataset._beside import write_beside
from kinemill.dataset._catalogue import enter
from kinemill.dataset._joined import gather
from kinemill.dataset._listing import write_listing
from kinemill.dataset._packed import (
    SPLITS,
    Floats,
    PackedDataset,
    PackedEpisode,
    create_values,
    write_description,
)
from kinemill.dataset._repeats import tell_repeats
from kinemill.dataset._sides import check_sides
from kinemill.dataset._split import (
    Known,
    Piece,
    SplitEpisode,
    cut_pieces,
    names_of,
    ranges,
    unmatched_patterns,
)
from kinemill.errors import CorruptArtifact
from kinemill.home import Home
from kinemill.spec import Task
from kinemill.store import Json, Outcome, Ref, digest, once, summary_of

VERSION = 3


@dataclass(frozen=True)
class Labels:
    """What else is known of episodes, by id: the other task they are of, and their class."""

    tasks: Mapping[str, str] = field(default_factory=dict[str, str])
    classes: Mapping[str, str] = field(default_factory=dict[str, str])


class ReadableEpisode(SplitEpisode, Protocol):
    """An accepted episode whose rows can be read."""

    def read(self) -> pl.DataFrame:
        """Return `time_s` and the task's channels, in task units."""
        ...


def make_dataset(task: Task, home: Home, episodes: Ref) -> Outcome:
    """Freeze a dataset version: split by recording, statistics of training, rows packed.

    The key knows the accepted episodes alone: a new log that goes to quarantine as a whole makes
    no new version. A new version is entered in the catalogue.

    Args:
        task: whose `dataset` part names the sides.
        home: where it is published.
        episodes: outcome of `validate`.

    Raises:
        BadInput: a side of the split is empty, or a recording's session is not known.
    """
    together = gather(task, home, episodes)
    known, classes = together.known, classes_of(task, home, together)
    inputs = {
        "episodes": summary_of(home, episodes)["digest"],
        "task": task.part("dt", "channels", "dataset"),
        "columns": task.columns,  # digests sort keys, but the order of channels matters
        "shortest": task.validation.min_steps,
        "groups": digest(known.groups),
        "repeats": digest(known.roots),
        "classes": digest(classes),
        "with": together.digests,
        "version": VERSION,
    }

    def build(folder: Path) -> Json:
        labels = Labels(together.tasks, classes)
        return pack(task, together.episodes, folder, known, labels)

    outcome = once(home, "dataset", task.name, inputs, build)
    enter(home, task.name, outcome.ref)
    return outcome


def pack(
    task: Task,
    episodes: Sequence[ReadableEpisode],
    folder: Path,
    known: Known | None = None,
    labels: Labels | None = None,
) -> Json:
    """Write the packed rows and their description into `folder`; return the summary.

    Args:
        task: whose `dataset` part names the sides.
        episodes: all accepted episodes.
        folder: empty, or one that may be written over.
        known: what stays together, if not recordings alone.
        labels: tasks of joined episodes, and the classes that are balanced.

    Raises:
        BadInput: a side of the split is empty.
        CorruptArtifact: an episode holds a value that is no finite float32.
    """
    known = replace(known or Known(), starts=_starts(task, episodes))
    pieces = cut_pieces(task.dataset, episodes, task.validation.min_steps, known)
    check_sides(task, pieces, known)
    unused = [piece for piece in pieces if piece.split == "unused"]
    used = sorted(
        (piece for piece in pieces if piece.split != "unused"),
        key=lambda piece: (SPLITS.index(piece.split), piece.id),
    )
    placed = _place(used, task, labels or Labels())
    values = create_values(folder, placed[-1].stop, len(task.columns))
    by_id = {episode.id: episode for episode in episodes}
    rows, deltas = Moments(len(task.columns)), Moments(len(task.states))
    for piece, place in zip(used, placed, strict=True):
        content = _read(task, by_id[piece.episode], piece)
        if piece.split == "train":
            rows.add(content)
            deltas.add(np.diff(content[:, : len(task.states)], axis=0))
        values[place.start : place.stop] = content
    values.flush()
    dataset = _describe(task, placed, values, rows, deltas)
    write_description(folder, dataset)
    write_beside(task, folder, used, by_id)
    write_listing(folder, pieces, placed, known.groups)
    summary = summarise(dataset)
    summary["episodes"]["unused"] = len(unused)
    summary["rows"]["unused"] = sum(piece.last - piece.first for piece in unused)
    names = {name for one in episodes for name in names_of(one.name, one.part)}
    summary["unmatched"] = unmatched_patterns(task.dataset, names, known.groups)
    summary["repeats"] = tell_repeats(task.dataset, episodes, known)
    return summary


def _starts(task: Task, episodes: Sequence[ReadableEpisode]) -> dict[str, int]:
    """Return the row of its recording that each episode begins with, if the task counts rows."""
    if not any(ranges(task.dataset, side) for side in ("unused", "test", "validation")):
        return {}
    return {one.id: round(float(one.read()["time_s"][0]) / task.dt) for one in episodes}


def _place(pieces: list[Piece], task: Task, labels: Labels) -> list[PackedEpisode]:
    stops = np.cumsum([piece.last - piece.first for piece in pieces]).tolist()
    placed = [
        PackedEpisode(
            piece.id,
            piece.recording,
            piece.name,
            piece.split,
            start,
            stop,
            labels.tasks.get(piece.episode, ""),
        )
        for piece, start, stop in zip(pieces, [0, *stops[:-1]], stops, strict=True)
    ]
    if task.dataset.balance is None or not labels.classes:
        return placed
    classes = {piece.id: labels.classes[piece.episode] for piece in pieces}
    weights = weights_of(placed, classes, task.dataset.balance.power)
    return [replace(one, weight=weight) for one, weight in zip(placed, weights, strict=True)]


def _read(task: Task, episode: ReadableEpisode, piece: Piece) -> Floats:
    """Return the (rows, C) float64 rows of a piece, angles shifted to start within half a turn."""
    frame = episode.read().select(task.columns).slice(piece.first, piece.last - piece.first)
    content = np.array(frame.to_numpy(), np.float64)
    for column, name in enumerate(task.columns):
        if task.channels[name].kind == "angle":
            content[:, column] -= whole_turns(float(content[0, column]))
    largest = float(np.finfo(np.float32).max)
    bad = np.argwhere(~(np.abs(content) <= largest))
    if len(bad):
        row, column = bad[0]
        where = f"episode {episode.id}, row {piece.first + row}, {task.columns[column]}"
        raise CorruptArtifact(
            where,
            f"{content[row, column]}",
            expected="a finite number, as validate promises",
        )
    return content


def whole_turns(angle: float) -> float:
    """Return the multiple of 2π, rad, without which `angle` lies in [-π, π).

    A float32 near 1e4 rad resolves 1 mrad only; whole turns carry nothing.
    """
    return 2.0 * pi * float(np.floor((angle + pi) / (2.0 * pi)))


class Moments:
    """Mean and standard deviation of rows that arrive in batches, in float64.

    Batches join as in Chan, Golub and LeVeque 1983, eq. (2.1): no cancellation, one pass.
    """

    def __init__(self, columns: int) -> None:
        self.count = 0
        self.mean: Floats = np.zeros(columns)
        self._squares: Floats = np.zeros(columns)

    def add(self, rows: Floats) -> None:
        """Add (n, columns) rows."""
        n = len(rows)
        if n == 0:
            return
        mean, total = rows.mean(axis=0), self.count + n
        between = mean - self.mean
        self._squares += ((rows - mean) ** 2).sum(axis=0)
        self._squares += between**2 * (self.count * n / total)
        self.mean = self.mean + between * (n / total)
        self.count = total

    @property
    def std(self) -> Floats:
        """Standard deviation of each column, of the rows seen (not of a population)."""
        return np.sqrt(self._squares / max(self.count, 1))


def _describe(
    task: Task, placed: list[PackedEpisode], values: np.ndarray, rows: Moments, deltas: Moments
) -> PackedDataset:
    return PackedDataset(
        task=task.name,
        dt=task.dt,
        states=task.states,
        actions=task.actions,
        units={name: task.channels[name].unit for name in task.columns},
        angles=[name for name in task.states if task.channels[name].kind == "angle"],
        episodes=placed,
        values=values,
        mean=rows.mean,
        std=rows.std,
        delta_std=deltas.std,
    )


def summarise(dataset: PackedDataset) -> Json:
    """Return episodes and rows by split, and the statistics by channel."""
    statistics = {
        name: {"unit": dataset.units[name], "mean": mean, "std": std}
        for name, mean, std in zip(
            dataset.columns, dataset.mean.tolist(), dataset.std.tolist(), strict=True
        )
    }
    for name, delta in zip(dataset.states, dataset.delta_std.tolist(), strict=True):
        statistics[name]["delta_std"] = delta
    return {
        "episodes": {split: len(dataset.of(split)) for split in SPLITS},
        "rows": {split: sum(episode.rows for episode in dataset.of(split)) for split in SPLITS},
        "statistics": statistics,
    }
