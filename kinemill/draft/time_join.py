"""Logs of one recording with their own timestamps, such as a controller's and a tracker's.

The rows of the joined log are those of the first file. The columns of the others are sampled at
its timestamps: commands are held, and others are interpolated. A row without samples close enough
is left out, so that the joined log has a gap.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from kinemill.draft.constants import JOIN_JUMP, JOIN_PERIODS, JOIN_ROUNDING
from kinemill.draft.joined_files import JoinedTable, Match, column_names
from kinemill.draft.schema_inference import survey
from kinemill.draft.table import Samples, Table, usual_step
from kinemill.errors import BadInput, BadLog
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import guess

TIME = "time"


class _Column(NamedTuple):
    """A column sampled at the rows: values (n,), and the distance to the closest sample (n,), s."""

    values: Floats
    distance: Floats  # inf without samples within the tolerance


def join_by_time(paths: Sequence[Path], offset: float = 0.0) -> JoinedTable:
    """Sample the columns of all files at the timestamps of the first one.

    Args:
        paths: logs of one recording, each with timestamps.
        offset: time that is added to the timestamps of all files but the first, s.

    Returns:
        The rows that have samples of every file, with `time` in s of the first log's clock.

    Raises:
        BadInput: A file has no timestamps or several recordings, or no row matches.
    """
    tables = [_recording_table(path) for path in paths]
    grid = min((seconds for seconds, _ in tables[0].values.values()), key=usual_step)
    step = usual_step(grid)
    joined = dict[str, Floats]()
    matches = list[Match]()
    is_matched = np.ones(len(grid), dtype=bool)
    names = column_names({path: [*table.values] for path, table in zip(paths, tables, strict=True)})
    for number, table in enumerate(tables):
        shift = table.origin - tables[0].origin + (offset if number else 0.0)
        columns = [
            _sample(
                grid,
                (seconds + shift, values),
                JOIN_PERIODS * max(step, table.step),
                is_held=guess(full, table.labels.get(name, "")).role == "action",
            )
            for full, (name, (seconds, values)) in zip(
                names[table.path], table.values.items(), strict=True
            )
        ]
        # A slow or interrupted column leaves empty cells; a row without any sample is left out.
        distance = np.min([column.distance for column in columns], axis=0)
        rows = np.isfinite(distance)
        if not rows.any():
            raise _no_match(tables[0], table, grid, shift, offset)
        matches.append(Match(table.path, int(rows.sum()), float(distance[rows].max())))
        is_matched &= rows
        joined |= dict(zip(names[table.path], (column.values for column in columns), strict=True))
    if not is_matched.any():
        expected = "files whose times overlap"
        raise BadInput(paths[0], "has no row that all other files match", expected=expected)
    frame = pl.DataFrame({TIME: tables[0].origin + grid, **joined}).filter(is_matched)
    left_out = [f"{table.path.name}: {name}" for table in tables for name in table.left_out]
    return JoinedTable(frame, left_out, matches[1:])


def _recording_table(path: Path) -> Table:
    """Return the columns of a log of one recording with timestamps.

    Raises:
        BadInput: It has no timestamps, or several recordings.
    """
    try:
        tables = survey(path)
    except BadLog as error:
        fix = "join files without timestamps row by row: --by row"
        raise BadInput(path, error.problem, expected=error.expected, fix=fix) from error
    if len(tables) > 1:
        problem = f"holds {len(tables)} recordings"
        raise BadInput(path, problem, expected="one recording", fix="write each to its own file")
    return replace(tables[0], values={k: _rising(v) for k, v in tables[0].values.items()})


def _rising(samples: Samples) -> Samples:
    """Return the samples later than all before them; a binary search needs rising times."""
    seconds, values = (sample[np.isfinite(samples[0])] for sample in samples)
    is_later = np.diff(np.maximum.accumulate(seconds), prepend=-np.inf) > 0.0
    return seconds[is_later], values[is_later]


def _sample(grid: Floats, samples: Samples, tolerance: float, *, is_held: bool) -> _Column:
    """Sample a column at the times (n,) s; a value is NaN where no sample is close enough."""
    present = np.isfinite(samples[1])
    seconds = samples[0][present]
    values = samples[1][present]
    if not len(seconds):
        return _Column(np.full(len(grid), np.nan), np.full(len(grid), np.inf))
    upper = np.searchsorted(seconds, grid - JOIN_ROUNDING)
    lower = np.searchsorted(seconds, grid + JOIN_ROUNDING, side="right") - 1
    has_upper = upper < len(seconds)
    has_lower = lower >= 0
    upper = np.minimum(upper, len(seconds) - 1)
    lower = np.maximum(lower, 0)
    to_upper = np.where(has_upper, np.abs(seconds[upper] - grid), np.inf)
    to_lower = np.where(has_lower, np.abs(grid - seconds[lower]), np.inf)
    if is_held:
        sampled = values[lower]
        distance = to_lower
        is_close = to_lower <= tolerance
    else:
        # A value between both sides of a wrapped angle, or of a switch, never occurred.
        nearest = np.where(to_upper < to_lower, values[upper], values[lower])
        is_jump = np.abs(values[upper] - values[lower]) > JOIN_JUMP * np.ptp(values)
        sampled = np.where(is_jump, nearest, np.interp(grid, seconds, values))
        distance = np.minimum(to_upper, to_lower)
        is_close = np.maximum(to_upper, to_lower) <= tolerance
    return _Column(np.where(is_close, sampled, np.nan), np.where(is_close, distance, np.inf))


def _no_match(first: Table, second: Table, grid: Floats, shift: float, offset: float) -> BadInput:
    """Return the error for a file of another time, with the offset that aligns the first rows."""
    start = first.origin + float(grid[0])
    begin = first.origin + shift + float(next(iter(second.values.values()))[0][0])
    return BadInput(
        second.path,
        f"no row matches: it begins at {begin:.9g} s, and {first.path.name} spans {start:.9g} to "
        f"{first.origin + float(grid[-1]):.9g} s",
        expected="logs whose times overlap",
        fix=f"if both began together: --offset {offset + start - begin:.9g}",
    )
