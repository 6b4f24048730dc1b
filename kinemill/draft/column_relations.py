"""Column relations of a draft: four columns are a rotation, an action is a target position."""

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from kinemill.draft.column import Column
from kinemill.draft.constants import (
    RELATION_EXCLUDING,
    RELATION_LENGTH_OFF,
    RELATION_LETTERS,
    RELATION_NEAR,
    RELATION_ROWS,
    RELATION_SAME,
)
from kinemill.draft.table import Table
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import COMMAND, REFERENCE, split_words
from kinemill.ingest.raw import vectors_of

SAME = 1.0 - RELATION_SAME**2  # least explained share of the variance of a computed column
EXCLUDING = 1.0 - (3.0 * RELATION_SAME) ** 2  # the same on a few rows
ELEMENTS = 4  # of a quaternion
AXES = ({"w", "x", "y", "z"}, {"qw", "qx", "qy", "qz"})  # names of elements without an index


def letter_columns(table: Table) -> set[str]:
    """Return the columns of vectors that hold the character codes of a text."""
    return {
        name
        for names in vectors_of(table.values).values()
        if len(names) > 1 and _spell(np.concatenate([table.values[n][1] for n in names]))
        for name in names
    }


def _spell(codes: Floats) -> bool:
    """Return whether (n,) are codes of printable characters, padded with 0, and mostly letters."""
    inked = codes[codes != 0.0]
    if not len(inked) or not np.all((inked == np.round(inked)) & (inked >= 32) & (inked < 127)):
        return False
    spelled = bytes(np.unique(inked).astype(np.uint8))
    most = np.mean(np.isin(inked, [code for code in spelled if chr(code).isalpha()]))
    return bool(most >= RELATION_LETTERS)


