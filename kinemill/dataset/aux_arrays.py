"""Auxiliary arrays next to the packed rows: outputs, observations, rewards, references to media.

Each array has one row for each row of the dataset, in the same segments. Images and texts stay with
their recordings; a dataset version refers to those by path and digest.

Symbols: N rows of all episodes, K outputs, observations and rewards, in this order, M image and
text channels.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.packed import NUMBERS, PackedDataset, PackedEpisode
from kinemill.dataset.segments import (
    Segment,
    SegmentedRows,
    create_segment,
    map_segments,
    path_of,
    write_segment,
)
from kinemill.errors import BadInput
from kinemill.ingest.media import RECORDING
from kinemill.store import Json, publish_document, read_document, read_json
from kinemill.task import Task

REFERENCES = "references"
MEDIA = "media.json"


@dataclass(frozen=True)
class View:
    """An augmentation of one channel's images or texts, applied when they are loaded.

    Attributes:
        channel: image or text channel.
        settings: settings of the augmentation, including its `type`.
        seed: seed of its randomness, combined with the epoch.
    """

    channel: str
    settings: Json
    seed: int


@dataclass(frozen=True)
class AuxRows:
    """Auxiliary arrays of some rows of a dataset.

    Attributes:
        numbers: outputs, observations and rewards (n, K) float32, in task units.
        references: indices of images and texts (n, M) int32.
    """

    numbers: NDArray[np.float32]
    references: NDArray[np.int32]


@dataclass(frozen=True)
class Media:
    """Description of the auxiliary arrays, stored as `media.json`.

    Attributes:
        channels: role by channel; numbers first, in the order of the columns.
        recordings: artifact reference of each recording, by its content hash.
        shapes: height, width and colors of each image channel.
        segments: segments of the arrays.
        views: augmentations of images and texts by episode, in the order of application.
    """

    channels: dict[str, str]
    units: dict[str, str]
    recordings: dict[str, dict[str, str]]
    shapes: dict[str, list[int]]
    segments: list[Segment]
    views: dict[str, list[View]] = field(default_factory=dict[str, list[View]])

    def of(self, recordings: Set[str]) -> dict[str, dict[str, str]]:
        """Return the artifact references of some recordings."""
        return {hash_: ref for hash_, ref in self.recordings.items() if hash_ in recordings}

    def load(self, folder: Path, episode: PackedEpisode) -> AuxRows:
        """Return the auxiliary rows of one episode in a dataset's folder, memory-mapped."""
        stop = 0
        for segment in self.segments:
            start = stop
            stop = stop + segment.rows
            if episode.start < stop:
                break
        else:
            raise AssertionError(f"{episode.id} lies after the last segment")
        numbers, references = _map(folder, segment.key)
        rows = slice(episode.start - start, episode.stop - start)
        return AuxRows(numbers[rows], references[rows])

    @classmethod
    def read(cls, folder: Path) -> "Media | None":
        """Read the description in a dataset's folder; None without auxiliary arrays."""
        path = folder / MEDIA
        return read_document(path, cls) if path.is_file() else None


