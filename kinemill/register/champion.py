"""The champion for earlier stages: implements `kinemill.task.protocols.Champion`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset, PackedEpisode, load_dataset, scan_listing
from kinemill.dataset import Version as DatasetVersion
from kinemill.dataset import find_version as find_dataset
from kinemill.errors import CorruptArtifact
from kinemill.register import tags
from kinemill.register.consistency import is_registered
from kinemill.register.versions import (
    CHAMPION,
    Version,
    aliases_of,
    bundle_folder,
    find_version,
)
from kinemill.store.home import Home

_USED = ("train", "validation", "test")


@dataclass(frozen=True)
class Reigning:
    """The champion of a task, its checked files and the dataset it was made from."""

    home: Home
    registered: Version
    folder: Path

    @property
    def version(self) -> int:
        """Its version in the registry."""
        return self.registered.number

    @property
    def model(self) -> str:
        """The sha256 of its rollout.onnx."""
        return self.registered.tags[tags.ONNX]

    @property
    def dataset(self) -> str:
        """The digest of the dataset it learned from and was judged on."""
        return self.registered.tags[tags.DATASET]

    def used(self) -> frozenset[str]:
        """Return the content hashes of the recordings on any side of its dataset.

        Raises:
            BadInput: the dataset was never in this home.
            CorruptArtifact: it is gone or damaged.
        """
        found = self._cataloged
        if found.status(self.home) != "ready":
            raise CorruptArtifact(
                found.folder(self.home),
                f"the dataset of champion version {self.version} is {found.status(self.home)}",
                fix=f"kinemill run {self.registered.task} makes a new one",
            )
        listed = scan_listing(found.folder(self.home)).filter(pl.col("split").is_in(_USED))
        return frozenset(listed.select(pl.col("recording").unique()).collect()["recording"])

    def held_out(self, most: int) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
        """Yield id, name and rows (N, C) of `most` episodes of its validation and test splits.

        With more than that, those with the smallest content hashes: a choice that says nothing
        about what is in them.
        """
        episodes = [*self._packed.of("validation"), *self._packed.of("test")]
        for episode in sorted(episodes, key=_by_hash)[:most]:
            yield episode.id, episode.name, self._packed.rows(episode)

    def training_rows(self, most: int) -> NDArray[np.float32]:
        """Return `most` rows (N, C), evenly chosen, of its training split."""
        episodes = self._packed.of("train")
        stops = np.cumsum([episode.rows for episode in episodes])
        total = int(stops[-1])
        chosen = np.linspace(0, total - 1, min(most, total)).astype(np.int64)
        which = np.searchsorted(stops, chosen, side="right")
        starts = np.array([episode.start for episode in episodes])
        before = stops - np.array([episode.rows for episode in episodes])
        return np.asarray(self._packed.values[starts[which] + chosen - before[which]])

    @cached_property
    def _cataloged(self) -> DatasetVersion:
        return find_dataset(self.home, self.registered.task, self.dataset)

    @cached_property
    def _packed(self) -> PackedDataset:
        return load_dataset(self.home, self._cataloged.ref)


def _by_hash(episode: PackedEpisode) -> Any:
    return episode.recording, episode.start


def reigning(home: Home, task: str) -> Reigning | None:
    """Return the champion of a task, or None while it has none.

    Raises:
        CorruptArtifact: its files are gone or damaged, here and in MLflow.
    """
    if not is_registered(home, task):
        return None
    if CHAMPION not in aliases_of(home, task):
        return None
    found = find_version(home, task, f"@{CHAMPION}")
    return Reigning(home, found, bundle_folder(home, found))
