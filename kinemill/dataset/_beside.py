"""What lies beside the packed rows: references to images and texts, and observations and rewards.

Each array has one row for each row of the dataset. The images themselves stay with their
recordings; a dataset version names those by path and digest.

Symbols: N rows of all episodes, K observations and rewards, M image and text channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset._packed import PackedEpisode
from kinemill.dataset._split import Piece
from kinemill.errors import BadInput
from kinemill.ingest.media import RECORDING
from kinemill.spec import Task
from kinemill.store import Json, publish_json, read_json

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
        shapes: height, width and colours of each image channel.
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

    def of(self, recordings: set[str], views: dict[str, list[View]]) -> "Media":
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


class StoredEpisode(Protocol):
    """An accepted episode and its file."""

    @property
    def path(self) -> Path:
        """The file of its rows."""
        ...

    def read(self) -> pl.DataFrame:
        """Return `time_s` and the recorded channels, in task units."""
        ...


def write_beside(
    task: Task, folder: Path, pieces: Sequence[Piece], episodes: Mapping[str, Any]
) -> None:
    """Write what lies beside the packed rows, if the task has such channels.

    Args:
        task: names the channels.
        folder: of the dataset.
        pieces: in the order of their rows.
        episodes: each `StoredEpisode` by id.

    Raises:
        BadInput: pictures of one channel have different shapes.
    """
    numbers = [name for name in task.numbers if name not in task.columns]
    if not (numbers or task.media):
        return
    contents: list[Beside] = []
    recordings, shapes = dict[str, dict[str, str]](), dict[str, list[int]]()
    for piece in pieces:
        episode: StoredEpisode = episodes[piece.episode]
        frame = episode.read().slice(piece.first, piece.last - piece.first)
        contents.append(
            Beside(
                frame.select(numbers).to_numpy().astype(np.float32).reshape(frame.height, -1),
                frame.select(task.media).to_numpy().astype(np.int32).reshape(frame.height, -1),
            )
        )
        if task.media and piece.recording not in recordings:
            found = read_json(episode.path.parent / RECORDING)
            recordings[piece.recording] = found["ref"]
            _same_shapes(found["shapes"], piece.name, shapes)
    media = Media(
        {name: task.channels[name].role for name in [*numbers, *task.media]},
        {name: task.channels[name].unit for name in numbers},
        dict(sorted(recordings.items())),
        shapes,
    )
    save_beside(folder, contents, media)


def save_beside(folder: Path, contents: Sequence[Beside], media: Media) -> None:
    """Write what lies beside the rows of a dataset, episode after episode, and what it is."""
    np.save(folder / NUMBERS, np.concatenate([one.numbers for one in contents]))
    np.save(folder / REFERENCES, np.concatenate([one.references for one in contents]))
    publish_json(folder / MEDIA, media.to_json())


def load_beside(folder: Path, episode: PackedEpisode) -> Beside:
    """Return what lies beside the rows of one episode, mapped from the files."""
    numbers, references = (np.load(folder / f, mmap_mode="r") for f in (NUMBERS, REFERENCES))
    rows = slice(episode.start, episode.stop)
    return Beside(numbers[rows], references[rows])


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