def find_differences(
    table: Table, names: Collection[str], references: Collection[str]
) -> dict[str, tuple[str, str]]:
    """Return columns that are the difference of two others, in any unit, and these two.

    Args:
        table: the log.
        names: columns that may be a difference, such as the error of a controller.
        references: columns that may be the first of the two.
    """
    rows = _sampled(table, names)
    order = [*rows]
    errors = [order.index(name) for name in names if name in rows]
    if not errors:
        return {}
    columns = np.stack([*rows.values()])
    single = _shares(columns, columns[errors])
    subset = columns[:, :: RELATION_ROWS // RELATION_EXCLUDING]  # exclude most pairs
    pairs = dict[str, tuple[str, str]]()
    for first in (order.index(name) for name in references if name in rows):
        for second, at in np.argwhere(_shares(subset[first] - subset, subset[errors]) > EXCLUDING):
            error = errors[at]
            difference = columns[first] - columns[[second]]
            is_alone = max(single[first, at], single[second, at]) > SAME  # it tracks its reference
            if not is_alone and _shares(difference, columns[[error]])[0, 0] > SAME:
                pairs[order[error]] = (order[first], order[second])
    return pairs


def find_powers(table: Table, names: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return columns that are the product of two others, in any unit, and these two."""
    rows = _sampled(table, names)
    factors = {name: values for name, values in rows.items() if name not in names}
    pairs = dict[str, tuple[str, str]]()
    for power in (name for name in names if name in rows and factors):
        columns = np.stack([*factors.values()])
        shares = np.stack([_shares(v * columns, rows[power][None])[:, 0] for v in columns])
        first, second = divmod(int(shares.argmax()), len(columns))
        if shares[first, second] > SAME:
            pairs[power] = ([*factors][first], [*factors][second])
    return pairs


def _sampled(table: Table, names: Collection[str]) -> dict[str, Floats]:
    """Return all columns that change at some timestamps of the first of `names`, (rows,)."""
    if not names:
        return {}
    seconds = table.values[next(iter(names))][0]
    at = seconds[np.linspace(0, len(seconds) - 1, min(len(seconds), RELATION_ROWS)).astype(int)]
    sampled = dict[str, Floats]()
    for name, (times, values) in table.values.items():
        is_finite = np.isfinite(values)
        if is_finite.any():
            sampled[name] = np.interp(at, times[is_finite], values[is_finite])
    return {name: values for name, values in sampled.items() if np.ptp(values) > 0.0}


def _shares(columns: Floats, values: Floats) -> Floats:
    """Return the share of the variance of each of (k, rows) that each of (n, rows) explains."""
    first, second = [
        centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-300)
        for rows in (columns, values)
        for centered in [rows - rows.mean(axis=1, keepdims=True)]
    ]
    return np.asarray((first @ second.T) ** 2, np.float64)


def rotation_elements(table: Table) -> set[str]:
    """Return the elements of quaternions, also the constant ones of a planar robot."""
    names = list(table.values)
    starts = _rotations(names, [[values for _, values in table.values.values()]])
    return {name for start in starts for name in names[start : start + ELEMENTS]}


def find_quaternions(columns: list[Column]) -> list[Column]:
    """Return columns with the kind `quaternion` for four consecutive ones of unit length."""
    logs = [[c.samples[log][1] for c in columns] for log in columns[0].samples] if columns else []
    starts = _rotations([column.full_name for column in columns], logs)
    elements = {start + offset for start in starts for offset in range(ELEMENTS)}
    return [
        replace(column, kind="quaternion", unit="1", sure=True) if at in elements else column
        for at, column in enumerate(columns)
    ]


def _rotations(names: list[str], logs: list[list[Floats]]) -> Iterator[int]:
    """Yield the first of each four consecutive columns that are a quaternion in all logs."""
    start = 0
    while start + ELEMENTS <= len(names):
        part = slice(start, start + ELEMENTS)
        is_rotation = _are_elements(names[part], [values[part] for values in logs]) and all(
            _has_unit_length(values[part]) for values in logs
        )
        if is_rotation:
            yield start
        start += ELEMENTS if is_rotation else 1


def _are_elements(names: list[str], logs: list[list[Floats]]) -> bool:
    """Return whether names differ in their last word only, an index or an axis, and enough change.

    Two elements change where a robot turns around one axis. In the middle of a longer vector these
    may be the sine and the cosine of an angle.
    """
    parts = [split_words(name) for name in names]
    if len({tuple(part[:-1]) for part in parts}) != 1 or not all(parts):
        return False
    last = [part[-1] for part in parts]
    first = int(last[0]) if last[0].isdigit() else 0
    in_order = last == [str(first + index) for index in range(ELEMENTS)]
    if not (in_order or set(last) in AXES):
        return False
    columns = (np.concatenate(values) for values in zip(*logs, strict=True))
    n_changing = sum(len(np.unique(values[np.isfinite(values)])) > 1 for values in columns)
    return n_changing >= (2 if first == 0 else 3)


def _has_unit_length(values: list[Floats]) -> bool:
    """Return whether vectors of four elements (n,) have the length 1 in every finite row."""
    if len({len(value) for value in values}) != 1:
        return False
    length = np.sqrt(np.sum(np.square(values), axis=0))
    return bool(np.all(np.abs(length[np.isfinite(length)] - 1.0) <= RELATION_LENGTH_OFF))


def name_targets(columns: list[Column]) -> list[Column]:
    """Return columns in which an action has the unit of the angle that has its name and follows it.

    An action with a stated unit keeps it.
    """
    return [_target(column, columns) for column in columns]


def _target(action: Column, columns: list[Column]) -> Column:
    if action.guess.role != "action" or action.guess.unit:
        return action
    name = [token for token in split_words(action.full_name) if token not in COMMAND | REFERENCE]
    angles = (column for column in columns if column.kind == "angle")
    named = (column for column in angles if split_words(column.full_name) == name)
    position = next((column for column in named if _is_near(action, column)), None)
    if position is None:
        return action
    note = f"guessed {position.unit}: a target of the position of that name"
    notes = [*action.notes, note]
    return replace(action, unit=position.unit, sure=True, log_unit=position.log_unit, notes=notes)


def _is_near(action: Column, position: Column) -> bool:
    """Return whether all logs that have both columns agree, row by row."""
    shared_logs = [log for log in action.samples if log in position.samples]
    pairs = [(action.samples[log][1], position.samples[log][1]) for log in shared_logs]
    if not pairs or any(len(first) != len(second) for first, second in pairs):
        return False
    commanded, reached = (np.concatenate(side) for side in zip(*pairs, strict=True))
    is_finite = np.isfinite(commanded) & np.isfinite(reached)
    return bool(
        np.sum((commanded[is_finite] - reached[is_finite]) ** 2)
        <= RELATION_NEAR**2 * np.sum(reached[is_finite] ** 2)
    )
