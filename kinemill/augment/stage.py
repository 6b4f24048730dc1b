"""The augmentation stage: training episodes of a dataset and their copies.

The training set links the training segments of its dataset, each with at most one segment of
copies. Copies depend on their original and the task alone, so a segment of copies is linked, too,
if the previous training set has it.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from kinemill.augment._augmentation import Rows, Signals
from kinemill.augment._copies import Content, copies
from kinemill.dataset import (
    Media,
    PackedDataset,
    PackedEpisode,
    View,
    dataset_versions,
    scan_listing,
)
from kinemill.dataset.aux_arrays import write_aux, write_media
from kinemill.dataset.listing import EPISODE, write_listing
from kinemill.dataset.packed import episode_table, read_description, read_packed, write_description
from kinemill.dataset.segments import VALUES, Segment, link_segment, write_segment
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
    read_document,
    to_json_value,
    write_document,
)
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.apply_checks import apply_checks_to_track

STAGE, VERSION = "training_set", 4
WORKERS = 4  # threads


@dataclass
class _CopyCounts:
    """Counts of one augmentation: copies, episodes with copies, dropped copies and the reason."""

    added: int = 0
    touched: int = 0
    left_out: int = 0
    why: str | None = None

    def __iadd__(self, other: "_CopyCounts") -> "_CopyCounts":
        self.added += other.added
        self.touched += other.touched
        self.left_out += other.left_out
        self.why = self.why or other.why
        return self


@dataclass
class _WithCopies:
    """An original and its copies, sorted by id, and the counts of each augmentation."""

    contents: list[Content]
    counts_by_plugin: list[_CopyCounts] = field(default_factory=list[_CopyCounts])


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


@dataclass(frozen=True)
class _Copied:
    """An augmented copy in a segment of copies; `original` is the id of its episode."""

    id: str
    original: str
    rows: int
    views: list[View]


@dataclass(frozen=True)
class CopiedSegment:
    """Content of `copies-KEY.json`: the copies of one segment, and the counts of each plug-in."""

    episodes: list[_Copied]
    counts: list[_CopyCounts]


@dataclass(frozen=True)
class _Source:
    """The dataset and its images, texts and observations."""

    dataset: PackedDataset
    folder: Path
    media: Media | None

    def content(self, episode: PackedEpisode) -> Content:
        aux = self.media.load(self.folder, episode) if self.media else None
        return Content(episode, self.dataset.rows(episode), aux)


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
    columns = scan_listing(source).select([*EPISODE, "rows"])
    table = columns.filter(pl.col("split") == "train").sort("start").collect()
    originals, stop = _training(about.segments, int(table["rows"].sum())), 0
    for one in originals:
        link_segment(source, folder, one.key)
        stop += one.rows
    segments, added = list(originals), list[CopiedSegment]()
    if task.augment:
        copier = _Copier(task, source, folder, previous, workers)
        for segment, episodes in copier.of_segments(originals):
            copied = copier.copy(segment, episodes)
            added.append(copied)
            if rows := sum(one.rows for one in copied.episodes):
                segments.append(Segment(copier.key(segment, episodes), rows))
        table = pl.concat([table, copier.table(added, stop).select(table.columns)])
    write_listing(folder, table)
    write_description(folder, replace(about, segments=segments))
    if media := Media.read(source):
        views = {one.id: one.views for each in added for one in each.episodes if one.views}
        recordings = media.of(set(table["recording"].to_list()))
        write_media(folder, replace(media, recordings=recordings, segments=segments, views=views))
    counts = [_CopyCounts() for _ in task.augment]
    for each in added:
        for index, own in enumerate(each.counts):
            counts[index] += own
    number = len(table) - sum(len(each.episodes) for each in added)
    rows = sum(one.rows for one in segments)
    return to_json_value(_summary(task, counts, number, len(table), rows))


def _training(segments: Sequence[Segment], rows: int) -> list[Segment]:
    """Return the segments of the training split, the first ones; `rows` is its number of rows."""
    stops = np.cumsum([one.rows for one in segments])
    last = int(np.searchsorted(stops, rows)) + 1 if rows else 0
    # The statistics are those of the dataset, so segments need no moments here.
    return [Segment(one.key, one.rows) for one in segments[:last]]


class _Copier:
    """Copies of the training episodes of a dataset, one segment of copies for each segment.

    Args:
        task: task with the augmentations.
        source: folder of the dataset.
        folder: folder of the training set.
        previous: folder of the previous training set.
        workers: number of threads.
    """

    def __init__(
        self, task: Task, source: Path, folder: Path, previous: Path | None, workers: int | None
    ) -> None:
        self._task, self._folder, self._previous = task, folder, previous
        self._workers = workers or min(WORKERS, os.cpu_count() or 1)
        dataset, media = read_packed(source), Media.read(source)
        self._source = _Source(dataset, source, media)
        aux = list(media.units) if media else []
        self._signals = Signals([*dataset.columns, *aux], task.channels, dataset.dt)
        self._settings = digest([task.part("augment", "channels", "dt", "validate"), VERSION])

    def of_segments(
        self, segments: Sequence[Segment]
    ) -> Iterator[tuple[Segment, list[PackedEpisode]]]:
        """Yield each training segment with its episodes."""
        episodes, stop = iter(self._source.dataset.of("train")), 0
        for segment in segments:
            stop, own = stop + segment.rows, list[PackedEpisode]()
            while not own or own[-1].stop < stop:
                own.append(next(episodes))
            yield segment, own

    def key(self, segment: Segment, episodes: Sequence[PackedEpisode]) -> str:
        """Return the key of a segment of copies; it includes episode ids, which seed the copies."""
        return digest([self._settings, segment.key, [one.id for one in episodes]])[:32]

    def copy(self, segment: Segment, episodes: Sequence[PackedEpisode]) -> CopiedSegment:
        """Link the copies of a segment from the previous training set, or compute them."""
        key = self.key(segment, episodes)
        name = f"copies-{key}.json"
        if self._previous and (self._previous / name).is_file():
            link_segment(self._previous, self._folder, key)
            return read_document(self._folder / name, CopiedSegment)
        counts = [_CopyCounts() for _ in self._task.augment]
        contents, copied = list[Content](), list[_Copied]()
        with ThreadPoolExecutor(self._workers) as pool:
            for result in pool.map(self._copy_one, episodes):
                for index, own in enumerate(result.counts_by_plugin):
                    counts[index] += own
                original, *others = result.contents
                contents += others
                copied += [
                    _Copied(one.episode.id, original.episode.id, len(one.values), list(one.views))
                    for one in others
                ]
        if contents:
            rows = np.concatenate([one.values for one in contents], dtype=np.float32)
            write_segment(self._folder, VALUES, key, rows)
            if aux := [one.aux for one in contents if one.aux]:
                write_aux(self._folder, key, aux)
        made = CopiedSegment(copied, counts)
        write_document(self._folder / name, made)
        return made

    def _copy_one(self, episode: PackedEpisode) -> _WithCopies:
        return _copy(self._task, self._source.content(episode), self._signals)

    def table(self, added: Sequence[CopiedSegment], start: int) -> pl.DataFrame:
        """Return a table of the copies, whose rows start at `start`."""
        originals = {one.id: one for one in self._source.dataset.of("train")}
        episodes = list[PackedEpisode]()
        for one in (one for each in added for one in each.episodes):
            own = replace(originals[one.original], id=one.id, start=start, stop=start + one.rows)
            episodes.append(own)
            start += one.rows
        return episode_table(episodes)


def _summary(
    task: Task, counts_by_plugin: list[_CopyCounts], originals: int, episodes: int, rows: int
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
        lines.append(
            AugmentationCounts(
                type=plugin.type,
                added=counts.added,
                touched=counts.touched,
                share=counts.touched / originals if originals else 0.0,
                left_out=counts.left_out,
                why=counts.why,
            )
        )
    return TrainingSetSummary(episodes=episodes, rows=rows, added=added, augmentations=lines)


def _copy(task: Task, original: Content, signals: Signals) -> _WithCopies:
    result = _WithCopies([original])
    for index in range(len(task.augment)):
        counts, accepted = _CopyCounts(), list[Content]()
        for content in result.contents:
            for copy in copies(task, index, content, signals):
                if why := _new_failure(task, content, copy):
                    counts += _CopyCounts(left_out=1, why=why)
                else:
                    accepted.append(copy)
        result.contents += accepted
        counts += _CopyCounts(added=len(accepted), touched=int(bool(accepted)))
        result.counts_by_plugin.append(counts)
    result.contents.sort(key=lambda content: content.episode.id)
    return result


def _new_failure(task: Task, content: Content, copy: Content) -> str | None:
    """Return the first physical check that a copy fails and its original passes, or None."""
    findings = _failed_checks(task, copy.values)
    if not findings:
        return None
    original_failures = {name for name, _ in _failed_checks(task, content.values)}
    new = [text for name, text in findings if name not in original_failures]
    return f"{copy.episode.id}: {new[0]}" if new else None


def _failed_checks(task: Task, values: Rows) -> list[tuple[str, str]]:
    """Return (check, message) of each failed check of (rows, C) `values`."""
    least = task.validation.min_steps
    if len(values) < least:
        return [("min_steps", f"min_steps: {len(values)} rows, expected {least}")]
    columns = {name: values[:, index].astype(np.float64) for index, name in enumerate(task.columns)}
    return [
        (
            finding.check,
            f"{finding.check}: {finding.fault.actual}, expected {finding.fault.expected}",
        )
        for finding in apply_checks_to_track(columns, task).findings
        if finding.rule != "warn"
    ]
