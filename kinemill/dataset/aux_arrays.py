"""Auxiliary arrays next to the packed rows: outputs, observations, rewards, references to media.

Each array has one row for each row of the dataset. Images and texts stay with their recordings; a
dataset version refers to those by path and digest.

Symbols: N rows of all episodes, K outputs, observations and rewards, in this order, M image and
text channels.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.packed import NUMBERS, PackedDataset, PackedEpisode
from kinemill.errors import BadInput
from kinemill.ingest.media import RECORDING
from kinemill.store import Json, publish_document, read_document, read_json
from kinemill.task import Task

REFERENCES, MEDIA = "references.npy", "media.json"


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
        units: unit of each number.
        recordings: artifact reference of each recording, by its content hash.
        shapes: height, width and colors of each image channel.
        views: augmentations of images and texts by episode, in the order of application.
    """

    channels: dict[str, str]
    units: dict[str, str]
    recordings: dict[str, dict[str, str]]
    shapes: dict[str, list[int]]
    views: dict[str, list[View]] = field(default_factory=dict[str, list[View]])

    def of(self, recordings: Set[str], views: dict[str, list[View]]) -> "Media":
        """Return the description for a subset of the recordings, with other views."""
        own = {hash_: ref for hash_, ref in self.recordings.items() if hash_ in recordings}
        return replace(self, recordings=own, views=views)

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
        rows: total number of rows.
    """

    def __init__(self, task: Task, folder: Path, rows: int) -> None:
        self._task, self._folder = task, folder
        self._names = [name for name in task.numbers if name not in task.columns]
        self._numbers = np.lib.format.open_memmap(
            folder / NUMBERS, mode="w+", dtype=np.float32, shape=(rows, len(self._names))
        )
        self._references = np.lib.format.open_memmap(
            folder / REFERENCES, mode="w+", dtype=np.int32, shape=(rows, len(task.media))
        )
        self._recordings = dict[str, dict[str, str]]()
        self._shapes = dict[str, list[int]]()

    def copy_from(
        self, folder: Path, runs: Iterable[tuple[slice, slice]], recordings: Set[str]
    ) -> None:
        """Copy rows from the previous version.

        Args:
            folder: folder of that version.
            runs: rows here, and the corresponding rows there.
            recordings: hashes of the recordings of these rows.
        """
        previous = Media.read(folder)
        if previous is None or not recordings:
            return
        numbers, references = _map(folder)
        for new, old in runs:
            self._numbers[new], self._references[new] = numbers[old], references[old]
        # All recordings have every image channel, in the same shapes.
        self._shapes |= previous.shapes
        self._recordings |= previous.of(recordings, {}).recordings

    def add(self, packed: PackedEpisode, frame: pl.DataFrame, path: Path) -> None:
        """Write the auxiliary rows of an episode, or of a piece of one.

        Args:
            packed: its rows in the packed array.
            frame: its content.
            path: file of the episode.

        Raises:
            BadInput: Images of one channel differ in shape between recordings.
        """
        rows = slice(packed.start, packed.stop)
        self._numbers[rows] = frame.select(self._names).to_numpy().reshape(frame.height, -1)
        self._references[rows] = frame.select(self._task.media).to_numpy().reshape(frame.height, -1)
        if self._task.media and packed.recording not in self._recordings:
            recording = read_json(path.parent / RECORDING)
            self._recordings[packed.recording] = recording["ref"]
            _check_shapes(recording["shapes"], packed.name, self._shapes)

    def finish(self) -> None:
        """Flush the arrays and write the description."""
        self._numbers.flush()
        self._references.flush()
        channels = self._task.channels
        media = Media(
            {name: channels[name].role for name in [*self._names, *self._task.media]},
            {name: channels[name].unit for name in self._names},
            dict(sorted(self._recordings.items())),
            self._shapes,
        )
        publish_document(self._folder / MEDIA, media)


def open_aux(task: Task, folder: Path, rows: int) -> AuxWriter | None:
    """Return a writer of auxiliary arrays; None if the task has no such channels."""
    needed = task.media or any(name not in task.columns for name in task.numbers)
    return AuxWriter(task, folder, rows) if needed else None


def save_aux(folder: Path, contents: Sequence[AuxRows], media: Media) -> None:
    """Write auxiliary arrays, episode after episode, and their description."""
    np.save(folder / NUMBERS, np.concatenate([one.numbers for one in contents]))
    np.save(folder / REFERENCES, np.concatenate([one.references for one in contents]))
    publish_document(folder / MEDIA, media)


def load_aux(folder: Path, episode: PackedEpisode) -> AuxRows:
    """Return the auxiliary rows of one episode, memory-mapped."""
    numbers, references = _map(folder)
    rows = slice(episode.start, episode.stop)
    return AuxRows(numbers[rows], references[rows])


def episode_values(
    folder: Path, dataset: PackedDataset, episode: PackedEpisode
) -> dict[str, NDArray[np.float32]]:
    """Return channel -> (n,) of an episode in task units, observations and rewards included."""
    values = dict(zip(dataset.columns, dataset.rows(episode).T, strict=True))
    media = Media.read(folder)
    if media and media.units:
        values |= dict(zip(media.units, load_aux(folder, episode).numbers.T, strict=True))
    return values


def _map(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    numbers, references = (np.load(folder / f, mmap_mode="r") for f in (NUMBERS, REFERENCES))
    return numbers, references


def _check_shapes(own: dict[str, list[int]], name: str, shapes: dict[str, list[int]]) -> None:
    """Add the image shapes of a recording to `shapes`; refuse shapes that differ."""
    for channel, shape in own.items():
        if shape != shapes.setdefault(channel, shape):
            raise BadInput(
                f"{name}, image {channel!r}",
                f"pictures of {shape}",
                expected=f"{shapes[channel]}, as of the other recordings",
                fix=f"set the right shape in `channels.{channel}.shape`; the others are refused",
            )
