"""Export a dataset version in another format, with a task file that reads it back.

The folder holds the episodes and a task file with the names, units, time step and split of the
version. It appears completely or not at all.
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from kinemill.dataset.aux_arrays import MEDIA
from kinemill.dataset.catalog import LATEST, find_version
from kinemill.dataset.media import Frames, MediaSet, load_media
from kinemill.dataset.packed import SPLITS, PackedDataset, load_dataset
from kinemill.dataset.writers import WRITERS, Export
from kinemill.errors import BadInput
from kinemill.store import ArtifactRef, Home, Json
from kinemill.task import Task
from kinemill.task.yaml import dump_yaml

GROUPS = {
    "image": "images",
    "text": "texts",
    "output": "outputs",
    "observation": "observations",
    "reward": "rewards",
}
BLOCK = 64  # images in memory at a time


@dataclass(frozen=True)
class ExportReport:
    """Result of an export.

    Attributes:
        episodes: number by split.
        left_out: channels that the format cannot hold.
    """

    task: str
    version: int
    format: str
    folder: str
    episodes: dict[str, int]
    rows: int
    files: int
    left_out: list[str]


def export_data(
    task: Task,
    home: Home,
    form: str,
    out: Path | None = None,
    which: str = LATEST,
    recordings: Collection[str] | None = None,
) -> ExportReport:
    """Write the episodes of a dataset version to a folder.

    Args:
        task: task of the dataset; its `learn` part goes into the exported task file.
        home: home that holds the version.
        form: name of a writer, such as `hdf5`.
        out: a new folder; default `exports/<task>/v<number>-<form>` of the home.
        which: number, digest prefix, or `latest`.
        recordings: content hashes; only their episodes are written. None: all.

    Raises:
        BadInput: Unknown format or version, the folder exists, or no episode is of `recordings`.
        CorruptArtifact: The version is damaged.
    """
    write = WRITERS[form]
    version = find_version(home, task.name, which)
    dataset = load_dataset(home, version.ref)
    if recordings is not None:
        dataset = _of_recordings(dataset, recordings, version.number)
    folder = out or home.root / "exports" / task.name / f"v{version.number}-{form}"
    if folder.exists():
        raise BadInput(folder, "exists already", fix="name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.parent / f".{folder.name}-{uuid4().hex}"
    aside.mkdir()
    try:
        export = write(dataset, aside)
        sources, left_out = _export_aux(home, version.ref, dataset, aside, form)
        export = replace(export, sources=export.sources | sources)
        text = _task_file(task, version.rules(home), dataset, export)
        (aside / f"{dataset.task}.yaml").write_text(text)
        files = sum(path.is_file() for path in aside.rglob("*"))
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return ExportReport(
        dataset.task,
        version.number,
        form,
        str(folder),
        {episode.split: len(dataset.of(episode.split)) for episode in dataset.episodes},
        sum(episode.rows for episode in dataset.episodes),
        files,
        left_out,
    )


def _of_recordings(
    dataset: PackedDataset, recordings: Collection[str], number: int
) -> PackedDataset:
    """Return the dataset with the episodes of some recordings alone."""
    hashes = frozenset(recordings)
    episodes = [episode for episode in dataset.episodes if episode.recording in hashes]
    if not episodes:
        where = f"{dataset.task}, dataset version {number}"
        problem = f"has no episode of the {len(hashes)} recordings"
        expected = "recordings that the version holds: add `and version = N` to the query"
        fix = f"kinemill run {dataset.task} makes a version of the present recordings"
        raise BadInput(where, problem, expected=expected, fix=fix)
    return replace(dataset, episodes=episodes)


def _task_file(task: Task, rules: Json, dataset: PackedDataset, export: Export) -> str:
    """Return the task file of the export: the version's channels, the writer's columns."""
    channels: dict[str, object] = {}
    aux = [name for name in export.sources if name not in dataset.columns]
    for name in [*dataset.columns, *aux]:
        settings = {
            key: value for key, value in rules["channels"][name].items() if value is not None
        }
        settings.pop("resample", None)
        source = export.sources.get(name)
        channels[name] = settings | {"source": [{"name": source}] if source else []}
    document = {
        "task": dataset.task,
        "dt": dataset.dt,
        "channels": channels,
        "ingest": {"min_file_age": 0.0, **export.ingest},
        "dataset": {split: paths for split, paths in export.files.items() if split != "train"},
        "learn": task.part("learn")["learn"],
    }
    return dump_yaml(document)


def _export_aux(
    home: Home, ref: ArtifactRef, dataset: PackedDataset, folder: Path, form: str
) -> tuple[dict[str, str], list[str]]:
    """Add images, texts, observations and rewards to the HDF5 files; other formats hold none.

    It returns the source of each added channel, and the names of those left out.

    Raises:
        CorruptArtifact: A recording was forgotten or is damaged.
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
    channels = media.media.channels
    numbers = media.numbers(episode)
    for column, (name, unit) in enumerate(media.media.units.items()):
        path = f"{GROUPS[channels[name]]}/{name}"
        group.create_dataset(path, data=numbers[:, column]).attrs["unit"] = unit
    for name, role in channels.items():
        if role == "image":
            _copy(group, f"{GROUPS[role]}/{name}", media.frames(episode, name))
        elif role == "text":
            group[f"{GROUPS[role]}/{name}"] = np.array(media.texts(episode, name), object)


def _copy(group: Any, name: str, frames: Frames) -> None:
    """Write images a block at a time, one chunk per image."""
    chunk = (1, *frames.shape[1:])
    stored = group.create_dataset(name, frames.shape, np.uint8, chunks=chunk)
    for start in range(0, len(frames), BLOCK):
        stored[start : start + BLOCK] = frames[start : start + BLOCK]
