"""Draft builder: a first task file from the columns of logs, with every inference marked.

Any format with a reader is supported (`schema_inference.py`). Variants of one quantity (measured,
filtered) become one channel. Plans and constant columns are omitted and named in comments. A
velocity is the derivative of a position if its integral follows the position in most of the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinemill.draft.column import Column, name_channels
from kinemill.draft.column_relations import find_quaternions, name_targets
from kinemill.draft.constants import (
    ANGLE_DEGREES,
    ANGLE_FEWEST_COUNTS,
    ANGLE_FEWEST_WHOLE,
    ANGLE_FULL,
    ANGLE_PERCENT,
    ANGLE_RARE,
    COMPARED_ROWS,
    DOUBT_LOGS,
    GYRO_LARGEST,
    SENTINEL_FAR,
)
from kinemill.draft.derivatives import find_derivatives
from kinemill.draft.horizon import NO_HORIZON, find_horizon
from kinemill.draft.input_evidence import infer_inputs
from kinemill.draft.log_units import without_mixed_units
from kinemill.draft.logs import name_columns, read_tables
from kinemill.draft.ranges import with_range
from kinemill.draft.robot_file import RobotFile
from kinemill.draft.rules import without_flags
from kinemill.draft.selection import choose_all, join_columns, with_common_columns
from kinemill.draft.stated_limits import (
    match_joints,
    with_log_limits,
    with_robot_units,
    with_stated_limits,
)
from kinemill.draft.table import Table
from kinemill.draft.task_draft_writer import Draft, write_task
from kinemill.draft.timing import bridged_gap, motion_step, time_step
from kinemill.errors import BadInput, join_first
from kinemill.ingest.channels import TURN
from kinemill.ingest.clock import Floats
from kinemill.ingest.header_units import stated_unit
from kinemill.ingest.name_heuristics import (
    DEFAULT_UNITS,
    JOINTS,
    LIMBS,
    POSITION,
    is_straight,
    split_words,
)
from kinemill.task.float_precision import far_from_zero, place_near


def draft(name: str, source: Path, rate: float | None = None) -> str:
    """Return the draft of a task as the text of a task file; arguments and errors as in `build`."""
    return write_task(build(name, source, rate))


def build(
    name: str,
    source: Path,
    rate: float | None = None,
    robot: RobotFile | None = None,
    *,
    is_policy: bool = False,
    names: Sequence[str] = (),
) -> Draft:
    """Draft the task `name` from a log, or from all logs of a folder.

    Args:
        name: name of the new task.
        source: a log of any format that has a reader, or a folder of them.
        rate: rows per second, Hz, of logs without timestamps that do not state it.
        robot: joint limits that are hard limits of the channels.
        is_policy: whether a policy learns from the logs: then goals are observed, and no column
            has to be a state or an action.
        names: names of the columns of logs without names, such as an array, in order.

    Raises:
        BadInput: There is no log of such a format, none of its columns can be learned, or `names`
            does not fit.
        BadLog: The only log cannot be read.
    """
    read = read_tables(source, rate)
    candidates = [name_columns(table, names) if names else table for table in read.tables]
    selected = list(zip(candidates, choose_all(candidates, is_policy=is_policy), strict=True))
    selected, mixed = without_mixed_units(selected, source)
    used, unused, optional = with_common_columns(selected)
    tables = [table for table, _ in used]
    columns, left_out = join_columns(used, optional)
    columns = _without_second_positions(columns)
    if not is_policy and not any(column.guess.role == "state" for column in columns):
        raise _no_state(source, left_out, read.problems)
    no_action = ""
    if not is_policy:
        columns, no_action = infer_inputs([_output(column) for column in columns])
        columns, flags = without_flags(columns)
        left_out |= flags
    step = max(table.step for table in tables)
    columns = [_with_stated_unit(column) for column in _angles(find_quaternions(columns))]
    joints = match_joints(columns, robot) if robot else {}
    columns = with_robot_units(columns, joints, robot) if robot else columns
    related = _doubted(name_targets(find_derivatives(columns)), tables)
    related = [_offset(column) for column in related]
    related.sort(key=lambda column: column.guess.role == "action")
    channels = name_channels(related)
    channels, stated = with_stated_limits(channels, joints, robot) if robot else (channels, [])
    channels = [with_range(with_log_limits(column)) for column in channels]
    # A policy acts at the rate of its demonstrations, and a draft at that of `--rate`.
    is_stated = rate is not None and any(table.meeting == 1.0 / rate for table in tables)
    motion = step if is_policy or is_stated else motion_step(channels, step)
    dt = time_step(tables, motion)
    if motion > step:  # what acts within one row of the log acts within the first step
        channels = [replace(column, lead=0) for column in channels]
    return Draft(
        name,
        tables,
        dt,
        step,
        channels,
        left_out,
        read.problems | mixed | unused,
        bridged_gap(channels, dt),
        no_action=no_action,
        joints=stated,
        remarks=list(dict.fromkeys(remark for table in tables for remark in table.remarks)),
        exclude=[*read.exclude, *mixed],
        averages=motion > step,
        horizon=NO_HORIZON if is_policy else find_horizon(channels, dt),
    )


def _no_state(source: Path, left_out: Mapping[str, str], problems: Mapping[str, str]) -> BadInput:
    """Return the error of logs without a state, with reasons of columns and of the first log."""
    named = ", ".join(f"{name} ({why})" for name, why in left_out.items())
    refused = [f"; not used: {log}: {why}" for log, why in problems.items()]
    return BadInput(
        source,
        f"no column can be a state; left out are {named or 'none'}{''.join(refused[:1])}",
        expected="numbers that change, such as positions and velocities",
        fix="name a log that has some, or write the task by hand: docs/task-file.md",
    )


def _output(column: Column) -> Column:
    """Make an acceleration or a sensor reading an output: a dynamics model predicts it."""
    role = "output" if column.role == "observation" else column.guess.role
    return replace(column, guess=replace(column.guess, role=role))


def _angles(columns: list[Column]) -> list[Column]:
    """Recognize angles: by name, by a torque on the same joint, or by a range of one turn."""
    torques = {
        column.guess.index
        for column in columns
        if {"tau", "torque", "torques", "effort"} & set(column.guess.family.split())
    }
    # A torque acts on one joint: next to joint_position[0], cartesian_position[0] is none.
    torques -= {
        column.guess.index
        for column in columns
        if column.guess.what == "position" and column.guess.turning and column.role == "state"
    }
    angles = [
        column if column.kind == "quaternion" else _counted(column) or _angle(column, torques)
        for column in columns
    ]
    angles = _limbs(angles)
    degrees = {
        column.family for column in angles if column.log_unit == "deg" and not column.guess.unit
    }
    return [_in_degrees(column) if column.family in degrees else column for column in angles]


def _limbs(columns: list[Column]) -> list[Column]:
    """Correct joints of limbs without a unit that would turn twice if their values were in rad.

    LeRobot's arms have degrees, or percent of the range of a joint (-100 to 100).
    """
    far = [column for column in columns if _is_limb(column) and _largest(column) > 2.0 * TURN]
    if not far:
        return columns
    families = {column.family for column in far}
    largest = max(map(_largest, far))
    is_degrees = ANGLE_PERCENT < largest < ANGLE_DEGREES
    note = f"not rad: the values reach {largest:.4g}" + ("" if is_degrees else ", maybe percent")
    percent = {"kind": "linear", "unit": "1", "sure": False}
    changes = {"log_unit": "deg"} if is_degrees else percent
    return [
        replace(column, notes=[note], **changes)
        if _is_limb(column) and column.family in families
        else column
        for column in columns
    ]


def _is_limb(column: Column) -> bool:
    """Return whether a column is the angle of a limb's joint that states no unit."""
    is_named = bool(LIMBS & set(split_words(column.full_name)))
    return is_named and column.kind == "angle" and not (column.guess.unit or column.log_unit)


