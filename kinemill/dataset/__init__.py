"""Dataset versions: which episodes are for training, validation and test, packed and measured.

From the accepted episodes of `validate`. A version is frozen: rows in task units as float32, one
episode after the other; the split is by recording, or by session, through a stable hash, named
patterns or prescribed rows; mean and spread are those of the training episodes alone. A new version
appears when an episode is accepted or the task's `dataset` part changes, and gets the next number
in the catalog.
"""

from kinemill.dataset._aux_arrays import Beside, Media, View, load_beside, save_beside
from kinemill.dataset._documents import diff_datasets, list_datasets, show_dataset
from kinemill.dataset._listing import scan_listing
from kinemill.dataset._near_duplicates import warnings
from kinemill.dataset._no_episodes import publish_unpacked
from kinemill.dataset._pack import VERSION, make_dataset
from kinemill.dataset._packed import (
    PackedDataset,
    PackedEpisode,
    create_values,
    load_dataset,
    write_description,
)
from kinemill.dataset._versions import FORMAT as CATALOG
from kinemill.dataset._versions import Version, find_version, versions
from kinemill.dataset.media import Frames, MediaSet, load_media

__all__ = [
    "CATALOG",
    "VERSION",
    "Beside",
    "Frames",
    "Media",
    "MediaSet",
    "PackedDataset",
    "PackedEpisode",
    "Version",
    "View",
    "create_values",
    "diff_datasets",
    "find_version",
    "list_datasets",
    "load_beside",
    "load_dataset",
    "load_media",
    "make_dataset",
    "publish_unpacked",
    "save_beside",
    "scan_listing",
    "show_dataset",
    "versions",
    "warnings",
    "write_description",
]
