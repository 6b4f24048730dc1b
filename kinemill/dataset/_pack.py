"""Packing: accepted episodes become one array of rows with split and statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kinemill.dataset._assignment import assign_sides
from kinemill.dataset._balance import classes_of, weights_of
from kinemill.dataset._empty_split import check_sides
from kinemill.dataset._incremental import (
    Last,
    find_last,
    sources_of,
    write_sources,
)
from kinemill.dataset._independence import independence
from kinemill.dataset._listing import write_listing
from kinemill.dataset._multi_task import gather
from kinemill.dataset._near_duplicates import tell_repeats
from kinemill.dataset._packed import (
    SPLITS,
    PackedDataset,
    PackedEpisode,
)
from kinemill.dataset._row_writer import Packing, ReadableEpisode
from kinemill.dataset._split import (
    Known,
    Piece,
    cut_pieces,
    names_of,
    ranges,
    unmatched_patterns,
)
from kinemill.dataset._trainable import check_published, check_rows, check_trainable
from kinemill.dataset._versions import enter
from kinemill.store import Artifact, ArtifactRef, Json, digest, get_or_build, summary_of
from kinemill.store.home import Home
from kinemill.task import Task

VERSION = 6


@dataclass(frozen=True)
class Labels:
    """What else is known of episodes, by id: the other task they are of, and their class."""

    tasks: Mapping[str, str] = field(default_factory=dict[str, str])
    classes: Mapping[str, str] = field(default_factory=dict[str, str])


def make_dataset(task: Task, home: Home, episodes: ArtifactRef) -> Artifact:
    """Freeze a dataset version: split by recording, statistics of training, rows packed.

    The key knows the accepted episodes alone: a new log that goes to quarantine as a whole makes
    no new version. A new version is entered in the catalog.

    Args:
        task: whose `dataset` part names the sides.
        home: where it is published.
        episodes: outcome of `validate`.

    Raises:
        BadInput: a side of the split is empty, no model of the task's `learn` part can be trained
            on it, or a recording's session is not known.
    """
    together = gather(task, home, episodes)
    known = assign_sides(task, home, together.episodes, together.known)
    classes = classes_of(task, home, together)
    inputs = {
        "episodes": summary_of(home, episodes)["digest"],
        "task": task.part("dt", "channels", "dataset"),
        "columns": task.columns,  # digests sort keys, but the order of channels matters
        "shortest": task.validation.min_steps,
        "groups": digest(known.groups),
        "repeats": digest([known.roots, known.twins]),
        "assigned": digest(known.assigned),
        "classes": digest(classes),
        "join": together.digests,
        "version": VERSION,
    }

    def build(folder: Path) -> Json:
        labels = Labels(together.tasks, classes)
        last = find_last(home, task.name, inputs)
        return pack(task, together.episodes, folder, known, labels, last)

    outcome = get_or_build(home, "dataset", task.name, inputs, build)
    if outcome.cached:
        check_published(task, home.root / outcome.ref.path)
    enter(home, task.name, outcome.ref)
    return outcome


def pack(
    task: Task,
    episodes: Sequence[ReadableEpisode],
    folder: Path,
    known: Known | None = None,
    labels: Labels | None = None,
    last: Last | None = None,
) -> Json:
    """Write the packed rows and their description into `folder`; return the summary.

    Args:
        task: whose `dataset` part names the sides.
        episodes: all accepted episodes.
        folder: empty, or one that may be written over.
        known: what stays together, if not recordings alone.
        labels: tasks of joined episodes, and the classes that are balanced.
        last: version from which the rows of episodes that are in it are copied, the bytes written
            being the same as without.

    Raises:
        BadInput: a side of the split is empty, or no model can be trained on it.
        CorruptArtifact: an episode holds a value that is no finite float32.
    """
    begins = _begins(task, episodes, last)
    known = replace(known or Known(), starts=begins)
    pieces = cut_pieces(task.dataset, episodes, task.validation.min_steps, known)
    check_sides(task, pieces, known)
    check_rows(task, pieces)
    unused = [piece for piece in pieces if piece.split == "unused"]
    used = sorted(
        (piece for piece in pieces if piece.split != "unused"),
        key=lambda piece: (SPLITS.index(piece.split), piece.id),
    )
    placed = _place(used, task, labels or Labels())
    by_id = {episode.id: episode for episode in episodes}
    sources = sources_of([*used, *unused], by_id)
    packing = Packing(task, folder, used, placed)
    for number in packing.take_over(last, sources[: len(used)]):
        packing.read(number, by_id[used[number].episode])
    write_sources(folder, sources, [one.start for one in placed], begins)
    dataset = packing.finish()
    check_trainable(task, dataset, folder)
    write_listing(folder, pieces, placed, known.groups)
    summary = summarize(dataset)
    summary["episodes"]["unused"] = len(unused)
    summary["rows"]["unused"] = sum(piece.last - piece.first for piece in unused)
    names = {name for one in episodes for name in names_of(one.name, one.part)}
    summary["unmatched"] = unmatched_patterns(task.dataset, names, known.groups)
    summary["coarse"] = packing.coarse()
    summary["repeats"] = tell_repeats(task.dataset, episodes, known)
    summary["independence"] = independence(task.dataset, episodes, known, dataset)
    return summary


def _begins(task: Task, episodes: Sequence[ReadableEpisode], last: Last | None) -> dict[str, int]:
    """Return the row of its recording that each episode begins with, if the task counts rows."""
    if not any(ranges(task.dataset, side) for side in ("unused", "test", "validation")):
        return {}

    def begin(one: ReadableEpisode) -> int:
        told = last.begins.get((one.id, one.outcome)) if last else None
        return round(float(one.read()["time_s"][0]) / task.dt) if told is None else told

    return {one.id: begin(one) for one in episodes}


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


def summarize(dataset: PackedDataset) -> Json:
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
