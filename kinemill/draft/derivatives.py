"""Derivatives of a draft: which velocity is the derivative of which position, from the data.

The integral of a velocity over short windows follows its position. A robust line through all
windows gives the factor between the two, which determines the units: 57.3 is deg/s against rad, 1/6
is rpm against deg. Windows that agree with the line must be a majority; so a log with faults still
shows the relation, and `derivative_of` keeps the checks on that find these faults. A late velocity
is shifted first. Windows across a clock reset or a gap are skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kinemill.draft.body_frame import body_frame_reason
from kinemill.draft.column import Column
from kinemill.draft.constants import (
    COMPARED_LOGS,
    DERIVATIVE_HOPELESS,
    DERIVATIVE_LATE,
    DERIVATIVE_MAJORITY,
    DERIVATIVE_MANY,
    DERIVATIVE_NEAR,
    DERIVATIVE_SAME,
    DERIVATIVE_SURE,
)
from kinemill.draft.table import usual_step
from kinemill.draft.velocity_fit import (
    Line,
    fit_line,
    integrals_of,
    likely_pairs,
    on_shared_clock,
    usual_delay,
)
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import (
    ANGULAR,
    POSITION,
    VELOCITY,
    is_straight,
    split_words,
)
from kinemill.task.units import factor, is_derivative

UNITS = {  # velocity units by position unit
    "rad": ("rad/s", "deg/s", "rpm"),
    "deg": ("deg/s", "rad/s", "rpm"),
    "m": ("m/s", "mm/s", "cm/s", "km/h"),
    "mm": ("mm/s", "m/s", "cm/s"),
    "cm": ("cm/s", "m/s", "mm/s"),
}
# Units of an unknown position and its velocity. Each pair has a unique factor, but turns against
# rpm, 60, is close to rad against deg/s: it comes last, for velocities with a stated unit.
TELLING = (
    *(("rad", "deg/s"), ("deg", "rad/s"), ("rad", "rpm"), ("deg", "rpm")),
    *(("m", "mm/s"), ("mm", "m/s"), ("turn", "rpm")),
)


@dataclass(frozen=True)
class Relation:
    """A velocity as the derivative of a position.

    Attributes:
        position: name of its column.
        units: units of position and velocity in the log; None if they are unknown.
        sign: -1 if the velocity counts in the other direction.
        share: share of the windows with motion that agree.
        late: delay of the velocity, s.
        body: why the velocity is in the frame of a vehicle and only close to a derivative; or "".
    """

    position: str
    units: tuple[str, str] | None
    sign: float
    share: float
    late: float
    body: str = ""


def find_derivatives(columns: list[Column]) -> list[Column]:
    """Return columns with the position of each velocity, and with the units of both.

    Relations and units follow from the samples, see the module's docstring.
    """
    plain = [column for column in columns if column.kind != "quaternion"]
    states = [column for column in plain if column.guess.role == "state"]
    positions = [column for column in states if column.guess.what in {"position", "unknown"}]
    unnamed = [column for column in positions if column.guess.what == "unknown"]
    likely = likely_pairs(unnamed) if len(positions) >= DERIVATIVE_MANY else None
    relations = dict[str, Relation]()
    for column in states:
        if column.guess.what in {"velocity", "unknown"} and (
            best := _best(column, [item for item in positions if item is not column], likely)
        ):
            relations[column.guess.name] = best
    relations = _best_velocities(relations)
    by_name = {column.guess.name: column for column in columns}
    # A column that is a velocity by its data has no velocity among its positions.
    relations = {
        name: relation
        for name, relation in relations.items()
        if relation.position not in relations or by_name[name].guess.what == "velocity"
    }
    relations = {
        name: _in_body_frame(relation, by_name[name], by_name[relation.position], columns)
        for name, relation in relations.items()
    }
    turned = {relation.position: relation for relation in relations.values() if relation.units}
    placed = {
        column.guess.name: _position(column, turned.get(column.guess.name)) for column in columns
    }
    result = [
        _velocity(placed[name], relations.get(name), list(placed.values())) for name in placed
    ]
    related = [column for column in result if column.guess.name in relations]
    return [
        column if column.guess.name in relations else _as_vector(column, related)
        for column in result
    ]


def _in_body_frame(
    relation: Relation, velocity: Column, position: Column, columns: list[Column]
) -> Relation:
    """Return a relation with the reason why the velocity is in the frame of the vehicle, if it is.

    The heading decides then about the sign along an axis of the world.
    """
    body = body_frame_reason(velocity, position, columns)
    is_turned = bool(body) and is_straight(position.full_name)
    return replace(relation, body=body, sign=1.0 if is_turned else relation.sign)


def _as_vector(column: Column, related: list[Column]) -> Column:
    """Return an angular velocity without a position in the unit of the others of its vector."""
    units = {
        velocity.log_unit
        for velocity in related
        if velocity.unit == "rad/s" and velocity.family == column.family
    }
    unit = units.pop() if len(units) == 1 else None
    if unit is None or column.unit != "rad/s" or column.sure:
        return column
    note = f"guessed {unit}: another velocity of the vector is"
    return replace(column, log_unit=unit, notes=[*column.notes, note])


def _best_velocities(relations: dict[str, Relation]) -> dict[str, Relation]:
    """Return the relations without a second, less certain velocity of one position."""
    best = dict[str, float]()
    for relation in relations.values():
        best[relation.position] = max(relation.share, best.get(relation.position, 0.0))
    return {
        name: relation
        for name, relation in relations.items()
        if relation.share >= min(DERIVATIVE_SURE, best[relation.position])
    }


def _best(
    velocity: Column, positions: list[Column], likely: set[tuple[str, str]] | None
) -> Relation | None:
    """Return the relation to the position with the same number, similar words, and agreement.

    Args:
        velocity: column that may be a velocity.
        positions: columns of which it may be the derivative.
        likely: names of velocities and positions without descriptive names; None: any two.
    """
    named = velocity.guess.what == "velocity"
    ranked = [
        (
            position.guess.index != velocity.guess.index,
            -_shared_words(velocity, position),
            -relation.share,
            relation,
        )
        for position in positions
        if named
        or position.guess.what == "position"
        or likely is None
        or (velocity.guess.name, position.guess.name) in likely
        for relation in _relation(
            velocity, position, DERIVATIVE_MAJORITY if named else DERIVATIVE_SURE
        )
    ]
    return min(ranked, key=lambda item: item[:3])[3] if ranked else None


def _shared_words(velocity: Column, position: Column) -> int:
    """Return the number of words that two names share, such as the joint's."""
    words = [set(split_words(item.full_name)) for item in (velocity, position)]
    return len((words[0] & words[1]) - POSITION - VELOCITY)


