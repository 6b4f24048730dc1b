"""The champion for earlier stages: implements `kinemill.task.protocols.Champion`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset, load_dataset, scan_listing
from kinemill.dataset import Version as DatasetVersion
from kinemill.dataset import find_version as find_dataset
from kinemill.dataset.description import SPLITS
from kinemill.errors import CorruptArtifact
from kinemill.register import tags
from kinemill.register.versions import Version, bundle_folder, champion_of
from kinemill.store.home import Home


@dataclass(frozen=True)
class LoadedChampion:
    """The champion of a task, its verified files and its dataset."""

    home: Home
    registered: Version
    folder: Path

    @property
    def version(self) -> int:
        """Number of the version in the registry."""
        return self.registered.number

    @property
    def model(self) -> str:
        """Digest of rollout.onnx, sha256."""
        return self.registered.require(tags.ONNX)

    @property
    def dataset(self) -> str:
        """Digest of the dataset of its training and evaluation."""
        return self.registered.require(tags.DATASET)

    def used(self) -> frozenset[str]:
        """Return the content hashes of the recordings in any split of its dataset.

        Raises:
            BadInput: The dataset was never in this home.
            CorruptArtifact: It is missing or damaged.
        """
        version = self._cataloged
        if version.status(self.home) != "ready":
            raise CorruptArtifact(
                version.folder(self.home),
                f"the dataset of champion version {self.version} is {version.status(self.home)}",
                fix=f"kinemill run {self.registered.task} makes a new one",
            )
        listed = scan_listing(version.folder(self.home)).filter(pl.col("split").is_in(SPLITS))
        return frozenset(listed.select(pl.col("recording").unique()).collect()["recording"])

    def held_out(self, most: int) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
        """Yield id, name and rows (N, C), in task units, of up to `most` held-out episodes.

        They are validation and test episodes. If there are more, those with the smallest content
        hashes are selected, which is random with respect to the content.
        """
        episodes = [*self._packed.of("validation"), *self._packed.of("test")]
        for episode in sorted(episodes, key=lambda episode: (episode.recording, episode.start))[
            :most
        ]:
            yield episode.id, episode.name, self._packed.rows(episode)

    def training_rows(self, most: int) -> NDArray[np.float32]:
        """Return up to `most` evenly spaced rows (N, C) of its training split."""
        episodes = self._packed.of("train")
        stops = np.cumsum([episode.rows for episode in episodes])
        total = int(stops[-1])
        # Positions count training rows only; map them to rows of the packed file.
        positions = np.linspace(0, total - 1, min(most, total)).astype(np.int64)
        which = np.searchsorted(stops, positions, side="right")
        starts = np.array([episode.start for episode in episodes])
        offsets = stops - np.array([episode.rows for episode in episodes])
        return self._packed.take(starts[which] + positions - offsets[which])

    @cached_property
    def _cataloged(self) -> DatasetVersion:
        return find_dataset(self.home, self.registered.task, self.dataset)

    @cached_property
    def _packed(self) -> PackedDataset:
        return load_dataset(self.home, self._cataloged.ref)


def load_champion(home: Home, task: str) -> LoadedChampion | None:
    """Return the champion of a task, or None without one, or if another program registered it.

    Raises:
        CorruptArtifact: Its files are missing or damaged, in the store and in MLflow.
    """
    version = champion_of(home, task)
    if version is None or tags.BUNDLE not in version.tags:
        return None
    return LoadedChampion(home, version, bundle_folder(home, version))
