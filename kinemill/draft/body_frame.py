"""Rates and velocities in the frame of a vehicle, which are not derivatives of its pose.

A gyro measures p = droll/dt - dyaw/dt sin(pitch), and so on (Diebel 2006, "Representing Attitude"),
and a velocity u along the nose is dx/dt cos(yaw) + dy/dt sin(yaw) on level ground. Near level, and
at a heading of zero, they are close to derivatives. So the difference of a velocity from the
derivative is fitted with the motion along the other axes, times sines and cosines of the attitude,
or the products of the elements of a quaternion. The fit is linear and holds for any sign
convention.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinemill.draft.column import Column
from kinemill.draft.constants import BODY_EXACT, BODY_EXPLAINED, BODY_FEWEST, BODY_USUAL
from kinemill.draft.velocity_fit import fit_line, integrals_of, on_shared_clock
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import LIMBS, is_straight, split_words

ATTITUDE = {"roll", "pitch", "yaw", "phi", "theta", "psi", "heading"}
BY_LETTER = "in the frame of the vehicle, by its letter"
_LETTERS = set("pqruvw")
_LABELS = ("_rate", "velocity_x", "velocity_y", "velocity_z")  # by `letter_names.py`


def body_frame_reason(velocity: Column, position: Column, columns: Sequence[Column]) -> str:
    """Return why a velocity is in the frame of the vehicle; '' if it may be a derivative.

    Args:
        velocity: column that follows the position.
        position: column of an attitude angle, or of a position along an axis.
        columns: all columns of the logs.
    """
    if velocity.guess.label.endswith(_LABELS) and velocity.guess.name[-1] in _LETTERS:
        return BY_LETTER
    angles = [column for column in columns if _is_attitude(column)]
    straight = [column for column in columns if _is_along_axis(column)]
    axes = next((axes for axes in (angles, straight) if position in axes), [])
    attitude = angles or _quaternion(position, columns)
    if len(axes) < 2 or not attitude:
        return ""
    share = _explained(velocity, position, axes, attitude)
    if share < BODY_EXPLAINED:
        return ""
    named = ", ".join(column.full_name for column in angles)
    named = named or f"{attitude[0].full_name} to {attitude[-1].full_name}"
    return (
        f"in the frame of the vehicle: {named} explain {share:.0%} of its difference from the "
        f"slope of {position.full_name}"
    )


def _is_attitude(column: Column) -> bool:
    words = set(split_words(column.full_name))
    return column.kind == "angle" and bool(words & ATTITUDE) and not words & LIMBS


def _is_along_axis(column: Column) -> bool:
    return column.guess.what == "position" and is_straight(column.full_name)


def _quaternion(position: Column, columns: Sequence[Column]) -> list[Column]:
    """Return the elements of the quaternion whose name is most like that of a position."""
    words = {*split_words(position.full_name)}
    elements = [column for column in columns if column.kind == "quaternion"]
    ranked = sorted(elements, key=lambda item: -len(words & {*split_words(item.full_name)}))
    family = split_words(ranked[0].full_name)[:-1] if ranked else []
    return [column for column in elements if split_words(column.full_name)[:-1] == family]


def _explained(
    velocity: Column, position: Column, axes: Sequence[Column], attitude: Sequence[Column]
) -> float:
    """Return the share of the variance of the difference that the attitude explains.

    It is 0 if the difference of the velocity from the derivative is small.
    """
    columns = [position, *(axis for axis in axes if axis is not position), *attitude]
    is_quaternion = attitude[0].kind == "quaternion"
    logs = [_shared_rows(log, velocity, columns) for log in velocity.samples]
    parts = [_windows(rows, len(axes), is_quaternion) for rows in logs if len(rows)]
    line = fit_line([(part[:, 0], part[:, 1]) for part in parts])
    if line is None or sum(map(len, parts)) < BODY_FEWEST:
        return 0.0
    rows = np.concatenate(parts)
    rest = rows[:, 0] - line.ratio * rows[:, 1]
    rest -= np.median(rest)
    # Faults would dominate the variance, so the windows with the largest rest are left out.
    is_usual = np.abs(rest) <= np.quantile(np.abs(rest), BODY_USUAL)
    if np.std(rest[is_usual]) < BODY_EXACT * np.std(line.ratio * rows[:, 1]):
        return 0.0
    inputs = np.column_stack([rows[:, 2:], np.ones(len(rows))])[is_usual]
    rest = rest[is_usual]
    solution, *_ = np.linalg.lstsq(inputs, rest, rcond=None)
    return 1.0 - float(np.var(rest - inputs @ solution) / np.var(rest))


def _shared_rows(log: tuple[Path, str], velocity: Column, columns: Sequence[Column]) -> Floats:
    """Return seconds, velocity and unwrapped columns of a log (n, 2 + columns), angles in rad.

    Empty if the log lacks a column, or has them on several clocks.
    """
    pairs = [
        on_shared_clock(velocity.samples[log], column.samples[log], column)
        for column in columns
        if log in column.samples
    ]
    present = [pair for pair in pairs if pair]
    if len(present) < len(columns) or len({len(pair[0]) for pair in present}) > 1:
        return np.empty((0, 2))
    scales = [column.radians if column.kind == "angle" else 1.0 for column in columns]
    paths = [scale * pair[2] for scale, pair in zip(scales, present, strict=True)]
    rows = np.column_stack([*present[0][:2], *paths])
    return rows[np.isfinite(rows).all(axis=1)]


def _windows(rows: Floats, axes: int, is_quaternion: bool) -> Floats:
    """Return over windows the velocity's integral, the motion, and turned motions, (m, columns).

    The motion along the own axis is multiplied by cos - 1 of each angle, that along others by sin.
    The matrix of a quaternion is linear in the products of its elements: each axis is multiplied by
    all of them.

    Args:
        rows: result of `_shared_rows`: own axis first, then the others, then the attitude.
        axes: number of axes.
        is_quaternion: whether the attitude is a quaternion, and no angles.
    """
    seconds = rows[:, 0]
    speed = rows[:, 1]
    paths = rows[:, 2 : 2 + axes]
    angles = rows[:, 2 + axes :]
    steps = np.diff(paths, axis=0)
    middle = 0.5 * (angles[1:] + angles[:-1])
    factors = [np.cos(middle) - 1.0, *[np.sin(middle)] * (axes - 1)]
    if is_quaternion:
        first, second = np.triu_indices(middle.shape[1])
        factors = [middle[:, first] * middle[:, second]] * axes
    turned = np.concatenate([steps[:, [at]] * weight for at, weight in enumerate(factors)], axis=1)
    sums = np.concatenate([paths[:, :1], np.pad(np.cumsum(turned, axis=0), ((1, 0), (0, 0)))], 1)
    integrals = [integrals_of(seconds, speed, path, 0) for path in sums.T]
    return np.column_stack([integrals[0][0], *(moved for _, moved in integrals)])
