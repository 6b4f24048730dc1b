"""Ranges of a draft: observed ranges only warn, and hard limits need recordings that agree.

The range of one log shows how the robot moved there, not its limits: the torques of a log with
motion in one direction span [0.5, 1.3] N*m. A draft therefore writes `observed_range`, which only
warns. `limits`, which cut rows out, are written where at least `RANGE_AGREEING` recordings agree:
each lies within the range of all others, widened by `RANGE_NEW` of it. With 20 recordings that
agree, fewer than one of 21 further ones leaves the common range, and the limits lie more than half
of this range beyond it.
"""

from dataclasses import replace

import numpy as np

from kinemill.draft.column import Column
from kinemill.draft.constants import (
    RANGE_AGREEING,
    RANGE_MARGIN,
    RANGE_NEW,
    RANGE_OUTLIERS,
    RANGE_REST,
)
from kinemill.ingest.clock import Floats

Ends = tuple[float, float]


def with_range(column: Column) -> Column:
    """Return a linear channel with its observed range, or with limits if enough recordings agree.

    Both are in the channel's unit. Limits that a robot file states do not change.
    """
    if column.kind != "linear" or column.role in {"observation", "output"} or column.limits:
        return column
    samples = [column.converted(values) for _, values in column.samples.values()]
    nonempty = [values for values in samples if len(values)]
    ranges = [_ends(values) for values in nonempty]
    if recordings_agree(ranges):
        limits = _rounded(*_hard(_union(ranges)))
        note = f"limits: {len(ranges)} recordings agree on the range"
        return replace(column, limits=limits, notes=[*column.notes, note])
    values = np.concatenate(nonempty)
    low, high = _widened(*(ranges[0] if len(ranges) == 1 else _ends(values)))
    if low < 0.0 < high and min(-low, high) > 0.5 * max(-low, high):
        high = max(-low, high)
        low = -high
    ends = _rounded(low, high)
    beyond = int(np.count_nonzero((values < ends[0]) | (values > ends[1])))
    what = "1 sample lies" if beyond == 1 else f"{beyond} samples lie"
    notes = [f"{what} beyond the observed range"] if beyond else []
    return replace(column, observed_range=ends, notes=[*column.notes, *notes])


def recordings_agree(ranges: list[Ends]) -> bool:
    """Return whether enough recordings lie within the range of all others and `RANGE_NEW` of it."""
    if len(ranges) < RANGE_AGREEING:
        return False
    return all(
        _inside(range_, _union([*ranges[:at], *ranges[at + 1 :]]))
        for at, range_ in enumerate(ranges)
    )


def _inside(range_: Ends, combined: Ends) -> bool:
    room = RANGE_NEW * (combined[1] - combined[0])
    return combined[0] - room <= range_[0] and range_[1] <= combined[1] + room


def _union(ranges: list[Ends]) -> Ends:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _hard(ends: Ends) -> Ends:
    """Return limits around a range, with zero inside, and symmetric where both signs occur."""
    low = min(ends[0], 0.0)
    high = max(ends[1], 0.0)
    if low < 0.0 < high:
        high = max(-low, high)
        low = -high
    return _widened(low, high)


def _ends(values: Floats) -> Ends:
    low, high = (float(end) for end in np.quantile(values, [RANGE_OUTLIERS, 1.0 - RANGE_OUTLIERS]))
    return low, high


def _widened(low: float, high: float) -> Ends:
    room = RANGE_MARGIN * (high - low) + RANGE_REST * max(abs(low), abs(high)) or 1.0
    return low - room, high + room


def _rounded(low: float, high: float) -> Ends:
    return -_up(-low), _up(high)


def _up(value: float) -> float:
    """Round up to two digits."""
    if value == 0.0:
        return 0.0
    power = 10.0 ** (np.floor(np.log10(abs(value))) - 1)
    return float(f"{np.ceil(value / power - 1e-9) * power:.12g}") + 0.0  # no -0
