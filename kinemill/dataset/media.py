"""Images and texts of a dataset or training set, read when they are asked for.

Nothing is in memory before a batch wants it: pictures are mapped from the files of their
recordings, stay uint8, and are changed as the training set says when they are read. What a change
draws follows from its seed, the episode and the epoch, and with `each: frame` from the row; so any
number of workers, in any order, gets the same bytes.

Symbols: T rows of an episode, B of a batch, H height, W width, K observations and rewards.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset._aux_arrays import Media, View, load_beside
from kinemill.dataset._packed import PackedEpisode, read_packed
from kinemill.errors import BadInput
from kinemill.ingest.media import image_file, text_file
from kinemill.registry import nearest
from kinemill.store import ArtifactRef, open_ref, read_json
from kinemill.store.home import Home
from kinemill.task import AUGMENTATIONS

Pictures = NDArray[np.uint8]


class Painter(Protocol):
    """An augmentation of images."""

    each: str  # `episode`: all its pictures change alike; `frame`: each by itself

    def paint(self, frames: Pictures, random: np.random.Generator) -> Pictures:
        """Return (n, H, W, 3) frames changed, all alike."""
        ...


class Rephraser(Protocol):
    """An augmentation of texts."""

    def rephrase(self, text: str, random: np.random.Generator) -> str:
        """Return a text that says the same."""
        ...


def load_media(home: Home, ref: ArtifactRef) -> "MediaSet":
    """Open what lies beside the rows of a dataset or training set.

    Raises:
        BadInput: the task it was made for has no such channels.
        CorruptArtifact: a file of the dataset is missing, or its bytes have changed.
    """
    folder = open_ref(home, ref)
    media = Media.read(folder)
    if media is None:
        raise BadInput(ref.path, "has no image, text, observation or reward channel")
    return MediaSet(home, folder, media, {one.id: one for one in read_packed(folder).episodes})


@dataclass
class MediaSet:
    """The images, texts, observations and rewards of a dataset; cheap to send to a worker."""

    home: Home
    folder: Path
    media: Media
    episodes: dict[str, PackedEpisode]
    _checked: dict[str, Path] = field(default_factory=dict[str, Path], repr=False)
    _open: dict[tuple[str, str], Any] = field(
        default_factory=dict[tuple[str, str], Any], repr=False
    )

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs: which recordings were checked, and no mapped file."""
        return {**vars(self), "_open": {}}

    def check(self) -> None:
        """Compare every recording with its digest now, and not when it is first read.

        Raises:
            CorruptArtifact: one was forgotten, or its bytes have changed.
        """
        for recording in self.media.recordings:
            self._recording(recording)

    def frames(self, episode: str, channel: str, epoch: int = 0) -> "Frames":
        """Return the pictures of an episode, (T, H, W, 3) uint8, none of them read yet.

        Raises:
            BadInput: unknown episode or image channel.
            CorruptArtifact: the recording was forgotten, or its bytes have changed.
        """
        place, views = self._place(episode, channel, "image")
        stored = self._stored(self.episodes[episode].recording, channel, image_file(channel))
        beside = load_beside(self.folder, self.episodes[episode])
        return Frames(stored, np.asarray(beside.references[:, place]), views, epoch)

    def texts(self, episode: str, channel: str, epoch: int = 0) -> list[str]:
        """Return the text at each of the T steps of an episode.

        Raises:
            BadInput: unknown episode or text channel.
            CorruptArtifact: the recording was forgotten, or its bytes have changed.
        """
        place, views = self._place(episode, channel, "text")
        known = self._stored(self.episodes[episode].recording, channel, text_file(channel))
        beside = load_beside(self.folder, self.episodes[episode])
        references = beside.references[:, place].tolist()
        said = {at: self._rephrased(known[at], views, epoch) for at in set(references)}
        return [said[at] for at in references]

    def numbers(self, episode: str) -> NDArray[np.float32]:
        """Return the observations and rewards of an episode, (T, K) in task units."""
        return load_beside(self.folder, self._episode(episode)).numbers

    def batch(self, channel: str, rows: NDArray[np.int64], epoch: int = 0) -> Pictures:
        """Return the pictures at rows of the dataset, (...,) -> (..., H, W, 3) uint8.

        Args:
            channel: an image channel.
            rows: of the packed values: (B,), or (B, T) for windows.
            epoch: of training; in each, what is random is drawn anew.
        """
        flat = np.asarray(rows, np.int64).reshape(-1)
        out = np.empty((len(flat), *self.media.shapes[channel]), np.uint8)
        ordered = sorted(self.episodes.values(), key=lambda one: one.start)
        owner = np.searchsorted([one.start for one in ordered], flat, side="right") - 1
        for place in np.unique(owner).tolist():
            inside, episode = np.flatnonzero(owner == place), ordered[place]
            frames = self.frames(episode.id, channel, epoch)
            out[inside] = frames[flat[inside] - episode.start]
        return out.reshape(*np.shape(rows), *self.media.shapes[channel])

    def _rephrased(self, text: str, views: list[View], epoch: int) -> str:
        for view in views:
            plugin = cast(Rephraser, _plugin(view))
            text = plugin.rephrase(text, np.random.default_rng([view.seed, epoch]))
        return text

    def _episode(self, name: str) -> PackedEpisode:
        if name not in self.episodes:
            where = f"episode {name!r}"
            raise BadInput(where, "is not of this dataset", fix=nearest(name, list(self.episodes)))
        return self.episodes[name]

    def _place(self, episode: str, channel: str, role: str) -> tuple[int, list[View]]:
        """Return the column of a channel's references, and what changes it in an episode."""
        of = [name for name, its in self.media.channels.items() if its in {"image", "text"}]
        if self.media.channels.get(channel) != role:
            known = [name for name in of if self.media.channels[name] == role]
            raise BadInput(f"{role} {channel!r}", "unknown", fix=nearest(channel, known))
        self._episode(episode)
        views = [one for one in self.media.views.get(episode, []) if one.channel == channel]
        return of.index(channel), views

    def _stored(self, recording: str, channel: str, file: str) -> Any:
        if (recording, channel) not in self._open:
            path = self._recording(recording) / file
            stored = np.load(path, mmap_mode="r") if path.suffix == ".npy" else read_json(path)
            self._open[recording, channel] = stored
        return self._open[recording, channel]

    def _recording(self, recording: str) -> Path:
        if recording not in self._checked:
            ref = ArtifactRef.from_json(self.media.recordings[recording])
            self._checked[recording] = open_ref(self.home, ref)
        return self._checked[recording]


