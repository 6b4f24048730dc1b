"""Base class and inputs of augmentations.

Symbols: n rows of an episode, C channels (states, then actions, then observations and rewards), dt
time step in s.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from kinemill.task import Channel, Plugin, Problems, rotations, unknown_channels
from kinemill.task.bounds import Count, Seed

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Signals:
    """Columns of an episode.

    Attributes:
        columns: names of the C columns: states, actions, observations and rewards.
        channels: unit, kind, limits and parent of each channel.
        dt: time step, s.
    """

    columns: Sequence[str]
    channels: Mapping[str, Channel]
    dt: float

    def where(self, names: Sequence[str]) -> list[int]:
        """Return the columns of channels."""
        return [self.columns.index(name) for name in names]

    def actions(self, names: Sequence[str]) -> list[int]:
        """Return the columns of actions; of all actions if `names` is empty."""
        actions = [name for name in self.columns if self.channels[name].role == "action"]
        return self.where(names or actions)

    def order(self, name: str) -> int:
        """Return the order of a channel as a derivative; 0 if it is none."""
        parent = self.channels[name].derivative_of
        order = 0
        while parent is not None:
            parent = self.channels[parent].derivative_of
            order = order + 1
        return order

    def with_unit_rotations(self, values: Rows, names: Sequence[str]) -> Rows:
        """Return (n, C) with the quaternions among the channels `names` normalized."""
        for group in rotations(self.channels):
            if set(group) <= set(names):
                columns = self.where(group)
                length = np.linalg.norm(values[:, columns].astype(np.float64), axis=1)
                values[:, columns] /= np.maximum(length, 1e-12)[:, None].astype(np.float32)
        return values

    def saturate(self, values: NDArray[np.floating]) -> Rows:
        """Return (n, C) as float32, clipped to the limits of the channels, in task units."""
        rows = values.astype(np.float32)
        for column, name in enumerate(self.columns):
            if limits := self.channels[name].limits:
                np.clip(rows[:, column], *_inside(limits), out=rows[:, column])
        return rows


def _inside(limits: tuple[float, float]) -> tuple[np.float32, np.float32]:
    """Return the outermost float32 values within `limits`: 0.1 rounded to float32 is above 0.1."""
    low = np.float32(limits[0])
    high = np.float32(limits[1])
    low = low if float(low) >= limits[0] else np.nextafter(low, np.float32(np.inf))
    high = high if float(high) <= limits[1] else np.nextafter(high, np.float32(-np.inf))
    return low, high


class Augmentation(Plugin):
    """Settings of an augmentation, which adds copies of training episodes."""

    copies: Count = 1
    """number of copies of each selected episode"""
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """share of the episodes that have copies, by stable hash"""
    seed: Seed = 0
    """seed of the random draws"""

    @abstractmethod
    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return one copy, (m, C) float32, of read-only `values`.

        Args:
            values: (n, C) in task units; angles are continuous over whole turns.
            signals: description of the columns.
            random: generator of this copy, seeded by seed, episode and augmentation.
        """

    def source_rows(
        self, rows: int, signals: Signals, random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return for each row of the copy the row of the original with its images, (m,).

        Args:
            rows: number of rows of the original.
            signals: description of the columns.
            random: generator with the same seed as that of `vary`.
        """
        del signals, random
        return np.arange(rows)

    def changed_media(self, channels: Mapping[str, Channel]) -> list[str]:
        """Return the image and text channels that change in the copy."""
        del channels
        return []


def _check_order(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        message = f"the lower bound {value[0]} is above the upper bound {value[1]}"
        raise ValueError(message)
    return value


ORDERED = AfterValidator(_check_order)


def same_again(copies: int) -> Problems:
    """Return a problem for several copies of a deterministic augmentation."""
    if copies == 1:
        return []
    return [(("copies",), f"{copies} copies would be equal; set it to 1")]


def not_actions(names: list[str], channels: Mapping[str, Channel], done: str) -> Problems:
    """Return problems of names that are not actions, and of tasks without actions.

    `done` is a participle for the message, such as `delayed`.
    """
    problems = unknown_channels(names, channels, "channels")
    problems += [
        (("channels", name), f"is a state; only actions are {done}")
        for name in names
        if name in channels and channels[name].role != "action"
    ]
    if not any(channel.role == "action" for channel in channels.values()):
        problems.append((("type",), "the task has no action"))
    return problems
