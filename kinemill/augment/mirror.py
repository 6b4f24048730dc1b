"""Mirror: the reflected episode, for robots that are symmetric about a plane.

Channels in the plane can change their sign. Channels on one side, such as the joints of a leg, are
swapped with their partners on the other side. Images of a camera in the plane are reflected.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from kinemill.augment._augmentation import Augmentation, Problems, Rows, Signals, same_again
from kinemill.augment._media import Pictures
from kinemill.errors import BadInput
from kinemill.task import AUGMENTATIONS, Channel, unknown_channels


@AUGMENTATIONS.register("mirror")
class Mirror(Augmentation):
    """Swap the channels of each pair, then flip signs; applied twice it is the identity."""

    type: Literal["mirror"] = "mirror"
    flip: list[str] = []
    """channels that change sign, and images that are reflected left to right; list derivatives
    too"""
    swap: list[tuple[str, str]] = []
    """pairs of channels, left and right, whose values are swapped"""

    each: ClassVar[str] = "episode"  # a reflection is the same for all pictures

    @model_validator(mode="after")
    def _has_changes(self) -> "Mirror":
        if not (self.flip or self.swap):
            message = "has no channel in `flip` and no pair in `swap`"
            raise ValueError(message)
        return self

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: unknown channels, asymmetric limits, inconsistent derivatives."""
        problems = same_again(self.copies)
        images = [name for name, channel in channels.items() if channel.role == "image"]
        for index, name in enumerate(self.flip):
            if name not in images:
                problems += unknown_channels([name], channels, "flip")
            if self.flip.count(name) > 1:
                problems.append((("flip", index), f"{name!r} is listed twice; list it once"))
        paired = [name for pair in self.swap for name in pair]
        problems += unknown_channels(paired, channels, "swap")
        problems += [
            (("swap", index), f"{name!r} is in several pairs, or twice in one")
            for index, pair in enumerate(self.swap)
            for name in sorted(set(pair))
            if paired.count(name) > 1
        ]
        problems += [
            (("flip",), f"the pictures of {name!r} would show the original; flip it as well")
            for name in images
            if name not in self.flip
        ]
        return problems or [problem for name in channels for problem in self._wrong(name, channels)]

    def _wrong(self, name: str, channels: Mapping[str, Channel]) -> Problems:
        """Return the differences between the mirror image of a channel and its partner."""
        channel = channels[name]
        partner = self._partner(name)
        mirrored = channels[partner]
        problems = list[str]()
        if (channel.role, channel.kind, channel.unit) != (
            mirrored.role,
            mirrored.kind,
            mirrored.unit,
        ):
            problems.append(f"{name!r} and {partner!r} differ in role, kind or unit")
        if self._sign(name) != self._sign(partner):
            problems.append(f"{name!r} changes its sign and its partner {partner!r} does not")
        elif self._image(channel.limits, name) != mirrored.limits:
            image = self._image(channel.limits, name)
            theirs = mirrored.limits
            problems.append(
                f"{name!r} has limits whose mirror image is {image and list(image)}, and "
                f"{partner!r} has {theirs and list(theirs)}"
            )
        problems += self._apart_from_parent(name, channels)
        named = next(
            (candidate for candidate in (name, channel.derivative_of) if candidate in self.flip),
            None,
        )
        where = ("flip", self.flip.index(named)) if named else ("swap",)
        return [(where, what) for what in problems]

    def _apart_from_parent(self, name: str, channels: Mapping[str, Channel]) -> list[str]:
        parent = channels[name].derivative_of
        if parent is None:
            return []
        if self._sign(parent) != self._sign(name):
            return [f"{name!r} is the derivative of {parent!r}; flip both or neither"]
        if channels[self._partner(name)].derivative_of != self._partner(parent):
            return [f"{name!r} is the derivative of {parent!r}; swap both or neither"]
        return []

    def _partner(self, name: str) -> str:
        pairs = {a: b for pair in self.swap for a, b in (pair, pair[::-1])}
        return pairs.get(name, name)

    def _sign(self, name: str) -> float:
        return -1.0 if name in self.flip else 1.0

    def _image(self, limits: tuple[float, float] | None, name: str) -> tuple[float, float] | None:
        if limits is None or name not in self.flip:
            return limits
        return -limits[1], -limits[0]

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return the mirror image of (n, C) `values`."""
        del random
        partners, signs = self.image_of(signals.columns)
        return values[:, partners] * signs

    def image_of(self, names: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return how columns with some names are mirrored: `values[:, columns] * signs`.

        Raises:
            BadInput: The partner of a channel is not in `names`.
        """
        positions = {name: column for column, name in enumerate(names)}
        for name in names:
            if self._partner(name) not in positions:
                what = f"swaps {name!r} with {self._partner(name)!r}, which is not used"
                raise BadInput("augment: mirror", what, fix="use both, or take the pair out")
        columns = [positions[self._partner(name)] for name in names]
        return np.array(columns, np.intp), np.array([*map(self._sign, names)], np.float32)

    def changed_media(self, channels: Mapping[str, Channel]) -> list[str]:
        """Return the images that are reflected."""
        return [name for name in self.flip if channels[name].role == "image"]

    def paint(self, frames: Pictures, random: np.random.Generator) -> Pictures:
        """Return (n, H, W, 3) `frames` reflected left to right."""
        del random
        return frames[:, :, ::-1]
