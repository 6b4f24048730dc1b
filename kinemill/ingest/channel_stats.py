"""Statistics of each channel of a recording: minimum, maximum, mean and standard deviation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class ChannelStats:
    """Statistics of the finite values of one channel, in the task's unit.

    Attributes:
        min: smallest value.
        max: largest value.
        mean: arithmetic mean.
        std: standard deviation, of the values themselves: the divisor is their number.
    """

    min: float
    max: float
    mean: float
    std: float


def channel_stats(frames: Sequence[pl.DataFrame], channels: list[str]) -> dict[str, ChannelStats]:
    """Return the statistics of each channel over all tracks.

    The channels are Float64 columns of `frames`, the tracks of one recording. Channels without a
    finite value are omitted, and those whose mean or deviation is not finite.
    """
    stats = dict[str, ChannelStats]()
    for name in channels if frames else []:
        parts = [frame[name].to_numpy() for frame in frames]
        values = np.concatenate(parts) if len(parts) > 1 else parts[0]
        with np.errstate(over="ignore", invalid="ignore"):
            if not np.isfinite(values.sum()):
                values = values[np.isfinite(values)]
            if len(values) and np.isfinite(std := float(values.std())):
                ends = (float(values.min()), float(values.max()))
                stats[name] = ChannelStats(*ends, float(values.mean()), std)
    return stats
