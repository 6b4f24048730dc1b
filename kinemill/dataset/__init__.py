"""Dataset versions: which episodes are for training, validation and test, packed and measured.

From the accepted episodes of `validate`. A version is frozen: rows in task units as float32, one
episode after the other; the split is by recording, through a stable hash or named patterns; mean
and spread are those of the training episodes alone. A new version appears when an episode is
accepted or the task's `dataset` part changes.
"""

from kinemill.dataset._pack import VERSION, make_dataset
from kinemill.dataset._packed import (
    PackedDataset,
    PackedEpisode,
    create_values,
    load_dataset,
    write_description,
)

__all__ = [
    "VERSION",
    "PackedDataset",
    "PackedEpisode",
    "create_values",
    "load_dataset",
    "make_dataset",
    "write_description",
]
