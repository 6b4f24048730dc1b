"""Mirror: the episode as its reflection would have run, of robots symmetric about zero."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from kinemill.augment._plugin import Augmentation, Problems, Rows, Signals, same_again
from kinemill.spec import AUGMENTATIONS, Channel, unknown_channels


@AUGMENTATIONS.register("mirror")
class Mirror(Augmentation):
    """Change the sign of the channels named; twice gives the original."""

    type: Literal["mirror"] = "mirror"
    flip: Annotated[list[str], Field(min_length=1)] = Field(
        description="channels that change sign; whatever is linked by derivative_of goes together"
    )

    def problems(self, channels: Mapping[str, Any]) -> Problems:
        """Return flips that no mirror could show: unknown, one-sided limits, broken derivatives."""
        found = same_again(self.copies) + unknown_channels(self.flip, channels, "flip")
        for index, name in enumerate(self.flip):
            if name not in channels:
                continue
            where = ("flip", index)
            found += [(where, what) for what in self._wrong_with(name, channels)]
        return found

    def _wrong_with(self, name: str, channels: Mapping[str, Channel]) -> list[str]:
        wrong: list[str] = []
        channel = channels[name]
        if self.flip.count(name) > 1:
            wrong.append(f"{name!r} is named twice; a second flip undoes the first")
        if channel.limits and channel.limits[0] != -channel.limits[1]:
            wrong.append(
                f"{name!r} has limits {list(channel.limits)}, whose mirror image is another range; "
                "only channels with limits symmetric about 0 can be flipped"
            )
        if channel.derivative_of and channel.derivative_of not in self.flip:
            wrong.append(
                f"{name!r} is the derivative of {channel.derivative_of!r}; flip that as well"
            )
        wrong += [
            f"{other!r} is the derivative of {name!r}; flip that as well"
            for other, its in channels.items()
            if its.derivative_of == name and other not in self.flip
        ]
        return wrong

    def vary(self, values: Rows, signals: Signals, random: np.random.Generator) -> Rows:
        """Return the mirror image of (n, C) `values`."""
        del random
        sign = np.array([-1.0 if name in self.flip else 1.0 for name in signals.columns])
        return values * sign.astype(np.float32)
