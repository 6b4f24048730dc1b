"""Media: images and texts of a recording, stored once next to its tracks, which refer to them.

`image-<channel>.npy` holds the images that steps refer to, (F, H, W, 3) uint8, in the order of the
log; `text-<channel>.json` holds each text once. Images are not compressed: lz4 and zstd save 2 to
8 % of camera images; PNG saves a third and takes a hundred times as long to decode, in each epoch.
A memory map reads only the images of a batch.

Symbols: F images, H height, W width, m steps of a track.
"""

from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.errors import BadLog
from kinemill.ingest.raw import Images, Texts, reason
from kinemill.ingest.tracks import Tracks
from kinemill.store import ArtifactRef, publish_json
from kinemill.task import Task

RECORDING = "recording.json"  # next to episodes: the recording whose media they refer to

Parts = list[tuple[str, Tracks]]


def image_file(channel: str) -> str:
    """Return the file name of the images of a channel."""
    return f"image-{channel}.npy"


def text_file(channel: str) -> str:
    """Return the file name of the texts of a channel."""
    return f"text-{channel}.json"


def store_media(parts: Parts, folder: Path) -> Parts:
    """Write the images and texts that tracks of all parts refer to into `folder`.

    A part whose images cannot be read, or differ in shape from those of earlier parts, loses its
    tracks and gets a reason; the others are kept.

    Returns:
        the parts; their references are now rows of the files.
    """
    pictures = dict[str, _Pictures]()
    texts = dict[str, list[str]]()
    stored: Parts = []
    for part, tracks in parts:
        images = {n: its for n, its in tracks.media.items() if isinstance(its, Images)}
        counts = {name: picture.count for name, picture in pictures.items()}
        try:
            moved = {n: _append(pictures, n, its, tracks, folder) for n, its in images.items()}
        except BadLog as error:
            for name, picture in pictures.items():
                picture.cut(counts.get(name, 0))
            stored.append((part, _without_tracks(tracks, error)))
            continue
        moved |= {
            name: _add_texts(texts.setdefault(name, []), its.texts)
            for name, its in tracks.media.items()
            if isinstance(its, Texts)
        }
        if not moved:
            stored.append((part, tracks))
            continue
        frames = [frame.with_columns(_renumber(frame, moved)) for frame in tracks.frames]
        stored.append((part, replace(tracks, frames=frames)))
    for picture in pictures.values():
        picture.close()
    for name, listed in texts.items():
        publish_json(folder / text_file(name), listed)
    return stored


def refer_to_recording(task: Task, recording: ArtifactRef, stored: Path, folder: Path) -> None:
    """Write next to episodes which recording holds the images and texts that they refer to.

    Args:
        task: without image and text channels nothing is written.
        recording: the published recording.
        stored: its folder.
        folder: folder of the episodes.
    """
    if task.media:
        images = [name for name in task.media if task.channels[name].role == "image"]
        files = {name: np.load(stored / image_file(name), mmap_mode="r") for name in images}
        shapes = {name: list(file.shape[1:]) for name, file in files.items()}
        publish_json(folder / RECORDING, {"ref": recording.to_json(), "shapes": shapes})


class _Pictures:
    """A growing file of images."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.count = 0
        self._file: IO[bytes] = path.open("w+b")
        self._start = self._head()

    def add(self, pictures: NDArray[np.uint8]) -> None:
        self._file.write(np.ascontiguousarray(pictures).data)
        self.count += len(pictures)

    def cut(self, count: int) -> None:
        """Drop all but the first `count` images."""
        self.count = count
        self._file.seek(self._start + count * int(np.prod(self.shape)))
        self._file.truncate()

    def close(self) -> None:
        self._head()  # numpy reserves space in the header for the number of rows
        self._file.close()

    def _head(self) -> int:
        self._file.seek(0)
        shape = (self.count, *self.shape)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()


def _append(
    pictures: dict[str, _Pictures], name: str, images: Images, tracks: Tracks, folder: Path
) -> NDArray[np.int64]:
    """Write the images of one channel that a part's tracks use; return their rows by old row."""
    if name not in pictures:
        pictures[name] = _Pictures(folder / image_file(name), images.shape)
    file = pictures[name]
    if images.shape != file.shape:
        raise BadLog(
            f"image {name!r}",
            f"pictures of {list(images.shape)}",
            expected=f"{list(file.shape)}, as in the parts before",
            fix=f"set one at `channels.{name}.shape`",
        )
    used = [frame[name].to_numpy() for frame in tracks.frames]
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *used]))
    moved = np.full(int(rows.max(initial=-1)) + 1, -1, np.int64)
    moved[rows] = file.count + np.arange(len(rows))
    for block in images.read(rows):
        file.add(block)
    return moved


def _add_texts(all_texts: list[str], texts: list[str]) -> NDArray[np.int64]:
    """Add texts to those known; return the position of each."""
    all_texts += [text for text in dict.fromkeys(texts) if text not in all_texts]
    return np.array([all_texts.index(text) for text in texts], np.int64)


def _renumber(frame: pl.DataFrame, moved: dict[str, NDArray[np.int64]]) -> list[pl.Series]:
    return [
        pl.Series(name, rows[frame[name].to_numpy()].astype(np.int32))
        for name, rows in moved.items()
    ]


def _without_tracks(tracks: Tracks, error: BadLog) -> Tracks:
    problem = reason(
        "media",
        error.where,
        error.problem,
        expected=error.expected or "pictures that can be read",
        fix=error.fix or "copy the log from the robot again",
    )
    lost = sum(frame.height for frame in tracks.frames)
    return Tracks([], 0, tracks.dropped_rows + lost, [*tracks.reasons, problem])
