"""Copies of one episode by one augmentation, each with its own seed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from kinemill.augment._augmentation import Augmentation, Rows, Signals
from kinemill.dataset import AuxRows, PackedEpisode, View
from kinemill.errors import BadInput
from kinemill.store import digest
from kinemill.task import Task


@dataclass(frozen=True)
class Content:
    """A training episode before packing.

    Attributes:
        episode: description of the episode.
        values: states and actions, (rows, C) float32 in task units.
        aux: observations, rewards and references to images and texts of its rows, if any.
        views: changes of these images and texts.
    """

    episode: PackedEpisode
    values: Rows
    aux: AuxRows | None = None
    views: tuple[View, ...] = ()


def copies(task: Task, index: int, content: Content, signals: Signals) -> Iterator[Content]:
    """Yield the copies of one episode by augmentation `index` of the task."""
    plugin = cast(Augmentation, task.augment[index])
    episode = content.episode
    identity = [plugin.seed, episode.id, plugin.type, index]
    if _hash_fraction([*identity, "share"]) >= plugin.share:
        return
    suffix = (
        f"-{index}"
        if [augmentation.type for augmentation in task.augment].count(plugin.type) > 1
        else ""
    )
    numbers = _numbers(content)
    for number in range(plugin.copies):
        seed = int(digest([*identity, number])[:16], 16)
        values = plugin.vary(numbers, signals, np.random.default_rng(seed))
        if values.shape[1:] != numbers.shape[1:] or not np.isfinite(values).all():
            where = f"augment.{index} ({plugin.type}), episode {episode.id}"
            raise BadInput(
                where,
                f"returned {values.shape} with non-finite values or other columns",
                expected=f"finite values in {numbers.shape[1]} columns",
            )
        label = f".{number}" if plugin.copies > 1 else ""
        copy = replace(episode, id=f"{episode.id}+{plugin.type}{suffix}{label}")
        yield _split(plugin, content, values, copy, signals, seed)


def _numbers(content: Content) -> Rows:
    """Return states, actions, observations and rewards as one array, (rows, C) read-only."""
    if content.aux is None or not content.aux.numbers.shape[1]:
        return content.values
    numbers = np.concatenate([content.values, content.aux.numbers], axis=1)
    numbers.flags.writeable = False
    return numbers


def _split(
    plugin: Augmentation,
    content: Content,
    numbers: Rows,
    copy: PackedEpisode,
    signals: Signals,
    seed: int,
) -> Content:
    """Return a copy with its numbers, (rows, C), and its images and texts."""
    if content.aux is None:
        return Content(copy, numbers)
    columns = content.values.shape[1]
    rows = plugin.source_rows(len(content.values), signals, np.random.default_rng(seed))
    if len(rows) != len(numbers):
        raise BadInput(
            f"augmentation {plugin.type}, episode {content.episode.id}",
            f"has images for {len(rows)} rows and numbers for {len(numbers)}",
            expected="equal numbers of rows",
            fix="draw the same numbers from `random` in `source_rows` and `vary`",
        )
    views = [
        View(channel, plugin.model_dump(mode="json"), seed)
        for channel in plugin.changed_media(signals.channels)
    ]
    return Content(
        copy,
        numbers[:, :columns],
        AuxRows(numbers[:, columns:], content.aux.references[rows]),
        (*content.views, *views),
    )


def _hash_fraction(identity: list[object]) -> float:
    """Return a number in [0, 1) from the digest of `own`."""
    return int(digest(identity)[:16], 16) / 2.0**64
