"""Numbers that physical checks measure, summarized over many tracks.

A summary keeps the extremes of each number, and a sample for its median: the values of the first
tracks in the order of their recordings' hashes, which is random with respect to their content.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

SAMPLE = 32  # values that one of 16 parts keeps; all 512 give a median to 2 % of ranks

Measured = dict[str, dict[str, float]]  # of one track: check -> name -> number


@dataclass(frozen=True)
class NumberSummary:
    """Extremes and a sample of one number over many tracks."""

    least: float
    largest: float
    values: list[float]


NumberSummaries = dict[str, dict[str, NumberSummary]]  # check -> name -> summary


def gather(tracks: Iterable[Measured]) -> NumberSummaries:
    """Summarize the numbers of tracks, given in the order of their recordings' hashes."""
    collected: dict[str, dict[str, list[float]]] = {}
    for track in tracks:
        for check, numbers in track.items():
            for name, value in numbers.items():
                collected.setdefault(check, {}).setdefault(name, []).append(value)
    return {
        check: {name: NumberSummary(min(all_), max(all_), all_) for name, all_ in numbers.items()}
        for check, numbers in collected.items()
    }


def merge_parts(parts: Iterable[NumberSummaries]) -> NumberSummaries:
    """Merge the summaries of several parts, given in the order of hashes."""
    merged: NumberSummaries = {}
    for part in parts:
        for check, numbers in part.items():
            own = merged.setdefault(check, {})
            for name, summary in numbers.items():
                own[name] = _merge_pair(own[name], summary) if name in own else summary
    return merged


def _merge_pair(one: NumberSummary, other: NumberSummary) -> NumberSummary:
    return NumberSummary(
        min(one.least, other.least),
        max(one.largest, other.largest),
        [*one.values, *other.values],
    )


def truncate(part: NumberSummaries) -> NumberSummaries:
    """Return a part with the number of values that one of 16 parts keeps."""
    return {
        check: {
            name: replace(summary, values=summary.values[:SAMPLE])
            for name, summary in numbers.items()
        }
        for check, numbers in part.items()
    }


def spans(numbers: dict[str, NumberSummary]) -> dict[str, list[float]]:
    """Return minimum, median and maximum of each number of a check, by name."""
    return {
        name: [summary.least, float(np.median(summary.values)), summary.largest]
        for name, summary in sorted(numbers.items())
    }
