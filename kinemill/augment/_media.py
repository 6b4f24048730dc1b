"""Augmentations of images and of texts: copies of episodes with the same numbers.

A copy holds the change and its seed. Images are changed when a batch is loaded, uint8 -> uint8, and
differently in every epoch: see `kinemill.dataset.media`.

Symbols: n pictures, H height, W width.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.augment._augmentation import Augmentation, Problems, Rows, Signals
from kinemill.registry import nearest
from kinemill.task import Channel

Pictures = NDArray[np.uint8]


class MediaAugmentation(Augmentation):
    """Change images or texts, but no numbers."""

    role: ClassVar[str]
    channels: list[str] = []
    """channels; default: all images or texts"""

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: names without this role, or a task without such channels."""
        names = _of_role(channels, self.role)
        problems: Problems = [
            (("channels", name), f"is not a channel of role {self.role}; {nearest(name, names)}")
            for name in self.channels
            if name not in names
        ]
        return problems or ([] if names else [(("type",), f"the task has no {self.role} channel")])

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return (n, C) `values` unchanged; only images or texts change."""
        del signals, random
        return values.copy()

    def changed_media(self, channels: Mapping[str, Channel]) -> list[str]:
        """Return `channels`, or all channels of the role."""
        return self.channels or _of_role(channels, self.role)


class ImageAugmentation(MediaAugmentation):
    """Change images without changing their size."""

    role: ClassVar[str] = "image"
    each: Literal["episode", "frame"] = "episode"
    """unit of the random draws: an episode or a picture"""

    @abstractmethod
    def paint(self, frames: Pictures, random: np.random.Generator) -> Pictures:
        """Return changed copies of read-only `frames`, (n, H, W, 3) uint8, with one draw for all.

        The draws from `random` must not depend on n, nor a picture on other pictures. Then any part
        of an episode, loaded in any order, has the same pictures.
        """


class TextAugmentation(MediaAugmentation):
    """Change the wording of texts."""

    role: ClassVar[str] = "text"

    @abstractmethod
    def rephrase(self, text: str, random: np.random.Generator) -> str:
        """Return a text with the meaning of `text`."""


def to_bytes(frames: NDArray[np.float32]) -> Pictures:
    """Round (...,) to uint8 and clip to 0 to 255."""
    return np.clip(np.rint(frames), 0.0, 255.0).astype(np.uint8)


def _of_role(channels: Mapping[str, Channel], role: str) -> list[str]:
    return [name for name, channel in channels.items() if channel.role == role]
