"""Unit outliers: recordings whose channels differ from the others by the factor of a unit.

Each shard of recordings keeps how many of its episodes deviate by how much, in bins of an eighth
of an octave, and which deviate most; so the usual deviation over all recordings is known to 5 %
without looking at any of them again.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from kinemill.task import Task
from kinemill.validate.motion import pairs

_FAR = 20.0  # times the usual deviation: no run is that much wilder than the others
_LEAST = 3  # recordings of which one can be unlike the others
_BINS = 8  # in an octave
_LOWEST = 1e-12  # a deviation of nothing
_WILDEST = 20  # episodes of a shard that are kept by name

Json = dict[str, Any]


def unit_stds(table: pl.DataFrame, names: Mapping[str, str], task: Task) -> Json:
    """Return what a shard keeps of the deviations of its episodes.

    Args:
        table: one row an accepted episode.
        names: recording by episode.
        task: gives the pairs of position and velocity.

    Returns:
        `bins`: how many episodes are in which bin, for each channel of a pair; `wildest`: for each
        position the episodes that deviate most, as [recording, its deviation, the velocity's].
    """
    channel_pairs = list(pairs(task))
    wildest: dict[str, list[list[Any]]] = {}
    for velocity, position in channel_pairs:
        top = table.sort(f"{position}:std", descending=True).head(_WILDEST)
        rows = top.select("episode", f"{position}:std", f"{velocity}:std").rows()
        wildest[position] = [[names[row[0]], *row[1:]] for row in rows]
    channels = dict.fromkeys(name for pair in channel_pairs for name in pair)
    return {
        "bins": {name: _binned(table[f"{name}:std"].to_list()) for name in channels},
        "wildest": wildest,
    }


def _binned(deviations: Iterable[float]) -> dict[str, int]:
    bins = Counter(round(_BINS * math.log2(max(value, _LOWEST))) for value in deviations)
    return {str(bin_): bins[bin_] for bin_ in sorted(bins)}


def merge_parts(parts: Iterable[Json]) -> Json:
    """Return what several shards keep of their deviations."""
    every = list(parts)
    names = dict.fromkeys(name for each in every for name in each["bins"])
    bins = {name: _summed(each["bins"][name] for each in every) for name in names}
    return {
        "bins": {
            name: {str(at): counts[at] for at in sorted(counts)} for name, counts in bins.items()
        },
        "wildest": {
            name: [one for each in every for one in each["wildest"][name]]
            for name in (every[0]["wildest"] if every else ())
        },
    }


def truncate(unit_stds: Json) -> Json:
    """Return it with as many episodes by name as a shard keeps."""
    wildest = {
        position: sorted(episodes, key=lambda item: (-item[1], item[0]))[:_WILDEST]
        for position, episodes in unit_stds["wildest"].items()
    }
    return {**unit_stds, "wildest": wildest}


def foreign_units(parts: list[Json], recordings: int, task: Task) -> list[Json]:
    """Return recordings in which a position and its velocity are both far larger than in others.

    Each agrees with the other, so no check of one recording sees it; both in degrees is the usual
    reason.

    Args:
        parts: what `unit_stds` returned, for every shard.
        recordings: number of recordings with accepted episodes.
        task: gives the pairs.
    """
    if recordings < _LEAST:
        return []
    outliers: list[Json] = []
    for velocity, position in pairs(task):
        usual = {
            name: _median(item["bins"][name] for item in parts) for name in (velocity, position)
        }
        for shard in parts:
            for recording, own, derived in shard["wildest"][position]:
                factor = min(own / usual[position], derived / usual[velocity])
                if factor > _FAR:
                    outliers.append(_outlier(recording, position, velocity, factor, task))
    return sorted(outliers, key=lambda item: item["recording"])


def _outlier(recording: str, position: str, velocity: str, factor: float, task: Task) -> Json:
    guess = "in degrees" if task.channels[position].unit == "rad" else "in another unit"
    return {
        "recording": recording,
        "channels": [position, velocity],
        "found": f"{factor:.3g} times the usual deviation, as if {guess}",
    }


def _median(binned: Iterable[Mapping[str, int]]) -> float:
    """Return the median of what was binned, to half a bin."""
    bins = _summed(binned)
    half, below = bins.total() / 2, 0
    for bin_ in sorted(bins):
        below += bins[bin_]
        if below >= half:
            return 2.0 ** (bin_ / _BINS)
    return 1.0


def _summed(binned: Iterable[Mapping[str, int]]) -> Counter[int]:
    bins: Counter[int] = Counter()
    for each in binned:
        bins.update({int(bin_): count for bin_, count in each.items()})
    return bins