def _relation(velocity: Column, position: Column, least: float) -> Iterator[Relation]:
    """Yield how the velocity follows the position, if it does in enough windows."""
    logs = [log for log in velocity.samples if log in position.samples]
    named = velocity.guess.what == "velocity"
    if named and position.guess.turning and is_straight(velocity.full_name):
        return
    logs = logs if named else logs[:COMPARED_LOGS]  # any two columns may be such a pair
    if _contradict(velocity, position):
        return
    # The first logs exclude most pairs of many.
    first = _fit(velocity, position, logs[:COMPARED_LOGS])
    if first is not None and first[0].share < DERIVATIVE_HOPELESS * least:
        return
    fitted = _fit(velocity, position, logs) if len(logs) > COMPARED_LOGS else first
    if fitted is None or fitted[0].share < least:
        return
    line, late = fitted
    ratio = line.ratio
    units, unit_factor = _units_of(velocity, position, ratio)
    is_converted = units is not None and position.kind != "angle"
    is_stated = bool(velocity.guess.unit and position.guess.unit)  # and no contradiction
    is_sure = named or (is_stated and units is not None)
    if not is_sure and (is_converted or not _is_close(ratio, 1.0, DERIVATIVE_SAME)):
        return
    if unit_factor:
        sign = -1.0 if ratio < 0.0 else 1.0
        yield Relation(position.guess.name, units, sign, line.share, late)


def _fit(
    velocity: Column, position: Column, logs: list[tuple[Path, str]]
) -> tuple[Line, float] | None:
    """Return the line through the windows of logs, and the delay of the velocity, s."""
    shared = [
        pair
        for log in logs
        if (pair := on_shared_clock(velocity.samples[log], position.samples[log], position))
    ]
    line = fit_line([integrals_of(*pair, 0) for pair in shared])
    return None if line is None else _shifted(shared, line)


def _shifted(shared: list[tuple[Floats, Floats, Floats]], line: Line) -> tuple[Line, float]:
    """Return the line after a shift by the usual delay, s, if more windows agree then."""
    late = usual_delay(shared, line)
    if abs(late) <= DERIVATIVE_LATE:
        return line, 0.0
    delayed = fit_line([integrals_of(*pair, round(late / usual_step(pair[0]))) for pair in shared])
    return (delayed, late) if delayed and delayed.share > line.share else (line, 0.0)


