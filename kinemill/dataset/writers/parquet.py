"""Parquet: one file per episode, `time` in s and a column for each channel.

Units and the time step are in the task file, and in each file's metadata under `kinemill`.
"""

import json
from pathlib import Path

import polars as pl

from kinemill.dataset.packed import PackedDataset
from kinemill.dataset.writers import TIME, WRITERS, Export, write_episodes


@WRITERS.register("parquet")
def write(dataset: PackedDataset, folder: Path) -> Export:
    """Write `<split>/<episode>.parquet` for each episode."""
    about = {"task": dataset.task, "dt": dataset.dt, "units": dataset.units}
    metadata = {"kinemill": json.dumps(about, allow_nan=False)}

    def save(frame: pl.DataFrame, path: Path) -> None:
        frame.write_parquet(path, metadata=metadata)

    files = write_episodes(dataset, folder, ".parquet", save)
    return Export({"format": "parquet", "time": [TIME]}, files)
