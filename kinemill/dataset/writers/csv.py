"""CSV: one file an episode, `time` in s and a column for each channel; units are in the task file.

Numbers are written with the fewest digits that give the same float32 again.
"""

from pathlib import Path

from kinemill.dataset._packed import PackedDataset
from kinemill.dataset.writers import TIME, WRITERS, Export, one_file_each


@WRITERS.register("csv")
def write(dataset: PackedDataset, folder: Path) -> Export:
    """Write `<split>/<episode>.csv` for each episode."""
    files = one_file_each(dataset, folder, ".csv", lambda frame, path: frame.write_csv(path))
    return Export({"format": "csv", "time": [TIME]}, files)
