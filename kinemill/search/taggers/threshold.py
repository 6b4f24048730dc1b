"""Threshold: tag recordings in which a channel leaves a range for a share of the rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from kinemill.task import TAGGERS, Channel, Problems, Tagger, unknown_channels
from kinemill.task.bounds import Quantity


@TAGGERS.register("threshold")
class Threshold(Tagger):
    """Tag recordings in which a channel is above or below a value."""

    type: Literal["threshold"] = "threshold"
    name: str = Field(min_length=1, max_length=100, description="the tag")
    channel: str = Field(description="numeric channel")
    above: Quantity | None = Field(
        default=None, description="rows with larger values count, in the channel's unit"
    )
    below: Quantity | None = Field(
        default=None, description="rows with smaller values count, in the channel's unit"
    )
    share: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="share of the rows that count must be larger"
    )

    @model_validator(mode="after")
    def _has_end(self) -> "Threshold":
        if self.above is None and self.below is None:
            message = "expected `above`, `below`, or both"
            raise ValueError(message)
        return self

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return the name of an unknown channel."""
        return unknown_channels([self.channel], channels, "channel")

    def find_tags(
        self, episodes: Sequence[Mapping[str, NDArray[np.float64]]], dt: float
    ) -> Iterable[str]:
        """Return the tag if more than the share of the rows of all episodes counts."""
        del dt
        values = np.concatenate([np.empty(0), *(episode[self.channel] for episode in episodes)])
        counts = np.zeros(len(values), np.bool_)
        if self.above is not None:
            counts |= values > self.above
        if self.below is not None:
            counts |= values < self.below
        return [self.name] if counts.sum() > self.share * len(values) else []
