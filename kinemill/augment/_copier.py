"""Segments of augmented copies: linked from the previous training set, or computed.

Each copy of an episode has its own seed.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from kinemill.augment._augmentation import Augmentation, Rows, Signals
from kinemill.dataset import PackedEpisode
from kinemill.dataset.aux_arrays import AuxRows, Media, View, write_aux
from kinemill.dataset.listing import write_listing
from kinemill.dataset.packed import episode_table, read_packed
from kinemill.dataset.segments import VALUES, Segment, link_segment, write_segment
from kinemill.errors import BadInput
from kinemill.store import digest, read_document, write_document
from kinemill.task import Task
from kinemill.validate.apply_checks import apply_checks_to_track

WORKERS = 4  # threads


@dataclass
class CopyCounts:
    """Counts of one augmentation: copies, episodes with copies, dropped copies and the reason."""

    added: int = 0
    touched: int = 0
    left_out: int = 0
    why: str | None = None

    def __iadd__(self, other: "CopyCounts") -> "CopyCounts":
        self.added += other.added
        self.touched += other.touched
        self.left_out += other.left_out
        self.why = self.why or other.why
        return self


@dataclass(frozen=True)
class _Content:
    """A training episode before packing.

    Attributes:
        episode: description of the episode.
        values: states and actions, (rows, C) float32 in task units.
        aux: observations, rewards and references to images and texts of its rows, if any.
        views: changes of these images and texts.
    """

    episode: PackedEpisode
    values: Rows
    aux: AuxRows | None = None
    views: tuple[View, ...] = ()


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
    counts: list[CopyCounts]


class Copier:
    """Copies of the training episodes of a dataset, one segment of copies for each segment.

    Args:
        task: task with the augmentations.
        settings: digest of all settings that decide the copies.
        source: folder of the dataset.
        folder: folder of the training set.
        previous: folder of the previous training set.
        workers: number of threads.
    """

    def __init__(
        self,
        task: Task,
        settings: str,
        source: Path,
        folder: Path,
        previous: Path | None,
        workers: int | None,
    ) -> None:
        self._task = task
        self._settings = settings
        self._folder = folder
        self._previous = previous
        self._workers = workers or min(WORKERS, os.cpu_count() or 1)
        self._source = source
        self._dataset = dataset = read_packed(source)
        self._media = Media.read(source)
        aux = list(self._media.units) if self._media else []
        self._signals = Signals([*dataset.columns, *aux], task.channels, dataset.dt)

    def of_segments(
        self, segments: Sequence[Segment]
    ) -> Iterator[tuple[Segment, list[PackedEpisode]]]:
        """Yield each training segment with its episodes."""
        episodes = iter(self._dataset.of("train"))
        stop = 0
        for segment in segments:
            stop = stop + segment.rows
            segment_episodes = list[PackedEpisode]()
            while not segment_episodes or segment_episodes[-1].stop < stop:
                segment_episodes.append(next(episodes))
            yield segment, segment_episodes

    def key(self, segment: Segment, episodes: Sequence[PackedEpisode]) -> str:
        """Return the key of a segment of copies; it includes episode ids, which seed the copies."""
        return digest([self._settings, segment.key, [episode.id for episode in episodes]])[:32]

    def copy(self, segment: Segment, episodes: Sequence[PackedEpisode]) -> CopiedSegment:
        """Link the copies of a segment from the previous training set, or compute them."""
        key = self.key(segment, episodes)
        name = f"copies-{key}.json"
        if self._previous and (self._previous / name).is_file():
            link_segment(self._previous, self._folder, key)
            return read_document(self._folder / name, CopiedSegment)
        counts = [CopyCounts() for _ in self._task.augment]
        contents = list[_Content]()
        copied = list[_Copied]()
        with ThreadPoolExecutor(self._workers) as pool:
            for (original, *copies), counts_by_plugin in pool.map(self._copy_one, episodes):
                for index, plugin_counts in enumerate(counts_by_plugin):
                    counts[index] += plugin_counts
                contents += copies
                copied += [
                    _Copied(
                        copy.episode.id, original.episode.id, len(copy.values), list(copy.views)
                    )
                    for copy in copies
                ]
        if contents:
            rows = np.concatenate([content.values for content in contents], dtype=np.float32)
            write_segment(self._folder, VALUES, key, rows)
            if aux := [content.aux for content in contents if content.aux]:
                write_aux(self._folder, key, aux)
        made = CopiedSegment(copied, counts)
        write_document(self._folder / name, made)
        return made

    def _copy_one(self, episode: PackedEpisode) -> tuple[list[_Content], list[CopyCounts]]:
        aux = self._media.load(self._source, episode) if self._media else None
        original = _Content(episode, self._dataset.rows(episode), aux)
        return _copy(self._task, original, self._signals)

    def list_copies(self, copied: CopiedSegment, key: str) -> Segment:
        """Write the listing of the copies of a segment; return the segment of copies."""
        episodes = list[PackedEpisode]()
        start = 0
        for episode in copied.episodes:
            original = self._originals[episode.original]
            episodes.append(
                replace(original, id=episode.id, start=start, stop=start + episode.rows)
            )
            start += episode.rows
        listing = write_listing(self._folder, episode_table(episodes), self._previous)
        return Segment(key, start, split="train", listing=listing, episodes=len(episodes))

    @cached_property
    def _originals(self) -> dict[str, PackedEpisode]:
        """Training episodes of the dataset by id."""
        return {episode.id: episode for episode in self._dataset.of("train")}


def _copy(
    task: Task, original: _Content, signals: Signals
) -> tuple[list[_Content], list[CopyCounts]]:
    """Return an original and its copies, sorted by id, and the counts of each augmentation.

    Each augmentation copies the original and the copies of those before it.
    """
    contents = [original]
    counts_by_plugin = list[CopyCounts]()
    for index in range(len(task.augment)):
        counts = CopyCounts()
        accepted = list[_Content]()
        for content in contents:
            for copy in _copies(task, index, content, signals):
                if why := _new_failure(task, content, copy):
                    counts += CopyCounts(left_out=1, why=why)
                else:
                    accepted.append(copy)
        contents += accepted
        counts += CopyCounts(added=len(accepted), touched=int(bool(accepted)))
        counts_by_plugin.append(counts)
    return sorted(contents, key=lambda content: content.episode.id), counts_by_plugin


def _new_failure(task: Task, content: _Content, copy: _Content) -> str | None:
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
    failed = [
        (finding.check, finding.fault)
        for finding in apply_checks_to_track(columns, task).findings
        if finding.rule != "warn"
    ]
    return [
        (check, f"{check}: {fault.actual}, expected {fault.expected}") for check, fault in failed
    ]


def _copies(task: Task, index: int, content: _Content, signals: Signals) -> Iterator[_Content]:
    """Yield the copies of one episode by augmentation `index` of the task."""
    plugin = cast(Augmentation, task.augment[index])
    episode = content.episode
    identity = [plugin.seed, episode.id, plugin.type, index]
    if _hash_fraction([*identity, "share"]) >= plugin.share:
        return
    types = [augmentation.type for augmentation in task.augment]
    suffix = f"-{index}" if types.count(plugin.type) > 1 else ""
    numbers = _numbers(content)
    for number in range(plugin.copies):
        seed = int(digest([*identity, number])[:16], 16)
        values = plugin.vary(numbers, signals, np.random.default_rng(seed))
        if values.shape[1:] != numbers.shape[1:] or not np.isfinite(values).all():
            where = f"augment.{index} ({plugin.type}), episode {episode.id}"
            raise BadInput(
                where,
                f"returned {values.shape} with non-finite values or other columns",
                expected=f"finite values in {numbers.shape[1]} columns",
            )
        label = f".{number}" if plugin.copies > 1 else ""
        copy = replace(episode, id=f"{episode.id}+{plugin.type}{suffix}{label}")
        yield _split(plugin, content, values, copy, signals, seed)


def _numbers(content: _Content) -> Rows:
    """Return states, actions, observations and rewards as one array, (rows, C) read-only."""
    if content.aux is None or not content.aux.numbers.shape[1]:
        return content.values
    numbers = np.concatenate([content.values, content.aux.numbers], axis=1)
    numbers.flags.writeable = False
    return numbers


def _split(
    plugin: Augmentation,
    content: _Content,
    numbers: Rows,
    copy: PackedEpisode,
    signals: Signals,
    seed: int,
) -> _Content:
    """Return a copy with its numbers, (rows, C), and its images and texts."""
    if content.aux is None:
        return _Content(copy, numbers)
    columns = content.values.shape[1]
    rows = plugin.source_rows(len(content.values), signals, np.random.default_rng(seed))
    if len(rows) != len(numbers):
        raise BadInput(
            f"augmentation {plugin.type}, episode {content.episode.id}",
            f"has images for {len(rows)} rows and numbers for {len(numbers)}",
            expected="equal numbers of rows",
            fix="draw the same numbers from `random` in `source_rows` and `vary`",
        )
    views = [
        View(channel, plugin.model_dump(mode="json"), seed)
        for channel in plugin.changed_media(signals.channels)
    ]
    return _Content(
        copy,
        numbers[:, :columns],
        AuxRows(numbers[:, columns:], content.aux.references[rows]),
        (*content.views, *views),
    )


def _hash_fraction(identity: list[object]) -> float:
    """Return a number in [0, 1) from the digest of `identity`."""
    return int(digest(identity)[:16], 16) / 2.0**64
