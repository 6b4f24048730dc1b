"""Demonstrations: a packed dataset with its images, texts and observations.

Symbols: N rows of all episodes, D numbers observed, A actions, U different texts, L bytes of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.dataset import PackedDataset, load_dataset
from kinemill.dataset.aux_arrays import Media
from kinemill.dataset.media import MediaSet, load_media
from kinemill.errors import BadInput
from kinemill.runtime.policy_layout import OBSERVATION, PolicyLayout
from kinemill.store import ArtifactRef, Home, Json
from kinemill.task.document import Task
from kinemill.train.memory import gpu_memory

CACHE_BYTES = 2**30  # bytes of pictures that are kept in memory; more are read batch by batch
CACHE_SHARE = 0.25  # share of a GPU's free memory for pictures, if larger than CACHE_BYTES


@dataclass(eq=False)
class Demonstrations:
    """Episodes to learn from.

    Attributes:
        packed: states and actions.
        media: images, texts, observations and rewards, if there are any.
    """

    packed: PackedDataset
    media: MediaSet | None = None

    @classmethod
    def open(cls, home: Home, ref: ArtifactRef) -> "Demonstrations":
        """Open a dataset or a training set."""
        packed = load_dataset(home, ref)
        has_media = Media.read(home.root / ref.path) is not None
        return cls(packed, load_media(home, ref) if has_media else None)

    def describe(self, layout: PolicyLayout, task: Task) -> Json:
        """Return what `model.json` stores about a policy.

        Layout, units, limits, standard deviations of the actions in training (task units), and the
        names of observed angles.
        """
        std = dict(zip(self.packed.columns, self.packed.std.tolist(), strict=True))
        return {
            "layout": layout.to_json(),
            "units": layout.units,
            "limits": {name: layout.limits.get(name) for name in layout.units},
            "train_std": {name: std[name] for name in layout.actions},
            "angles": [name for name in layout.observation if task.channels[name].kind == "angle"],
        }

    @property
    def actions(self) -> NDArray[np.float32]:
        """The actions, (N, A) in task units."""
        return self.packed.values[:, len(self.packed.states) :]

    @cached_property
    def roles(self) -> dict[str, str]:
        """Role by channel of images, texts, observations and rewards."""
        return self.media.media.channels if self.media else {}

    def observed(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return the observed numbers, (N, D) in task units; actions are those of the row before.

        The action before the first row of an episode is unknown; its first action replaces it.

        Raises:
            BadInput: The dataset lacks a channel of `names`.
        """
        numbers = [name for name, role in self.roles.items() if role not in ("image", "text")]
        names_known = [*self.packed.columns, *numbers]
        if missing := [name for name in names if name not in names_known]:
            where = f"dataset of {self.packed.task}"
            raise BadInput(where, f"has no {', '.join(missing)}", expected=", ".join(names_known))
        previous = np.maximum(np.arange(self.packed.total_rows) - 1, self.first_rows)
        whole = [self.packed.values[:, : len(self.packed.states)], self.actions[previous]]
        if self.media and numbers:
            whole.append(self._aux_numbers(len(numbers)))
        return np.concatenate(whole, axis=1)[:, [names_known.index(name) for name in names]]

    def _aux_numbers(self, count: int) -> NDArray[np.float32]:
        assert self.media is not None
        values = np.zeros((self.packed.total_rows, count), np.float32)
        for episode in self.packed.episodes:
            values[episode.start : episode.stop] = self.media.numbers(episode.id)
        return values

    def text_table(self, channel: str, length: int, epoch: int = 0) -> tuple[Tensor, Tensor]:
        """Return the distinct texts (U, L) uint8, and the text of each row, (N,) int64."""
        numbers_of: dict[str, int] = {}
        index = torch.zeros(self.packed.total_rows, dtype=torch.int64)
        for episode in self.packed.episodes:
            texts = self.texts(episode.id, channel, epoch)
            numbers = [numbers_of.setdefault(text, len(numbers_of)) for text in texts]
            index[episode.start : episode.stop] = torch.tensor(numbers)
        return torch.from_numpy(np.stack([as_bytes(text, length) for text in numbers_of])), index

    def texts(self, episode: str, channel: str, epoch: int = 0) -> list[str]:
        """Return the text at each row of an episode, as augmented in `epoch`."""
        assert self.media is not None
        return self.media.texts(episode, channel, epoch)

    def pictures(self, channel: str, rows: NDArray[np.int64], epoch: int = 0) -> Tensor:
        """Return images at rows, (...,) -> (..., H, W, 3) uint8, as augmented in `epoch`."""
        assert self.media is not None
        return torch.from_numpy(self.media.batch(channel, rows, epoch))

    def changing(self, channel: str) -> bool:
        """Return whether a channel's images or texts differ between epochs."""
        views = self.media.media.views if self.media else {}
        return any(view.channel == channel for its in views.values() for view in its)

    @cached_property
    def first_rows(self) -> NDArray[np.int64]:
        """First row of each row's episode, (N,) int64."""
        return self._by_row([episode.start for episode in self.packed.episodes])

    @cached_property
    def last_rows(self) -> NDArray[np.int64]:
        """Last row of each row's episode, (N,) int64."""
        return self._by_row([episode.stop - 1 for episode in self.packed.episodes])

    def _by_row(self, of_episodes: list[int]) -> NDArray[np.int64]:
        values = np.arange(self.packed.total_rows)
        for episode, value in zip(self.packed.episodes, of_episodes, strict=True):
            values[episode.start : episode.stop] = value
        return values


