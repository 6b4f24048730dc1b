"""Unit outliers: recordings whose channels differ from the others by the factor of a unit.

Each shard counts the standard deviations of its episodes in bins of an eighth of an octave, and
lists the episodes with the largest ones. The usual deviation over all recordings is known to
5 % without reading any recording again.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from kinemill.task import Task
from kinemill.validate.check_results import Outlier
from kinemill.validate.motion import pairs

_FAR = 20.0  # minimum multiple of the usual deviation; no real run exceeds the others by as much
_LEAST = 3  # minimum number of recordings for a comparison
_BINS = 8  # per octave
_LOWEST = 1e-12  # replaces a deviation of zero
_LISTED = 20  # episodes of a shard that are listed for each position


@dataclass(frozen=True)
class ListedEpisode:
    """An episode with a large deviation: standard deviations of a position and its velocity."""

    recording: str
    position_std: float
    velocity_std: float


@dataclass(frozen=True)
class UnitStds:
    """Standard deviations of the episodes of a shard.

    Attributes:
        bins: number of episodes by bin, for each channel of a pair of position and velocity.
        largest: for each position, the episodes with the largest deviations.
    """

    bins: dict[str, dict[int, int]]
    largest: dict[str, list[ListedEpisode]]


def unit_stds(table: pl.DataFrame, names: Mapping[str, str], task: Task) -> UnitStds:
    """Return the standard deviations of the episodes of a shard.

    Args:
        table: one row per accepted episode.
        names: recording by episode.
        task: its pairs of position and velocity.
    """
    channel_pairs = list(pairs(task))
    largest: dict[str, list[ListedEpisode]] = {}
    for velocity, position in channel_pairs:
        top = table.sort(f"{position}:std", descending=True).head(_LISTED)
        rows = top.select("episode", f"{position}:std", f"{velocity}:std").rows()
        largest[position] = [ListedEpisode(names[row[0]], row[1], row[2]) for row in rows]
    channels = dict.fromkeys(name for pair in channel_pairs for name in pair)
    return UnitStds({name: _bins_of(table[f"{name}:std"].to_list()) for name in channels}, largest)


def _bins_of(deviations: Iterable[float]) -> dict[int, int]:
    bins = Counter(round(_BINS * math.log2(max(value, _LOWEST))) for value in deviations)
    return dict(sorted(bins.items()))


def merge_parts(parts: Iterable[UnitStds]) -> UnitStds:
    """Merge the deviations of several shards."""
    every = list(parts)
    names = dict.fromkeys(name for each in every for name in each.bins)
    positions = every[0].largest if every else {}
    return UnitStds(
        {
            name: dict(sorted(_sum_bins(each.bins[name] for each in every).items()))
            for name in names
        },
        {name: [one for each in every for one in each.largest[name]] for name in positions},
    )


def truncate(part: UnitStds) -> UnitStds:
    """Return a part with as many listed episodes as a shard keeps."""
    largest = {
        position: sorted(episodes, key=lambda one: (-one.position_std, one.recording))[:_LISTED]
        for position, episodes in part.largest.items()
    }
    return UnitStds(part.bins, largest)


def find_unit_outliers(part: UnitStds, recordings: int, task: Task) -> list[Outlier]:
    """Return recordings in which a position and its velocity are both far larger than in others.

    The two agree with each other, so no check of one recording fails. Usually both are in degrees.

    Args:
        part: deviations of all shards.
        recordings: number of recordings with accepted episodes.
        task: its pairs of position and velocity.
    """
    if recordings < _LEAST:
        return []
    outliers: list[Outlier] = []
    for velocity, position in pairs(task):
        usual_position, usual_velocity = (_median(part.bins[name]) for name in (position, velocity))
        unit = "in degrees" if task.channels[position].unit == "rad" else "in another unit"
        for one in part.largest[position]:
            factor = min(one.position_std / usual_position, one.velocity_std / usual_velocity)
            if factor > _FAR:
                text = f"{factor:.3g} times the usual deviation, as if {unit}"
                outliers.append(Outlier(one.recording, [position, velocity], text))
    return sorted(outliers, key=lambda outlier: outlier.recording)


def _median(bins: Mapping[int, int]) -> float:
    """Return the median of binned values, to half a bin."""
    half, below = sum(bins.values()) / 2, 0
    for bin_ in sorted(bins):
        below += bins[bin_]
        if below >= half:
            return 2.0 ** (bin_ / _BINS)
    return 1.0


def _sum_bins(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    bins: Counter[int] = Counter()
    for each in parts:
        bins.update(each)
    return dict(sorted(bins.items()))