class Frames:
    """The pictures of one episode, (T, H, W, 3) uint8: read, and changed, when they are indexed."""

    dtype = np.dtype(np.uint8)

    def __init__(
        self, stored: Pictures, references: NDArray[np.int32], views: list[View], epoch: int
    ) -> None:
        self._stored, self._references = stored, references
        self._views, self._epoch = views, epoch
        self.shape = (len(references), *stored.shape[1:])

    def __len__(self) -> int:
        """Return T, the number of rows."""
        return len(self._references)

    def __getitem__(self, rows: int | slice | NDArray[np.int64]) -> Pictures:
        """Return the pictures of a row (H, W, 3), or of n rows (n, H, W, 3)."""
        places = np.arange(len(self))[rows]
        chosen = np.atleast_1d(places)
        found = np.asarray(self._stored[self._references[chosen]])
        for view in self._views:
            found = _painted(found, chosen, view, self._epoch)
        return found[0] if np.ndim(places) == 0 else found


def _painted(frames: Pictures, rows: NDArray[np.int64], view: View, epoch: int) -> Pictures:
    plugin = cast(Painter, _plugin(view))
    if plugin.each == "episode":
        return plugin.paint(frames, np.random.default_rng([view.seed, epoch]))
    alone = [
        plugin.paint(frame[None], np.random.default_rng([view.seed, epoch, row]))
        for frame, row in zip(frames, rows.tolist(), strict=True)
    ]
    return np.concatenate(alone) if alone else frames


def _plugin(view: View) -> object:
    """Return the augmentation as it was when the training set was made."""
    return AUGMENTATIONS[view.settings["type"]].model_validate(view.settings)
