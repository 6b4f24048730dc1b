"""Images and texts of a dataset or training set, read on access.

Images are memory-mapped from the files of their recordings, stay uint8, and are augmented when they
are read. The randomness follows from the view's seed, the epoch and, with `each: frame`, the row;
so any number of workers, in any order, gets the same bytes.

Symbols: T rows of an episode, B of a batch, H height, W width, K outputs, observations and rewards.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset.aux_arrays import Media, View
from kinemill.dataset.packed import PackedEpisode, read_packed
from kinemill.errors import BadInput
from kinemill.ingest.media import image_file, text_file
from kinemill.registry import nearest
from kinemill.store import ArtifactRef, Home, open_ref, read_json
from kinemill.task.plugins import AUGMENTATIONS, Plugin, make

Pictures = NDArray[np.uint8]


class Painter(Protocol):
    """An augmentation of images."""

    each: str  # `episode`: one change for all images; `frame`: a change per image

    def paint(self, frames: Pictures, random: np.random.Generator) -> Pictures:
        """Return (n, H, W, 3) augmented frames, with one change for all."""
        ...


class Rephraser(Protocol):
    """An augmentation of texts."""

    def rephrase(self, text: str, random: np.random.Generator) -> str:
        """Return a text with the same meaning."""
        ...


def load_media(home: Home, ref: ArtifactRef) -> "MediaSet":
    """Open the auxiliary arrays and media of a dataset or training set.

    Raises:
        BadInput: The task has no such channels.
        CorruptArtifact: A file of the dataset is missing or damaged.
    """
    folder = open_ref(home, ref)
    media = Media.read(folder)
    if media is None:
        raise BadInput(ref.path, "has no image, text, observation or reward channel")
    return MediaSet(
        home, folder, media, {episode.id: episode for episode in read_packed(folder).episodes}
    )


@dataclass
class MediaSet:
    """Images, texts, observations and rewards of a dataset; cheap to pickle for a worker."""

    home: Home
    folder: Path
    media: Media
    episodes: dict[str, PackedEpisode]
    _checked: dict[str, Path] = field(default_factory=dict[str, Path], repr=False)
    _open: dict[tuple[str, str], Any] = field(
        default_factory=dict[tuple[str, str], Any], repr=False
    )

    def __getstate__(self) -> dict[str, object]:
        """Return the state for a worker, without open files."""
        return {**vars(self), "_open": {}}

    def check(self) -> None:
        """Verify the digest of every recording now instead of on first access.

        Raises:
            CorruptArtifact: A recording was forgotten or is damaged.
        """
        for recording in self.media.recordings:
            self._recording(recording)

    def frames(self, episode: str, channel: str, epoch: int = 0) -> "Frames":
        """Return the images of an episode, (T, H, W, 3) uint8, without reading any.

        Raises:
            BadInput: Unknown episode or image channel.
            CorruptArtifact: The recording was forgotten or is damaged.
        """
        column, views = self._column(episode, channel, "image")
        stored = self._stored(self.episodes[episode].recording, channel, image_file(channel))
        aux = self.media.load(self.folder, self.episodes[episode])
        return Frames(stored, np.asarray(aux.references[:, column]), views, epoch)

    def texts(self, episode: str, channel: str, epoch: int = 0) -> list[str]:
        """Return the text at each of the T steps of an episode.

        Raises:
            BadInput: Unknown episode or text channel.
            CorruptArtifact: The recording was forgotten or is damaged.
        """
        column, views = self._column(episode, channel, "text")
        stored = self._stored(self.episodes[episode].recording, channel, text_file(channel))
        references = (
            self.media.load(self.folder, self.episodes[episode]).references[:, column].tolist()
        )
        texts = {at: self._rephrase(stored[at], views, epoch) for at in set(references)}
        return [texts[at] for at in references]

    def numbers(self, episode: str) -> NDArray[np.float32]:
        """Return the outputs, observations and rewards of an episode, (T, K) in task units."""
        return self.media.load(self.folder, self._episode(episode)).numbers

    def batch(self, channel: str, rows: NDArray[np.int64], epoch: int = 0) -> Pictures:
        """Return the images at rows of the dataset, (...,) -> (..., H, W, 3) uint8.

        Args:
            channel: an image channel.
            rows: rows of the packed values: (B,), or (B, T) for windows.
            epoch: epoch of training, which seeds the augmentations.
        """
        flat = np.asarray(rows, np.int64).reshape(-1)
        out = np.empty((len(flat), *self.media.shapes[channel]), np.uint8)
        ordered = sorted(self.episodes.values(), key=lambda episode: episode.start)
        # The last episode that starts at or before a row.
        owner = np.searchsorted([episode.start for episode in ordered], flat, side="right") - 1
        for index in np.unique(owner).tolist():
            inside = np.flatnonzero(owner == index)
            episode = ordered[index]
            frames = self.frames(episode.id, channel, epoch)
            out[inside] = frames[flat[inside] - episode.start]
        return out.reshape(*np.shape(rows), *self.media.shapes[channel])

    def _rephrase(self, text: str, views: list[View], epoch: int) -> str:
        for view in views:
            plugin = cast(Rephraser, _plugin(view))
            text = plugin.rephrase(text, np.random.default_rng([view.seed, epoch]))
        return text

    def _episode(self, name: str) -> PackedEpisode:
        if name not in self.episodes:
            where = f"episode {name!r}"
            raise BadInput(where, "is not in this dataset", fix=nearest(name, list(self.episodes)))
        return self.episodes[name]

    def _column(self, episode: str, channel: str, role: str) -> tuple[int, list[View]]:
        """Return the column of a channel's references, and its views in an episode."""
        roles = self.media.channels
        if roles.get(channel) != role:
            names = [name for name, channel_role in roles.items() if channel_role == role]
            raise BadInput(f"{role} {channel!r}", "unknown", fix=nearest(channel, names))
        self._episode(episode)
        views = [view for view in self.media.views.get(episode, []) if view.channel == channel]
        columns = [
            name for name, channel_role in roles.items() if channel_role in {"image", "text"}
        ]
        return columns.index(channel), views

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
    """Images of one episode, (T, H, W, 3) uint8, read and augmented when indexed."""

    dtype = np.dtype(np.uint8)

    def __init__(
        self, stored: Pictures, references: NDArray[np.int32], views: list[View], epoch: int
    ) -> None:
        self._stored = stored
        self._references = references
        self._views = views
        self._epoch = epoch
        self.shape = (len(references), *stored.shape[1:])

    def __len__(self) -> int:
        """Return T."""
        return len(self._references)

    def __getitem__(self, rows: int | slice | NDArray[np.int64]) -> Pictures:
        """Return the image of a row (H, W, 3), or of n rows (n, H, W, 3)."""
        index = np.arange(len(self))[rows]
        selected = np.atleast_1d(index)
        frames = np.asarray(self._stored[self._references[selected]])
        for view in self._views:
            frames = _augment(frames, selected, view, self._epoch)
        return frames[0] if np.ndim(index) == 0 else frames


def _augment(frames: Pictures, rows: NDArray[np.int64], view: View, epoch: int) -> Pictures:
    plugin = cast(Painter, _plugin(view))
    if plugin.each == "episode":
        return plugin.paint(frames, np.random.default_rng([view.seed, epoch]))
    frames_out = [
        plugin.paint(frame[None], np.random.default_rng([view.seed, epoch, row]))
        for frame, row in zip(frames, rows.tolist(), strict=True)
    ]
    return np.concatenate(frames_out) if frames_out else frames


def _plugin(view: View) -> object:
    """Return the augmentation with the settings stored in the training set."""
    return make(AUGMENTATIONS, Plugin, view.settings)