def _in_degrees(column: Column) -> Column:
    """Return an angle in degrees, because another angle of its vector is."""
    if column.kind != "angle" or column.log_unit or column.guess.unit or column.notes:
        return column
    return replace(column, log_unit="deg", notes=["guessed deg: another angle of the vector is"])


def _angle(column: Column, torques: set[str]) -> Column:
    name_guess = column.guess
    span = float(np.ptp(column.values))
    along = is_straight(column.full_name)  # a distance along x may be 6.28 m
    is_unnamed = along or name_guess.what == "unknown"
    is_turn = is_unnamed and column.role == "state" and _wraps(column, span)
    is_other = name_guess.unit not in {None, "rad", "deg"} or bool(name_guess.doubt)
    if (name_guess.what != "position" and not is_turn) or is_other:
        return column
    angle = replace(column, kind="angle", unit="rad", sure=True)
    if name_guess.unit == "deg" or (340.0 < span < 361.0 and (is_turn or not along)):
        note = [] if name_guess.unit else [f"guessed deg: the range is {span:.4g}"]
        return replace(angle, log_unit="deg", notes=note)
    if name_guess.unit == "rad" or name_guess.turning:
        return angle
    if name_guess.index in torques and (name_guess.index or not along):
        return replace(angle, notes=["inferred an angle: a torque acts on it"])
    if 0.9 * TURN < span < TURN + 0.1 and (is_turn or not along):
        return replace(angle, notes=["inferred an angle: the range is one turn"])
    return column