class AuxWriter:
    """Writer of the auxiliary arrays of a new version.

    Args:
        task: task with the channels.
        folder: folder of the version.
    """

    def __init__(self, task: Task, folder: Path) -> None:
        self._task = task
        self._folder = folder
        self._names = [name for name in task.numbers if name not in task.columns]
        self._recordings = dict[str, dict[str, str]]()
        self._shapes = dict[str, list[int]]()

    def open(self, key: str, rows: int) -> None:
        """Create the arrays of a segment; the calls that follow write to it."""
        shapes = (rows, len(self._names)), (rows, len(self._task.media))
        self._numbers = create_segment(self._folder, NUMBERS, key, shapes[0], np.float32)
        self._references = create_segment(self._folder, REFERENCES, key, shapes[1], np.int32)

    def refer(self, folder: Path, recordings: Set[str]) -> None:
        """Refer to recordings as the previous version in `folder` does."""
        if recordings and (previous := Media.read(folder)):
            # All recordings have every image channel, in the same shapes.
            self._shapes |= previous.shapes
            self._recordings |= previous.of(recordings)

    def copy_from(self, folder: Path, runs: Iterable[tuple[slice, slice]]) -> None:
        """Copy rows from the previous version."""
        previous = Media.read(folder)
        if previous is None:
            return
        numbers, references = (
            SegmentedRows(map_segments(folder, kind, previous.segments))
            for kind in (NUMBERS, REFERENCES)
        )
        for new, old in runs:
            self._numbers[new] = numbers.view(old.start, old.stop)
            self._references[new] = references.view(old.start, old.stop)

    def add(self, rows: slice, recording: str, name: str, frame: pl.DataFrame, path: Path) -> None:
        """Write the auxiliary rows of an episode, or of a piece of one.

        Raises:
            BadInput: Images of one channel differ in shape between recordings.
        """
        self._numbers[rows] = frame.select(self._names).to_numpy().reshape(frame.height, -1)
        self._references[rows] = frame.select(self._task.media).to_numpy().reshape(frame.height, -1)
        if self._task.media and recording not in self._recordings:
            about = read_json(path.parent / RECORDING)
            self._recordings[recording] = about["ref"]
            _check_shapes(about["shapes"], name, self._shapes)

    def finish(self, segments: Sequence[Segment]) -> None:
        """Write the description; `segments` are those of the version."""
        channels = self._task.channels
        media = Media(
            {name: channels[name].role for name in [*self._names, *self._task.media]},
            {name: channels[name].unit for name in self._names},
            dict(sorted(self._recordings.items())),
            self._shapes,
            [Segment(segment.key, segment.rows) for segment in segments],
        )
        write_media(self._folder, media)


def open_aux(task: Task, folder: Path) -> AuxWriter | None:
    """Return a writer of auxiliary arrays; None if the task has no such channels."""
    needed = task.media or any(name not in task.columns for name in task.numbers)
    return AuxWriter(task, folder) if needed else None


def write_media(folder: Path, media: Media) -> None:
    """Write the description of the auxiliary arrays of a version."""
    publish_document(folder / MEDIA, media)


def write_aux(folder: Path, key: str, contents: Sequence[AuxRows]) -> None:
    """Write the auxiliary arrays of a segment, episode after episode."""
    write_segment(folder, NUMBERS, key, np.concatenate([content.numbers for content in contents]))
    write_segment(
        folder, REFERENCES, key, np.concatenate([content.references for content in contents])
    )


def episode_values(
    folder: Path, dataset: PackedDataset, episode: PackedEpisode
) -> dict[str, NDArray[np.float32]]:
    """Return channel -> (n,) of an episode in task units, observations and rewards included."""
    values = dict(zip(dataset.columns, dataset.rows(episode).T, strict=True))
    media = Media.read(folder)
    if media and media.units:
        values |= dict(zip(media.units, media.load(folder, episode).numbers.T, strict=True))
    return values


def _map(folder: Path, key: str) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    paths = (path_of(folder, kind, key) for kind in (NUMBERS, REFERENCES))
    numbers, references = (np.load(path, mmap_mode="r") for path in paths)
    return numbers, references


def _check_shapes(expected: dict[str, list[int]], name: str, shapes: dict[str, list[int]]) -> None:
    """Add the image shapes of a recording to `shapes`; refuse shapes that differ."""
    for channel, shape in expected.items():
        if shape != shapes.setdefault(channel, shape):
            raise BadInput(
                f"{name}, image {channel!r}",
                f"pictures of {shape}",
                expected=f"{shapes[channel]}, as of the other recordings",
                fix=f"set the right shape in `channels.{channel}.shape`; the others are refused",
            )
