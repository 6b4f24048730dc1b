"""Derivatives of a draft: which velocity is the derivative of which position, from the data.

A velocity matches if its integral over short windows follows the position; the scale tells deg/s
from rad/s.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kinemill.draft.task_draft_writer import Column
from kinemill.ingest.channels import unwrap
from kinemill.ingest.clock import Floats
from kinemill.ingest.columns import Samples
from kinemill.ingest.name_heuristics import STRAIGHT, split_words

WINDOW = 0.5  # s over which a velocity is integrated
DEGREES = 180.0 / np.pi
SPEEDS = {"deg/s": DEGREES, "rpm": 30.0 / np.pi}  # of 1 rad/s


def find_derivatives(columns: list[Column]) -> list[Column]:
    """Find for each velocity the position whose derivative it is."""
    plain = [column for column in columns if column.kind != "quaternion"]
    positions = [column for column in plain if column.guess.what in {"position", "unknown"}]
    return [
        _derivative(column, positions)
        if column.guess.what == "velocity" and column.kind != "quaternion"
        else column
        for column in columns
    ]


def _derivative(column: Column, positions: list[Column]) -> Column:
    candidates = [
        (parent.guess.index != column.guess.index, error, parent, unit)
        for parent in positions
        for error, unit in _follows(column, parent)
    ]
    if not candidates:
        straight = bool(STRAIGHT & set(split_words(column.guess.label or column.guess.name)))
        turning = not straight and any(
            item.kind == "angle" and _same(item, column) for item in positions
        )
        note = ["follows no position in the data"]
        unit = "rad/s" if turning and not column.sure else column.unit
        return replace(column, unit=unit, sure=column.sure or turning, notes=note)
    _, _, parent, log_unit = min(candidates, key=lambda item: item[:2])
    unit = (
        "rad/s" if parent.kind == "angle" else "1/s" if parent.unit == "1" else f"{parent.unit}/s"
    )
    note = [f"in {log_unit}, by {parent.guess.name}"] if log_unit else []
    return replace(
        column,
        unit=unit,
        sure=parent.sure,
        log_unit=log_unit,
        derivative_of=parent.guess.name,
        notes=note,
    )


def _same(one: Column, other: Column) -> bool:
    return one.guess.index == other.guess.index


def _follows(velocity: Column, position: Column) -> Iterator[tuple[float, str | None]]:
    """Yield error and unit of the velocity if its integral follows the position."""
    shared_logs = [log for log in velocity.samples if log in position.samples]
    pairs = [
        _integrals(velocity.samples[log], position.samples[log], position) for log in shared_logs
    ]
    if not pairs:
        return
    integrals = np.concatenate([pair[0] for pair in pairs])
    moved = np.concatenate([pair[1] for pair in pairs])
    rms_motion = float(np.sqrt(np.mean(moved**2))) if len(moved) else 0.0
    if not rms_motion > 0.0:
        return
    scales = SPEEDS if position.kind == "angle" else {}
    for unit, scale in {None: 1.0, **scales}.items():
        error = float(np.sqrt(np.mean((integrals / scale - moved) ** 2))) / rms_motion
        if error < 0.3:
            yield error, unit


def _integrals(velocity: Samples, position: Samples, column: Column) -> tuple[Floats, Floats]:
    """Return over windows the velocity's integral (m,) and the position's difference (m,)."""
    seconds, speed = velocity
    angle = position[1] / (DEGREES if column.log_unit == "deg" else 1.0)
    if len(speed) < 4 or not np.array_equal(seconds, position[0]):
        return np.empty(0), np.empty(0)
    angle = unwrap(angle) if column.kind == "angle" else angle
    steps = np.diff(seconds)
    area = 0.5 * steps * (speed[1:] + speed[:-1])
    # Windows with a gap of the log or a clock reset are left out: the motion there is unknown.
    usual = float(np.median(steps[steps > 0.0])) if (steps > 0.0).any() else 0.0
    unknown = ~np.isfinite(area) | (steps > 5 * usual) | (steps <= 0.0)
    path = np.concatenate(([0.0], np.cumsum(np.where(unknown, 0.0, area))))
    holes = np.concatenate(([0], np.cumsum(unknown)))
    rows = max(1, min(round(WINDOW / usual) if usual else 1, len(speed) // 3))
    integral, moved = path[rows:] - path[:-rows], angle[rows:] - angle[:-rows]
    is_valid = (holes[rows:] == holes[:-rows]) & np.isfinite(moved)
    return integral[is_valid], moved[is_valid]
