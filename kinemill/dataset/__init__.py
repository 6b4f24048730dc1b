"""Dataset stage: split, pack and measure the accepted episodes of a task as a frozen version.

Rows are float32 in task units, one episode after the other. The split is by recording, or by
session, from a stable hash, name patterns or prescribed rows. Mean and standard deviation are those
of the training episodes alone. A new version is made when an episode is accepted or the task's
`dataset` part changes, and gets the next number in the catalog.

Example:
    from kinemill.dataset import load_dataset, stage
    dataset = load_dataset(home, stage.run(task, home, episodes).ref)

Import `stage`, `media` and `aux_arrays` as modules, so that reading a dataset does not load the
code that writes it.
"""

from kinemill.dataset.catalog import (
    Version,
    dataset_versions,
    find_dataset,
    find_version,
    publish_unpacked,
)
from kinemill.dataset.inspection import list_datasets, show_dataset
from kinemill.dataset.listing import scan_listing
from kinemill.dataset.packed import (
    PackedDataset,
    PackedEpisode,
    load_dataset,
)
from kinemill.dataset.summary import DatasetSummary

__all__ = [
    "DatasetSummary",
    "PackedDataset",
    "PackedEpisode",
    "Version",
    "dataset_versions",
    "find_dataset",
    "find_version",
    "list_datasets",
    "load_dataset",
    "publish_unpacked",
    "scan_listing",
    "show_dataset",
]
