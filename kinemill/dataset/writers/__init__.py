"""Export formats, one file each: a `Writer` registered under the format's name; see `csv.py`.

A writer puts every episode of a dataset version into a folder, rows and names and time step as
they are, and says how a task reads them back: the export's own task file is made from that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from kinemill.dataset._packed import SPLITS, PackedDataset, PackedEpisode
from kinemill.registry import Registry

TIME = "time"


@dataclass(frozen=True)
class Export:
    """What a writer wrote, in the words of a task file.

    Args:
        ingest: the `ingest` part that reads the files back.
        files: the log files of each split, relative to the folder; patterns will do.
        sources: where a channel stands that has no column of its own name.
    """

    ingest: dict[str, Any]
    files: dict[str, list[str]]
    sources: dict[str, str] = field(default_factory=dict[str, str])


Writer = Callable[[PackedDataset, Path], Export]

WRITERS: Registry[Writer] = Registry("kinemill.dataset.writers", "export format")


def frame_of(dataset: PackedDataset, episode: PackedEpisode) -> pl.DataFrame:
    """Return one episode as `time` (s, from 0) and its channels, float32 in task units."""
    rows, names = dataset.rows(episode), dataset.columns
    time = pl.select(pl.int_range(0, episode.rows).cast(pl.Float64) * dataset.dt).to_series()
    columns = [pl.Series(name, rows[:, place]) for place, name in enumerate(names)]
    return pl.DataFrame([time.alias(TIME), *columns])


def one_file_each(
    dataset: PackedDataset, folder: Path, suffix: str, write: Callable[[pl.DataFrame, Path], None]
) -> dict[str, list[str]]:
    """Write each episode to `<split>/<id><suffix>`; return a pattern for each split that is there.

    Args:
        dataset: whose episodes are written.
        folder: where the splits' folders are made.
        suffix: ending of the file names.
        write: writes one episode's frame to a path.
    """
    for split in SPLITS:
        for episode in dataset.of(split):
            path = folder / split / f"{episode.id}{suffix}"
            path.parent.mkdir(exist_ok=True)
            write(frame_of(dataset, episode), path)
    return {split: [f"{split}/*"] for split in SPLITS if dataset.of(split)}
