"""Dataset stage: pack accepted episodes into segments of rows, with split and statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from kinemill.dataset.assignment import assign_sides
from kinemill.dataset.balance import classes_of, weights_of
from kinemill.dataset.catalog import STAGE, enter
from kinemill.dataset.incremental import PreviousVersion, find_previous
from kinemill.dataset.leakage import find_torn_duplicates, measure_leakage
from kinemill.dataset.listing import SCHEMA
from kinemill.dataset.multi_task import EpisodeSet, collect_episodes
from kinemill.dataset.packed import SPLITS
from kinemill.dataset.row_writer import ReadableEpisode, RowWriter
from kinemill.dataset.split import (
    Piece,
    SplitContext,
    cut_pieces,
    names_of,
    ranges,
    unmatched_patterns,
)
from kinemill.dataset.summary import DatasetSummary, channel_statistics, count_rows
from kinemill.dataset.trainable import check_published, check_rows, check_sides, check_trainable
from kinemill.search.saved_views import with_resolved_rule
from kinemill.store import Artifact, ArtifactRef, Json, digest, get_or_build, to_json_value
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.summary import EpisodesSummary

VERSION = 9


@dataclass(frozen=True)
class Labels:
    """Labels of episodes, by id: the other task they belong to, and their class."""

    tasks: Mapping[str, str] = field(default_factory=dict[str, str])
    classes: Mapping[str, str] = field(default_factory=dict[str, str])


def inputs(
    task: Task, home: Home, episodes: ArtifactRef, collected: EpisodeSet, labels: Labels
) -> Json:
    """Return what the artifact key is made of.

    The key contains the accepted episodes alone: a new log that goes to quarantine as a whole
    makes no new version.

    Args:
        task: task with the `dataset` part, whose rule names no view.
        home: home that holds the artifacts.
        episodes: artifact of the validation stage.
        collected: its episodes and those of joined tasks, with their split assignments.
        labels: classes that are balanced.
    """
    context = collected.context
    return {
        "episodes": collected.selected or EpisodesSummary.read(home, episodes).digest,
        "task": task.part("dt", "channels", "dataset"),
        "columns": task.columns,  # digests sort keys, but the order of channels matters
        "shortest": task.validation.min_steps,
        "groups": digest(context.groups),
        "repeats": digest([context.roots, context.duplicates]),
        "assigned": digest(context.assigned),
        "classes": digest(labels.classes),
        "join": collected.digests,
        "version": VERSION,
    }


def run(task: Task, home: Home, episodes: ArtifactRef) -> Artifact:
    """Publish a dataset version and enter it in the catalog; return the cached one if unchanged.

    Args:
        task: task with the `dataset` part.
        home: home that holds the artifacts.
        episodes: artifact of the validation stage.

    Raises:
        BadInput: A split is empty, no model of the task's `learn` part can be trained on it, or
            the session of a recording is unknown.
    """
    collected = collect_episodes(task, home, episodes)
    context = assign_sides(task, home, collected.episodes, collected.context)
    collected = replace(collected, context=context)
    labels = Labels(collected.tasks, classes_of(task, home, collected))
    key = inputs(with_resolved_rule(task, home), home, episodes, collected, labels)

    def build(folder: Path) -> Json:
        previous = find_previous(home, task.name, key)
        summary = pack(task, collected.episodes, folder, context, labels, previous)
        return to_json_value(summary)

    artifact = get_or_build(home, STAGE, task.name, key, build)
    if artifact.cached:
        check_published(task, home.root / artifact.ref.path)
    enter(home, task.name, artifact.ref)
    return artifact


def pack(
    task: Task,
    episodes: Sequence[ReadableEpisode],
    folder: Path,
    context: SplitContext | None = None,
    labels: Labels | None = None,
    previous: PreviousVersion | None = None,
) -> DatasetSummary:
    """Write the packed rows and their description into `folder`; return the summary.

    Args:
        task: task with the `dataset` part.
        episodes: all accepted episodes.
        folder: folder to write to.
        context: sessions and near-duplicates, which stay together.
        labels: tasks of joined episodes, and the classes that are balanced.
        previous: version from which rows of unchanged episodes are copied; the bytes written are
            the same as without it.

    Raises:
        BadInput: A split is empty, or no model can be trained on it.
        CorruptArtifact: An episode has a value that is no finite float32.
    """
    begins = _begins(task, episodes, previous)
    context = replace(context or SplitContext(), starts=begins)
    pieces = cut_pieces(task.dataset, episodes, task.validation.min_steps, context)
    check_sides(task, pieces, context)
    check_rows(task, pieces)
    by_id = {episode.id: episode for episode in episodes}
    table = _table(task, pieces, by_id, context, labels or Labels())
    writer = RowWriter(task, folder, previous)
    dataset = writer.write(table, by_id)
    check_trainable(task, dataset, folder)
    unused = [piece for piece in pieces if piece.split == "unused"]
    counts, rows = count_rows(dataset)
    names = {name for one in episodes for name in names_of(one.name, one.part)}
    return DatasetSummary(
        counts | {"unused": len(unused)},
        rows | {"unused": sum(piece.rows for piece in unused)},
        channel_statistics(dataset),
        unmatched_patterns(task.dataset, names, context.groups),
        writer.coarse(),
        find_torn_duplicates(task.dataset, episodes, context),
        measure_leakage(task.dataset, episodes, context, dataset),
    )


def _begins(
    task: Task, episodes: Sequence[ReadableEpisode], previous: PreviousVersion | None
) -> dict[str, int]:
    """Return the first row of each episode in its recording, if the task prescribes rows."""
    if not any(ranges(task.dataset, side) for side in ("unused", "test", "validation")):
        return {}

    def begin(one: ReadableEpisode) -> int:
        cached = previous.begins.get((one.id, one.artifact)) if previous else None
        return round(float(one.read()["time_s"][0]) / task.dt) if cached is None else cached

    return {one.id: begin(one) for one in episodes}


def _table(
    task: Task,
    pieces: Sequence[Piece],
    episodes: Mapping[str, ReadableEpisode],
    context: SplitContext,
    labels: Labels,
) -> pl.DataFrame:
    """Return a table of all pieces in the order of their rows, unused ones last."""
    columns = {
        name: [getattr(piece, name) for piece in pieces]
        for name in ("id", "split", "recording", "name", "rows", "first", "episode")
    }
    groups, tasks, begins = context.groups, labels.tasks, context.starts
    columns["group"] = [groups.get(one) for one in columns["recording"]]
    columns["artifact"] = [episodes[one].artifact for one in columns["episode"]]
    columns["begins"] = [begins.get(one) for one in columns["episode"]]
    columns["task"] = [tasks.get(one, "") for one in columns["episode"]]
    columns["weight"] = _weights(task, pieces, labels)
    table = pl.DataFrame(columns, schema_overrides=SCHEMA)
    is_used, stop = pl.col("split") != "unused", pl.col("rows").cum_sum()
    order = pl.col("split").replace_strict([*SPLITS, "unused"], range(len(SPLITS) + 1))
    return table.sort(order, "id").with_columns(
        pl.when(is_used).then(stop - pl.col("rows")).alias("start"),
        pl.when(is_used).then(stop).alias("stop"),
    )


def _weights(task: Task, pieces: Sequence[Piece], labels: Labels) -> list[float]:
    """Return the sampling weight of each piece."""
    if task.dataset.balance is None or not labels.classes:
        return [1.0] * len(pieces)
    classes = {piece.id: labels.classes[piece.episode] for piece in pieces}
    return weights_of(pieces, classes, task.dataset.balance.power)