def _contradict(velocity: Column, position: Column) -> bool:
    """Return whether a column states a unit, such as percent, that no velocity of it has."""
    unit = velocity.guess.unit
    of = position.guess.unit
    return bool(unit and of) and not is_derivative(unit or "1", of or "1")


def _units_of(
    velocity: Column, position: Column, ratio: float
) -> tuple[tuple[str, str] | None, float | None]:
    """Return the units of position and velocity that explain a factor, and their own factor."""
    stated = position.guess.unit or (position.log_unit if position.sure else None)
    turning = position.kind == "angle" or position.guess.turning
    source = stated or ("rad" if turning else "")
    rate = velocity.guess.unit
    is_rate = bool(source and rate and is_derivative(rate, source))
    for unit in (rate or "",) if is_rate else UNITS.get(source, ()):
        if _allowed(velocity, unit) and _is_close(ratio, _between(source, unit)):
            return (source, unit), _between(source, unit)
    if not stated:
        for source, unit in TELLING:
            if _allowed(velocity, unit) and _is_close(ratio, _between(source, unit), 0.1):
                return (source, unit), _between(source, unit)
    return None, 1.0 if _is_close(ratio, 1.0) else None


def _allowed(velocity: Column, unit: str) -> bool:
    return velocity.guess.unit in {None, unit}


def _between(position: str, velocity: str) -> float:
    """Return the number of a velocity unit in one position unit per second."""
    return factor(f"{position}/s", velocity)[0]


def _is_close(ratio: float, unit_factor: float, tolerance: float = DERIVATIVE_NEAR) -> bool:
    return abs(abs(ratio) / unit_factor - 1.0) <= tolerance


def _position(column: Column, relation: Relation | None) -> Column:
    """Return a position with the unit derived from its velocity, if its name states none."""
    if relation is None or relation.units is None or column.guess.unit:
        return column
    unit = relation.units[0]
    if unit in {"rad", "deg"}:
        if column.kind == "angle" and (column.log_unit or "rad") == unit:
            return column
        log_unit = "deg" if unit == "deg" else None
        note = [*column.notes, f"in {unit}, by its velocity"]
        return replace(column, kind="angle", unit="rad", sure=True, log_unit=log_unit, notes=note)
    return replace(column, unit=unit, sure=True, notes=[*column.notes, "by its velocity"])


def _velocity(column: Column, relation: Relation | None, placed: list[Column]) -> Column:
    """Return a velocity with its position, units, and unusual findings."""
    if relation is None:
        return _unrelated(column, placed) if column.guess.what == "velocity" else column
    parent = next(item for item in placed if item.guess.name == relation.position)
    position_indices = {item.guess.index for item in placed if item.guess.what == "position"}
    position_indices -= {parent.guess.index}
    unit = "rad/s" if parent.kind == "angle" else f"{parent.unit}/s"
    fitted_unit = relation.units[1] if relation.units else None
    log_unit = fitted_unit if fitted_unit and fitted_unit != unit else None
    return replace(
        column,
        unit=unit,
        sure=parent.sure,
        log_unit=log_unit,
        scale=relation.sign,
        derivative_of=None if relation.body else relation.position,
        notes=[*column.notes, *_notes(column, parent, position_indices, relation, log_unit)],
    )


def _notes(
    column: Column,
    parent: Column,
    position_indices: set[str],
    relation: Relation,
    log_unit: str | None,
) -> Iterator[str]:
    if log_unit:
        yield f"in {log_unit}, by {relation.position}"
    if relation.sign < 0.0:
        yield f"its sign is opposite to the slope of {relation.position}"
    if relation.body:
        yield relation.body
        return
    if relation.share < DERIVATIVE_SURE:
        yield f"follows {relation.position} in {relation.share:.0%} of the windows with motion"
    if relation.late:
        when = "after" if relation.late > 0.0 else "before"
        yield f"comes {abs(relation.late):.2g} s {when} the slope of {relation.position}"
    if column.guess.index and parent.guess.index and column.guess.index in position_indices:
        yield f"follows {relation.position}, not the position with its number: swapped columns?"


def _unrelated(column: Column, columns: list[Column]) -> Column:
    positions = [item for item in columns if item.guess.what in {"position", "unknown"}]
    is_angular = bool(ANGULAR & set(split_words(column.full_name)))
    is_beside_angle = not is_straight(column.full_name) and any(
        item.kind == "angle" and item.guess.index == column.guess.index for item in positions
    )
    is_turning = is_angular or is_beside_angle
    unit = "rad/s" if is_turning and not column.sure else column.unit
    return replace(column, unit=unit, notes=[*column.notes, "follows no position in the data"])
