"""Export formats, one file each: a `Writer` registered under the format's name; see `csv.py`.

A writer writes every episode of a dataset version into a folder without changing rows, names or
time step, and returns the settings with which a task reads them back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from kinemill.dataset.packed import SPLITS, PackedDataset, PackedEpisode
from kinemill.registry import Registry

TIME = "time"


@dataclass(frozen=True)
class Export:
    """Exported files, as settings of a task file.

    Attributes:
        ingest: the `ingest` part that reads the files back.
        files: log files or patterns of each split, relative to the folder.
        sources: column of each channel that has no column of its own name.
    """

    ingest: Mapping[str, object]
    files: dict[str, list[str]]
    sources: dict[str, str] = field(default_factory=dict[str, str])


Writer = Callable[[PackedDataset, Path], Export]

WRITERS: Registry[Writer] = Registry("kinemill.dataset.writers", "export format")


def frame_of(dataset: PackedDataset, episode: PackedEpisode) -> pl.DataFrame:
    """Return one episode as `time` (s, from 0) and its channels, float32 in task units."""
    rows = dataset.rows(episode)
    names = dataset.columns
    time = pl.select(pl.int_range(0, episode.rows).cast(pl.Float64) * dataset.dt).to_series()
    columns = [pl.Series(name, rows[:, index]) for index, name in enumerate(names)]
    return pl.DataFrame([time.alias(TIME), *columns])


def write_episodes(
    dataset: PackedDataset, folder: Path, suffix: str, write: Callable[[pl.DataFrame, Path], None]
) -> dict[str, list[str]]:
    """Write each episode to `<split>/<id><suffix>`; return a file pattern for each split."""
    for split in SPLITS:
        for episode in dataset.of(split):
            path = folder / split / f"{episode.id}{suffix}"
            path.parent.mkdir(exist_ok=True)
            write(frame_of(dataset, episode), path)
    return {split: [f"{split}/*"] for split in SPLITS if dataset.of(split)}
