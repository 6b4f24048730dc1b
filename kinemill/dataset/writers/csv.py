"""CSV: one file per episode, `time` in s and a column per channel; units are in the task file.

Numbers have the fewest digits that restore the same float32.
"""

from pathlib import Path

from kinemill.dataset.packed import PackedDataset
from kinemill.dataset.writers import TIME, WRITERS, Export, write_episodes


@WRITERS.register("csv")
def write(dataset: PackedDataset, folder: Path) -> Export:
    """Write `<split>/<episode>.csv` for each episode."""
    files = write_episodes(dataset, folder, ".csv", lambda frame, path: frame.write_csv(path))
    return Export({"format": "csv", "time": [TIME]}, files)
