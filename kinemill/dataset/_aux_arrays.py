"""What lies beside the packed rows: references to images and texts, and observations and rewards.

Each array has one row for each row of the dataset. The images themselves stay with their
recordings; a dataset version names those by path and digest.

Symbols: N rows of all episodes, K observations and rewards, M image and text channels.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset._packed import PackedEpisode
from kinemill.dataset._split import Piece
from kinemill.errors import BadInput
from kinemill.ingest.media import RECORDING
from kinemill.store import Json, publish_json, read_json
from kinemill.task import Task

NUMBERS, REFERENCES, MEDIA = "beside.npy", "references.npy", "media.json"


@dataclass(frozen=True)
class View:
    """How one channel's images or texts are changed when they are loaded.

    Attributes:
        channel: whose images or texts.
        settings: of the augmentation, its `type` among them.
        seed: what its randomness follows from, beside the epoch.
    """

    channel: str
    settings: Json
    seed: int


@dataclass(frozen=True)
class Beside:
    """What lies beside some rows of a dataset.

    Attributes:
        numbers: observations and rewards (n, K) float32, in task units.
        references: rows of image files and places of texts (n, M) int32.
    """

    numbers: NDArray[np.float32]
    references: NDArray[np.int32]


@dataclass(frozen=True)
class Media:
    """What the arrays beside a dataset's rows are.

    Attributes:
        channels: name of each channel to its role; numbers first, as the columns stand.
        units: of the numbers.
        recordings: hash of each recording to the reference under which it was published.
        shapes: height, width and colors of each image channel.
        views: changes of images and texts by episode, in the order in which they are made.
    """

    channels: dict[str, str]
    units: dict[str, str]
    recordings: dict[str, dict[str, str]]
    shapes: dict[str, list[int]]
    views: dict[str, list[View]] = field(default_factory=dict[str, list[View]])

    def to_json(self) -> Json:
        """Return the description as JSON."""
        views = {episode: [vars(view) for view in its] for episode, its in self.views.items()}
        return {**vars(self), "views": views}

    def of(self, recordings: Set[str], views: dict[str, list[View]]) -> "Media":
        """Return the same for the episodes of some recordings, with other views."""
        own = {hash_: ref for hash_, ref in self.recordings.items() if hash_ in recordings}
        return replace(self, recordings=own, views=views)

    @classmethod
    def read(cls, folder: Path) -> "Media | None":
        """Read the description in a dataset's folder; None where nothing lies beside its rows."""
        if not (folder / MEDIA).is_file():
            return None
        found = read_json(folder / MEDIA)
        views = found.pop("views")
        own = {name: [View(**one) for one in its] for name, its in views.items()}
        return cls(**found, views=own)


class BesideFiles:
    """What lies beside the packed rows, as it is written.

    Args:
        task: names the channels.
        folder: of the dataset.
        rows: of all pieces.
    """

    def __init__(self, task: Task, folder: Path, rows: int) -> None:
        self._task, self._folder = task, folder
        self._names = [name for name in task.numbers if name not in task.columns]
        self._numbers = _create(folder / NUMBERS, rows, len(self._names), np.float32)
        self._references = _create(folder / REFERENCES, rows, len(task.media), np.int32)
        self._recordings = dict[str, dict[str, str]]()
        self._shapes = dict[str, list[int]]()

    def take_over(
        self, folder: Path, runs: Iterable[tuple[slice, slice]], recordings: Set[str]
    ) -> None:
        """Copy what the last version has.

        Args:
            folder: of that version.
            runs: rows here, and where they are there.
            recordings: hashes of those that the rows are from.
        """
        before = Media.read(folder)
        if before is None or not recordings:
            return
        numbers, references = _map(folder)
        for now, then in runs:
            self._numbers[now], self._references[now] = numbers[then], references[then]
        self._shapes |= before.shapes  # each recording has all the images, of the same shapes
        self._recordings |= before.of(recordings, {}).recordings

    def add(self, piece: Piece, place: PackedEpisode, frame: pl.DataFrame, path: Path) -> None:
        """Write what lies beside the rows of one piece.

        Args:
            piece: of an episode.
            place: where it is packed.
            frame: its rows.
            path: file of the episode.

        Raises:
            BadInput: pictures of one channel have other shapes than those before.
        """
        rows = slice(place.start, place.stop)
        self._numbers[rows] = frame.select(self._names).to_numpy().reshape(frame.height, -1)
        self._references[rows] = frame.select(self._task.media).to_numpy().reshape(frame.height, -1)
        if self._task.media and piece.recording not in self._recordings:
            found = read_json(path.parent / RECORDING)
            self._recordings[piece.recording] = found["ref"]
            _same_shapes(found["shapes"], piece.name, self._shapes)

    def finish(self) -> None:
        """Bring everything to the files."""
        self._numbers.flush()
        self._references.flush()
        channels = self._task.channels
        media = Media(
            {name: channels[name].role for name in [*self._names, *self._task.media]},
            {name: channels[name].unit for name in self._names},
            dict(sorted(self._recordings.items())),
            self._shapes,
        )
        publish_json(self._folder / MEDIA, media.to_json())


def open_beside(task: Task, folder: Path, rows: int) -> BesideFiles | None:
    """Return what is written beside the rows of a dataset; None if the task has no such channels.

    Args:
        task: names the channels.
        folder: of the dataset.
        rows: of all pieces.
    """
    beside = task.media or any(name not in task.columns for name in task.numbers)
    return BesideFiles(task, folder, rows) if beside else None


def save_beside(folder: Path, contents: Sequence[Beside], media: Media) -> None:
    """Write what lies beside the rows of a dataset, episode after episode, and what it is."""
    np.save(folder / NUMBERS, np.concatenate([one.numbers for one in contents]))
    np.save(folder / REFERENCES, np.concatenate([one.references for one in contents]))
    publish_json(folder / MEDIA, media.to_json())


def load_beside(folder: Path, episode: PackedEpisode) -> Beside:
    """Return what lies beside the rows of one episode, mapped from the files."""
    numbers, references = _map(folder)
    rows = slice(episode.start, episode.stop)
    return Beside(numbers[rows], references[rows])


def _map(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    numbers, references = (np.load(folder / f, mmap_mode="r") for f in (NUMBERS, REFERENCES))
    return numbers, references


def _create(path: Path, rows: int, columns: int, dtype: type[np.generic]) -> Any:
    """Create a file of rows, written as they come, so that no more than one piece is in memory."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(rows, columns))


def _same_shapes(found: dict[str, list[int]], name: str, shapes: dict[str, list[int]]) -> None:
    """Enter the shapes of a recording's pictures, or refuse those that differ from the others'."""
    for channel, shape in found.items():
        if shape != shapes.setdefault(channel, shape):
            raise BadInput(
                f"{name}, image {channel!r}",
                f"pictures of {shape}",
                expected=f"{shapes[channel]}, as of the other recordings",
                fix=f"say which are right at `channels.{channel}.shape`; the others are refused",
            )
