"""What only shows between recordings: the same run once more, and a log in units of its own.

Each recording leaves a sketch when it is judged, so that adding one costs the judging of one; the
sketches are compared here, each with the few that are most like it.

Symbols: r recordings, p points of a sketch, s states.
"""

from typing import Any

import numpy as np
import polars as pl

from kinemill.spec import Task
from kinemill.validate.faults import Array
from kinemill.validate.motion import pairs

POINTS = 64  # of a sketch, over the whole of an episode
LENGTHS = 0.05  # by which the durations of repeats may differ, relative
ALIKE = 0.15  # rms distance of two sketches over the states' deviation; repeats have 0.03 to 0.17
NEIGHBOURS = 32  # sketches that one is compared with
_FAR = 20.0  # times the usual deviation: no run is that much wilder than the others

Json = dict[str, Any]


NEAR_DUPLICATES, FOREIGN_UNITS = "near_duplicates", "foreign_units"
CHECKS = {
    NEAR_DUPLICATES: "no two recordings are the same run once more",
    FOREIGN_UNITS: "no recording moves so much more than the others that its units are in doubt",
}


def sketch(frame: pl.DataFrame, task: Task) -> Json:
    """Return an episode's duration in s and its states at `POINTS` moments, (p x s) in a row."""
    rows = np.linspace(0.0, frame.height - 1.0, POINTS)
    whole = np.arange(frame.height, dtype=np.float64)
    points = [np.interp(rows, whole, frame[name].to_numpy()) for name in task.states]
    return {
        "seconds": frame.height * task.dt,
        "points": np.round(np.stack(points, axis=1), 6).ravel().tolist(),
    }


def near_duplicates(sketches: dict[str, Json], task: Task) -> list[Json]:
    """Return the pairs of recordings, by name, whose states run the same course.

    Robots at rest are no repeats of each other: what is compared is over the states' deviation.
    """
    names = sorted(sketches)
    if len(names) < 2:
        return []
    points = np.array([sketches[name]["points"] for name in names]).reshape(
        len(names), POINTS, len(task.states)
    )
    seconds = np.array([sketches[name]["seconds"] for name in names])
    size = points.std(axis=1)  # (r, s)
    usual = np.maximum(np.median(size, axis=0), 1e-12)
    flat = (points / usual).reshape(len(names), -1)
    order = np.argsort(flat @ np.random.default_rng(0).standard_normal(flat.shape[1]))
    found: list[Json] = []
    for shift in range(1, min(NEIGHBOURS, len(names) - 1) + 1):
        one, other = order[:-shift], order[shift:]
        off = np.sqrt(np.mean((points[one] - points[other]) ** 2, axis=1))  # (r - shift, s)
        still = 0.02 * usual
        distance = (off / np.maximum(np.minimum(size[one], size[other]), still)).max(axis=1)
        long = np.maximum(seconds[one], seconds[other])
        same = np.abs(seconds[one] - seconds[other]) <= LENGTHS * long
        found += [
            {"pair": sorted((names[one[k]], names[other[k]])), "distance": float(distance[k])}
            for k in np.flatnonzero((distance < ALIKE) & same)
        ]
    return sorted(found, key=lambda item: (item["distance"], item["pair"]))


def foreign_units(table: pl.DataFrame, names: dict[str, str], task: Task) -> list[Json]:
    """Return recordings in which a position and its velocity are both far larger than in others.

    Each agrees with the other, so no check of one recording sees it; both in degrees is the usual
    reason.

    Args:
        table: one row an accepted episode.
        names: recording by episode.
        task: gives the pairs.
    """
    found: list[Json] = []
    if len(set(names.values())) < 3:
        return found
    for velocity, position in pairs(task):
        times = np.min([_over_usual(table[f"{name}:std"]) for name in (velocity, position)], axis=0)
        for episode, factor in zip(table["episode"].to_list(), times.tolist(), strict=True):
            if factor > _FAR:
                guess = "in degrees" if task.channels[position].unit == "rad" else "in another unit"
                found.append(
                    {
                        "recording": names[episode],
                        "channels": [position, velocity],
                        "found": f"{factor:.3g} times the usual deviation, as if {guess}",
                    }
                )
    return found


def _over_usual(deviation: pl.Series) -> Array:
    """Return deviations (r,) over their median."""
    values = deviation.to_numpy()
    return values / max(float(np.median(values)), 1e-12)


def spans(measured: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return the least, the median and the largest of each number that tracks report by name."""
    columns: dict[str, list[float]] = {}
    for each in measured:
        for name, value in each.items():
            columns.setdefault(name, []).append(value)
    return {
        name: [min(values), float(np.median(values)), max(values)]
        for name, values in sorted(columns.items())
    }
