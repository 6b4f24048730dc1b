"""Images, texts, observations and rewards in an export: HDF5 holds them, other formats do not."""

from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset._aux_arrays import MEDIA
from kinemill.dataset._packed import SPLITS, PackedDataset
from kinemill.dataset.media import Frames, MediaSet, load_media
from kinemill.store import ArtifactRef
from kinemill.store.home import Home

GROUPS = {"image": "images", "text": "texts", "observation": "observations", "reward": "rewards"}
BLOCK = 64  # pictures in memory at a time


def export_beside(
    home: Home, ref: ArtifactRef, dataset: PackedDataset, folder: Path, form: str
) -> tuple[dict[str, str], list[str]]:
    """Add what lies beside the rows of a dataset to the files that a writer wrote.

    Args:
        home: where the dataset and its recordings lie.
        ref: of the dataset.
        dataset: the same, loaded.
        folder: of the export; HDF5 files of it get more data sets.
        form: format of the export.

    Returns:
        the source of each channel that was added, and the names of those left out.

    Raises:
        CorruptArtifact: a recording was forgotten, or its bytes have changed.
    """
    if not (home.root / ref.path / MEDIA).is_file():
        return {}, []
    media = load_media(home, ref)
    channels = media.media.channels
    if form != "hdf5":
        return {}, list(channels)
    import h5py

    for split in SPLITS:
        if episodes := dataset.of(split):
            with h5py.File(folder / f"{split}.h5", "r+") as file:
                for number, episode in enumerate(episodes):
                    _fill(file[f"episode_{number}"], media, episode.id)
    return {name: f"{GROUPS[role]}/{name}" for name, role in channels.items()}, []


def _fill(group: Any, media: MediaSet, episode: str) -> None:
    numbers = media.numbers(episode)
    for place, name in enumerate(media.media.units):
        values = group.create_dataset(
            f"{GROUPS[media.media.channels[name]]}/{name}", data=numbers[:, place]
        )
        values.attrs["unit"] = media.media.units[name]
    for name, role in media.media.channels.items():
        if role == "image":
            _copy(group, f"{GROUPS[role]}/{name}", media.frames(episode, name))
        elif role == "text":
            group[f"{GROUPS[role]}/{name}"] = np.array(media.texts(episode, name), object)


def _copy(group: Any, name: str, frames: Frames) -> None:
    """Write pictures a block at a time, each a chunk of its own."""
    chunk = (1, *frames.shape[1:])
    stored = group.create_dataset(name, frames.shape, np.uint8, chunks=chunk)
    for start in range(0, len(frames), BLOCK):
        stored[start : start + BLOCK] = frames[start : start + BLOCK]