class Feed:
    """Inputs of a policy at rows of demonstrations, on a device.

    Args:
        data: the demonstrations.
        layout: observations of the policy.
        device: device of the tensors.
        used: rows that will be requested, sorted; None: any.
    """

    def __init__(
        self,
        data: Demonstrations,
        layout: PolicyLayout,
        device: torch.device,
        used: NDArray[np.int64] | None = None,
    ) -> None:
        self._data = data
        self._layout = layout
        self._device = device
        self._numbers = torch.from_numpy(data.observed(layout.observation)).to(device)
        self._texts: dict[str, tuple[Tensor, Tensor]] = {}
        self._epoch = -1
        rows = np.arange(data.packed.total_rows)
        self._used = rows if used is None else used
        numbers_of = np.searchsorted(self._used, rows)  # meaningless at rows that are not used
        self._cache_rows = torch.from_numpy(numbers_of).to(device)
        self._pictures = {name: self._cached(name) for name in layout.images}

    def _cached(self, name: str) -> Tensor | None:
        size = len(self._used) * int(np.prod(self._layout.images[name]))
        if self._data.changing(name) or size > _cache_bytes(self._device):
            return None
        return self._data.pictures(name, self._used).to(self._device)

    @property
    def steady(self) -> bool:
        """Whether the inputs are the same in every epoch, and all in memory."""
        still = not any(self._data.changing(name) for name in self._layout.texts)
        return still and all(picture is not None for picture in self._pictures.values())

    @property
    def is_read(self) -> bool:
        """Whether pictures are read batch by batch."""
        return any(picture is None for picture in self._pictures.values())

    def read(self, rows: NDArray[np.int64], epoch: int) -> dict[str, Tensor]:
        """Return the pictures at rows (B,) that are not in memory, by name, on the CPU."""
        names = [name for name, cached in self._pictures.items() if cached is None]
        return {name: self._data.pictures(name, rows, epoch) for name in names}

    def at(
        self, rows: Tensor, epoch: int = 0, read: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return the inputs of a policy at rows (B,), by name.

        Args:
            rows: row numbers of the demonstrations, int64.
            epoch: epoch of the training, which seeds augmentations.
            read: result of `read` for the same rows, on the device; None: read now.
        """
        if read is None and self.is_read:
            read = self.read(rows.cpu().numpy(), epoch)
        values: dict[str, Tensor] = {}
        if self._layout.observation:
            values[OBSERVATION] = self._numbers.index_select(0, rows)
        for name, cached in self._pictures.items():
            if cached is not None:
                values[name] = cached.index_select(0, self._cache_rows.index_select(0, rows))
            elif read is not None:
                values[name] = read[name].to(self._device)
        for name in self._layout.texts:
            table, index = self._text_tables(epoch)[name]
            values[name] = table.index_select(0, index.index_select(0, rows))
        return values

    def _text_tables(self, epoch: int) -> dict[str, tuple[Tensor, Tensor]]:
        changed = epoch != self._epoch and any(map(self._data.changing, self._layout.texts))
        if changed or not self._texts:
            self._texts = {
                name: self._on_device(self._data.text_table(name, length, epoch))
                for name, length in self._layout.texts.items()
            }
            self._epoch = epoch
        return self._texts

    def _on_device(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return pair[0].to(self._device), pair[1].to(self._device)


def _cache_bytes(device: torch.device) -> float:
    """Return the memory limit of the cached pictures of one channel, bytes."""
    if device.type != "cuda":
        return CACHE_BYTES
    return max(CACHE_BYTES, CACHE_SHARE * gpu_memory(device).free)


def layout_of(task: Task, observation: Sequence[str]) -> PolicyLayout:
    """Return the layout of a policy that observes numbers of a task's channels, in this order."""
    names = [*observation, *task.actions]
    limits = {name: task.channels[name].limits for name in names}
    return PolicyLayout(
        dt=task.dt,
        observation=tuple(observation),
        actions=tuple(task.actions),
        units={name: task.channels[name].unit for name in names},
        limits={name: ends for name, ends in limits.items() if ends is not None},
        choices=(0,) * len(task.actions),
    )


def as_bytes(text: str, length: int) -> NDArray[np.uint8]:
    """Return a text as UTF-8, truncated or zero-padded, (length,) uint8."""
    letters = np.frombuffer(text.encode("utf-8", "surrogateescape")[:length], np.uint8)
    return np.pad(letters, (0, length - len(letters)))
