"""The stage: training episodes of a dataset, and what the task's augmentations add to them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import (
    PackedDataset,
    PackedEpisode,
    create_values,
    load_dataset,
    write_description,
)
from kinemill.errors import BadInput
from kinemill.home import Home
from kinemill.spec import Task
from kinemill.store import Json, Outcome, Ref, digest, once

VERSION = 1


class Augmentation(Protocol):
    """A plug-in of this family."""

    @property
    def type(self) -> str:
        """Name of the plug-in."""
        ...

    def vary(
        self, values: NDArray[np.float32], columns: list[str], random: np.random.Generator
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield (label, (rows, C) float32) for every copy made of (rows, C) `values`.

        Columns are states then actions, in task units; `values` may not be written to. `random`
        is this episode's own; the label tells copies of one episode apart.
        """
        ...


@dataclass(frozen=True)
class _Content:
    """A training episode before it is packed; `values` (rows, C) float32."""

    episode: PackedEpisode
    values: NDArray[np.float32]


def augment(task: Task, home: Home, dataset: Ref) -> Outcome:
    """Publish the training set: the dataset's training episodes and their augmented copies.

    Every augmentation is applied to all training episodes so far, copies included, and adds
    copies; originals stay as they are. Validation and test episodes are not looked at, and the
    statistics stay those of the originals, so that scaling does not depend on augmentation.

    Args:
        task: whose `augment` part lists the augmentations, in order.
        home: where it is published.
        dataset: outcome of `make_dataset`.
    """
    inputs = {"dataset": dataset.digest, "task": task.part("augment"), "version": VERSION}
    return once(
        home,
        "training_set",
        task.name,
        inputs,
        lambda folder: _build(task, load_dataset(home, dataset), folder),
    )


def _build(task: Task, dataset: PackedDataset, folder: Path) -> Json:
    contents = [_Content(episode, dataset.rows(episode)) for episode in dataset.of("train")]
    added: dict[str, int] = {}
    for index in range(len(task.augment)):
        copies = list(_copies(task, index, contents, dataset.columns))
        kind = task.augment[index].type
        added[kind] = added.get(kind, 0) + len(copies)
        contents += copies
    contents.sort(key=lambda content: content.episode.id)
    rows = _pack(dataset, contents, folder)
    return {"episodes": len(contents), "rows": rows, "added": added}


def _copies(
    task: Task, index: int, contents: list[_Content], columns: list[str]
) -> Iterator[_Content]:
    augmentation = cast(Augmentation, task.augment[index])
    kinds: list[Any] = [other.type for other in task.augment]
    twin = f"-{index}" if kinds.count(augmentation.type) > 1 else ""
    for content in contents:
        episode = content.episode
        seed = int(digest([episode.id, augmentation.type, index])[:16], 16)
        random = np.random.default_rng(seed)
        for label, values in augmentation.vary(content.values, columns, random):
            if values.shape != content.values.shape or not np.isfinite(values).all():
                where = f"augment.{index} ({augmentation.type}), episode {episode.id}"
                raise BadInput(
                    where,
                    f"made an array of shape {values.shape} with non-finite values or another "
                    "shape than the original",
                    expected=f"finite values of shape {content.values.shape}",
                )
            name = f"{episode.id}+{augmentation.type}{twin}{label}"
            yield _Content(replace(episode, id=name), values)


def _pack(dataset: PackedDataset, contents: list[_Content], folder: Path) -> int:
    """Write the rows one after the other, and where each episode lies; return their number."""
    total = sum(len(content.values) for content in contents)
    packed = create_values(folder, total, len(dataset.columns))
    episodes: list[PackedEpisode] = []
    start = 0
    for content in contents:
        stop = start + len(content.values)
        packed[start:stop] = content.values
        episodes.append(replace(content.episode, start=start, stop=stop))
        start = stop
    packed.flush()
    write_description(folder, replace(dataset, episodes=episodes, values=packed))
    return total
