"""The augmentation stage: training episodes of a dataset and their copies.

The training set links the training segments of its dataset, each with at most one segment of
copies. Copies depend on their original and the task alone, so a segment of copies is linked, too,
if the previous training set has it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from kinemill.augment._copier import CopiedSegment, Copier, CopyCounts
from kinemill.dataset import dataset_versions, scan_listing
from kinemill.dataset.aux_arrays import Media, write_media
from kinemill.dataset.description import read_description, write_description
from kinemill.dataset.segments import Segment, link_segment
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    StoredSummary,
    digest,
    get_or_build,
    open_ref,
    peek,
    to_json_value,
)
from kinemill.store.home import Home
from kinemill.task import Task

STAGE = "training_set"
VERSION = 5


@dataclass(frozen=True)
class AugmentationCounts:
    """Counts of one augmentation.

    Attributes:
        type: name of the plug-in.
        added: copies in the training set.
        touched: episodes with a copy.
        share: `touched` over the number of original episodes, 0 to 1.
        left_out: copies that failed a physical check and were dropped.
        why: the first of these failures; None without any.
    """

    type: str
    added: int
    touched: int
    share: float
    left_out: int
    why: str | None


@dataclass(frozen=True)
class TrainingSetSummary(StoredSummary):
    """Numbers of a training set.

    Attributes:
        episodes: number of episodes, copies included.
        rows: number of their rows.
        added: copies by name of the plug-in.
        augmentations: counts of each augmentation, in the order of the task file.
    """

    episodes: int
    rows: int
    added: dict[str, int]
    augmentations: list[AugmentationCounts]


def inputs(task: Task, dataset: ArtifactRef) -> Json:
    """Return the inputs of the training set; without augmentations only the dataset."""
    return {
        "dataset": dataset.digest,
        "task": task.part("augment", "channels", "dt", "validate") if task.augment else {},
        "version": VERSION,
    }


def run(task: Task, home: Home, dataset: ArtifactRef, workers: int | None = None) -> Artifact:
    """Publish the training set: the dataset's training episodes and their augmented copies.

    Each augmentation adds copies of all training episodes so far, copies included. Originals,
    validation and test episodes do not change. The statistics are those of the originals, so that
    scaling does not depend on augmentation. A copy that fails a physical check which its original
    passes is dropped.

    Args:
        task: task with the augmentations in its `augment` part, in order.
        home: home in which the training set is published.
        dataset: the dataset.
        workers: number of threads; the result does not depend on it.

    Raises:
        BadInput: An augmentation returns non-finite values, or all its copies fail the checks.
    """
    return get_or_build(
        home,
        STAGE,
        task.name,
        inputs(task, dataset),
        lambda folder: _build(
            task, open_ref(home, dataset), folder, _find_previous(task, home, dataset), workers
        ),
    )


def _find_previous(task: Task, home: Home, dataset: ArtifactRef) -> Path | None:
    """Return the training set of the latest other dataset version, if it can be read."""
    for version in dataset_versions(home, task.name, limit=2) if task.augment else ():
        artifact = peek(home, STAGE, task.name, digest(inputs(task, version.ref)))
        if artifact and version.ref != dataset:
            try:
                return open_ref(home, artifact.ref)
            except CorruptArtifact:
                return None
    return None


def _build(
    task: Task, source: Path, folder: Path, previous: Path | None, workers: int | None
) -> Json:
    about = read_description(source)
    # The statistics are those of the dataset, so segments need no moments here.
    originals = [
        replace(segment, moments=None) for segment in about.segments if segment.split == "train"
    ]
    for original in originals:
        link_segment(source, folder, original.key)
        link_segment(source, folder, original.listing)
    segments = list(originals)
    added = list[CopiedSegment]()
    if task.augment:
        settings = digest([task.part("augment", "channels", "dt", "validate"), VERSION])
        copier = Copier(task, settings, source, folder, previous, workers)
        for segment, episodes in copier.of_segments(originals):
            copied = copier.copy(segment, episodes)
            added.append(copied)
            if copied.episodes:
                segments.append(copier.list_copies(copied, copier.key(segment, episodes)))
    write_description(folder, replace(about, segments=segments, unused=[]))
    if media := Media.read(source):
        views = {
            episode.id: episode.views
            for segment in added
            for episode in segment.episodes
            if episode.views
        }
        used = scan_listing(source, "train").select(pl.col("recording").unique()).collect()
        recordings = media.of(set(used["recording"]))
        arrays = [Segment(segment.key, segment.rows) for segment in segments]
        write_media(folder, replace(media, recordings=recordings, segments=arrays, views=views))
    counts = [CopyCounts() for _ in task.augment]
    for copied in added:
        for index, plugin_counts in enumerate(copied.counts):
            counts[index] += plugin_counts
    number, total = (sum(segment.episodes for segment in group) for group in (originals, segments))
    rows = sum(segment.rows for segment in segments)
    return to_json_value(_summary(task, counts, number, total, rows))


def _summary(
    task: Task, counts_by_plugin: list[CopyCounts], originals: int, episodes: int, rows: int
) -> TrainingSetSummary:
    added: dict[str, int] = {}
    lines: list[AugmentationCounts] = []
    for index, (plugin, counts) in enumerate(zip(task.augment, counts_by_plugin, strict=True)):
        if counts.left_out and not counts.added:
            where = f"augment.{index} ({plugin.type})"
            raise BadInput(
                where,
                f"all of its {counts.left_out} copies fail the physical checks; {counts.why}",
                expected="copies that pass the checks of their originals",
                fix="reduce the change, or relax the checks in the task's `validate` part",
            )
        added[plugin.type] = added.get(plugin.type, 0) + counts.added
        share = counts.touched / originals if originals else 0.0
        lines.append(AugmentationCounts(type=plugin.type, share=share, **vars(counts)))
    return TrainingSetSummary(episodes=episodes, rows=rows, added=added, augmentations=lines)
