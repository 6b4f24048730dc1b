"""The numbers that physical checks report about tracks, over many of them.

Of each number its least and largest value are kept, and a sample for its median: the values of the
first tracks in the order of their recordings' hashes, which know nothing of what they hold.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

SAMPLE = 32  # values that one of sixteen parts keeps; together 512 give a median to 2 % of ranks

Json = dict[str, Any]


def gather(tracks: Iterable[Json]) -> Json:
    """Return what is kept of the numbers of tracks, by check and by name.

    Args:
        tracks: numbers by name by check, in the order of their recordings' hashes.
    """
    collected: Json = {}
    for track in tracks:
        for check, numbers in track.items():
            for name, value in numbers.items():
                collected.setdefault(check, {}).setdefault(name, []).append(value)
    return {
        check: {name: _summarize(values) for name, values in numbers.items()}
        for check, numbers in collected.items()
    }


def _summarize(values: list[float]) -> Json:
    return {"least": min(values), "largest": max(values), "values": values}


def merge_parts(parts: Iterable[Json]) -> Json:
    """Return what is kept of the tracks of several parts, which are in the order of hashes."""
    merged: Json = {}
    for part in parts:
        for check, numbers in part.items():
            own = merged.setdefault(check, {})
            for name, summary in numbers.items():
                own[name] = _merge_pair(own[name], summary) if name in own else summary
    return merged


def _merge_pair(one: Json, other: Json) -> Json:
    return {
        "least": min(one["least"], other["least"]),
        "largest": max(one["largest"], other["largest"]),
        "values": [*one["values"], *other["values"]],
    }


def truncate(part: Json) -> Json:
    """Return a part with as many values as one of sixteen keeps."""
    return {
        check: {
            name: {**summary, "values": summary["values"][:SAMPLE]}
            for name, summary in numbers.items()
        }
        for check, numbers in part.items()
    }


def spans(numbers: Json) -> dict[str, list[float]]:
    """Return the least, the median and the largest of each number of a check, by name."""
    return {
        name: [summary["least"], float(np.median(summary["values"])), summary["largest"]]
        for name, summary in sorted(numbers.items())
    }
