"""The augmentation stage: training episodes of a dataset and their copies.

Copies depend on their original alone, so threads process a few originals at a time and the rows are
written as they come.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kinemill.augment._augmentation import Rows, Signals
from kinemill.augment._copies import Content, copies
from kinemill.dataset import (
    AuxRows,
    Media,
    PackedDataset,
    PackedEpisode,
    View,
    create_values,
    load_aux,
    load_dataset,
    save_aux,
    write_description,
)
from kinemill.errors import BadInput
from kinemill.store import Artifact, ArtifactRef, Json, StoredSummary, get_or_build, to_json_value
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.apply_checks import apply_checks_to_track

VERSION = 3
WORKERS = 4  # episodes in memory at a time, with their copies


@dataclass
class _CopyCounts:
    """Counts of one augmentation: copies added, originals touched, copies dropped and why."""

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
    """An original with its copies, sorted by id, and the counts of each augmentation."""

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
        left_out: copies that failed a physical check.
        why: the first of these failures; None without one.
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
    """Return what the training set depends on; without augmentations the dataset alone."""
    return {
        "dataset": dataset.digest,
        "task": task.part("augment", "channels", "dt", "validate") if task.augment else {},
        "version": VERSION,
    }


def run(task: Task, home: Home, dataset: ArtifactRef, workers: int | None = None) -> Artifact:
    """Publish the training set: the dataset's training episodes and their augmented copies.

    Each augmentation adds copies of all training episodes so far, copies included. Originals,
    validation and test episodes stay as they are. The statistics are those of the originals, so
    that scaling does not depend on augmentation. A copy that fails a physical check which its
    original passes is dropped.

    Args:
        task: whose `augment` part lists the augmentations, in order.
        home: where it is published.
        dataset: the dataset.
        workers: number of threads; the result does not depend on it.

    Raises:
        BadInput: An augmentation returns non-finite values, or none of its copies passes.
    """
    return get_or_build(
        home,
        "training_set",
        task.name,
        inputs(task, dataset),
        lambda folder: _build(task, _open(home, dataset), folder, workers),
    )


@dataclass(frozen=True)
class _Source:
    """The dataset and its images, texts and observations."""

    dataset: PackedDataset
    folder: Path
    media: Media | None

    def content(self, episode: PackedEpisode) -> Content:
        aux = load_aux(self.folder, episode) if self.media else None
        return Content(episode, self.dataset.rows(episode), aux)


def _open(home: Home, ref: ArtifactRef) -> _Source:
    dataset, folder = load_dataset(home, ref), home.root / ref.path
    return _Source(dataset, folder, Media.read(folder))


def _build(task: Task, source: _Source, folder: Path, workers: int | None) -> Json:
    dataset, aux, views = source.dataset, list[AuxRows](), dict[str, list[View]]()
    counts_by_plugin = [_CopyCounts() for _ in task.augment]
    episodes: list[PackedEpisode] = []
    aside, stop = folder / "rows.aside", 0
    with aside.open("wb") as file:
        for result in _copy_all(task, source, workers or min(WORKERS, os.cpu_count() or 1)):
            for index, counts in enumerate(result.counts_by_plugin):
                counts_by_plugin[index] += counts
            for content in result.contents:
                file.write(np.ascontiguousarray(content.values, np.float32).data)
                start, stop = stop, stop + len(content.values)
                episodes.append(replace(content.episode, start=start, stop=stop))
                aux += [content.aux] if content.aux else []
                views |= {content.episode.id: list(content.views)} if content.views else {}
    packed = create_values(folder, stop, len(dataset.columns))
    if stop:
        packed[:] = np.memmap(aside, np.float32, "r", shape=packed.shape)
    packed.flush()
    aside.unlink()
    write_description(folder, replace(dataset, episodes=episodes, values=packed))
    if source.media:
        save_aux(folder, aux, source.media.of({one.recording for one in episodes}, views))
    originals = len(dataset.of("train"))
    return to_json_value(_summary(task, counts_by_plugin, originals, len(episodes), stop))


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
                expected="copies that pass what their originals pass",
                fix="make it smaller, or widen the task's `validate` part",
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


def _copy_all(task: Task, source: _Source, workers: int) -> Iterator[_WithCopies]:
    """Yield each original with its copies, in the order of ids, a few in memory at a time."""
    dataset, aux = source.dataset, list(source.media.units) if source.media else []
    originals = sorted(dataset.of("train"), key=lambda episode: episode.id)
    signals = Signals([*dataset.columns, *aux], task.channels, dataset.dt)

    def copy_one(episode: PackedEpisode) -> _WithCopies:
        return _copy(task, source.content(episode), signals)

    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, len(originals), workers):
            yield from pool.map(copy_one, originals[first : first + workers])


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
    """Return (check, what it found) for (rows, C) `values`."""
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