def _counted(column: Column) -> Column | None:
    """Return a position in whole numbers: counts that wrap, degrees up to a turn, other counts.

    An angle in rad has few whole numbers.
    """
    name_guess = column.guess
    angle = replace(column, kind="angle", unit="rad", sure=True)
    if (period := _register(column)) is not None:
        note = f"counts that wrap at {period}: one turn of this angle is {period} counts"
        return replace(angle, scale=TURN / period, notes=[note])
    if name_guess.what != "position" or name_guess.unit or not _is_whole(column.values):
        return None
    largest = _largest(column)
    if largest <= 360.0 and name_guess.turning:
        return replace(angle, log_unit="deg", notes=["guessed deg: whole numbers within a turn"])
    return replace(column, notes=[f"whole numbers to {largest:.0f}: counts of a sensor?"])


def _is_whole(values: Floats) -> bool:
    """Return whether samples (n,) are several different whole numbers, as counts are."""
    return not np.mod(values, 1.0).any() and len(np.unique(values)) >= ANGLE_FEWEST_WHOLE


def _register(column: Column) -> int | None:
    """Return the size of an encoder's register, a power of two; None for other columns."""
    span = float(np.ptp(column.values))
    is_state = column.role == "state" and not column.guess.unit
    if not is_state or span < ANGLE_FEWEST_COUNTS or np.mod(column.values, 1).any():
        return None
    period = 2 ** int(np.ceil(np.log2(span + 1.0)))
    if span < ANGLE_FULL * period:
        return None
    samples = column.samples.values()
    steps = np.concatenate([np.diff(values[np.isfinite(values)]) for _, values in samples])
    n_jumps = int(np.count_nonzero(np.abs(steps) > 0.5 * period))
    short = (steps + 0.5 * period) % period - 0.5 * period
    is_motion = np.ptp(short) > 0.0 and np.abs(short).max() < 0.25 * period  # no row counter
    return period if is_motion and 0 < n_jumps < ANGLE_RARE * len(steps) else None


def _wraps(column: Column, span: float) -> bool:
    """Return whether the range is one turn, and the values jump from one end to the other.

    Integers, such as the number of a mode, are not radians.
    """
    is_turn = 0.9 * TURN < span < TURN + 0.1 and np.mod(column.values, 1.0).any()
    if not (is_turn or 340.0 < span < 361.0):
        return False
    jumps = [np.abs(np.diff(values)) > 0.9 * span for _, values in column.samples.values()]
    return 0 < sum(map(np.count_nonzero, jumps)) < ANGLE_RARE * sum(map(len, jumps))


def _with_stated_unit(column: Column) -> Column:
    unit = column.guess.unit
    return replace(column, unit=unit, sure=True) if unit and not column.sure else column


def _without_second_positions(columns: list[Column]) -> list[Column]:
    """Return columns; `hip_flow` is no position of a hip that has a column `hip_pos`."""
    words = {column.guess.name: frozenset(split_words(column.full_name)) for column in columns}
    positions = [column.guess.name for column in columns if column.guess.what == "position"]
    explicit = POSITION - JOINTS  # words that name a position, not only a joint
    joints = [words[name] - explicit for name in positions if words[name] & explicit]
    joints = [joint for joint in joints if joint & JOINTS]
    second = {
        name
        for name in positions
        if not words[name] & explicit and any(joint < words[name] for joint in joints)
    }
    unknown = {"what": "unknown", "turning": False, "rule": "change"}
    return [
        replace(column, guess=replace(column.guess, **unknown))
        if column.guess.name in second
        else column
        for column in columns
    ]


def _doubted(columns: list[Column], tables: list[Table]) -> list[Column]:
    """Ask for the unit of angles that turn twice if in rad, and of efforts in whole numbers.

    An angle is in rad if a velocity that states a unit is its derivative. Others of one family are
    in one unit.
    """
    sure = {column.derivative_of for column in columns if column.guess.unit}
    stated = {name for table in tables for name in table.values if table.attributes_of(name).unit}
    doubts = dict[str, str]()
    angles = [
        column
        for column in columns
        if column.kind == "angle" and _is_plain(column) and column.guess.name not in sure
    ]
    for column in angles:
        if text := _turns([angle for angle in angles if angle.family == column.family]):
            doubts[column.guess.name] = text
    for column in columns:
        largest = _largest(column)
        is_plain = _is_plain(column)
        is_default = column.guess.unit in DEFAULT_UNITS and stated_unit(column.full_name) is None
        if is_plain and "gyro" in split_words(column.full_name) and largest > GYRO_LARGEST:
            doubts[column.guess.name] = f"the values reach {largest:.4g}: in deg/s?"
        elif is_default and not stated & {*column.names} and _is_whole(column.values):
            doubts[column.guess.name] = f"whole numbers to {largest:.0f}: counts or permille?"
        if text := _sentinel(column.values):
            doubts[column.guess.name] = text
    return [
        replace(column, sure=False, notes=[*column.notes, doubts[column.guess.name]])
        if column.guess.name in doubts
        else column
        for column in columns
    ]


def _turns(family: list[Column]) -> str:
    """Return a question if some of a family of angles turn twice, and in which logs they do."""
    largest = dict[str, float]()
    for angle in family:
        for (path, _), (_, values) in angle.samples.items():
            reached = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
            largest[path.name] = max(reached, largest.get(path.name, 0.0))
    far = [log for log, reached in largest.items() if reached > 2.0 * TURN]
    if not far:
        return ""
    where = f" in {join_first(far, DOUBT_LOGS)} alone" if 2 * len(far) < len(largest) else ""
    whose = " of such angles" if len(family) > 1 else ""
    return f"the values{whose} reach {max(largest.values()):.4g}{where}: in deg?"


def _largest(column: Column) -> float:
    return float(np.abs(column.values).max()) if len(column.values) else 0.0


def _is_plain(column: Column) -> bool:
    """Return whether nothing states the unit of a column, and its values are taken as they are."""
    return not (column.guess.unit or column.log_unit) and column.scale == 1.0


def _sentinel(values: Floats) -> str:
    """Return a question if samples (n,) repeat one value far from all others: a missing value."""
    for extreme in (values.min(), values.max()) if len(values) else ():
        rest = values[values != extreme]
        count = len(values) - len(rest)
        if 1 < count < len(rest) and len(np.unique(rest[:COMPARED_ROWS])) >= ANGLE_FEWEST_WHOLE:
            distance = np.abs(rest - extreme).min()
            if distance > SENTINEL_FAR * np.ptp(rest):
                return f"{count} rows hold {extreme:g}, far from the others: a missing value?"
    return ""


def _offset(column: Column) -> Column:
    """Set an offset for values far from zero, such as UTM positions, as float32 is too coarse."""
    if column.kind != "linear" or column.units:  # one offset is in one unit
        return column
    values = column.values
    changes = [np.diff(values) for _, values in column.samples.values()]
    change = np.concatenate(changes)
    change = change[np.isfinite(change)]
    if not len(change) or not far_from_zero(values, float(change.std())):
        return column
    origin = place_near(values)
    note = f"counts from {origin:.15g}: float32 would lose its motion"
    return replace(column, offset=-origin, notes=[*column.notes, note])
