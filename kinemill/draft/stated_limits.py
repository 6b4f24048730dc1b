"""Stated limits of a draft: those of a robot file for its joints, and valid ranges of the logs.

A column belongs to the joint whose name it has, without words such as `pos`, `tau` or `joint`. A
limit of a robot file or of the metadata of the logs is a hard limit of the channel, unless most
logs contradict it: then a unit, a name or the file is wrong, and the draft reports it instead of
cutting most logs. A robot file takes precedence over the logs.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kinemill.draft.column import Column, Floats
from kinemill.draft.constants import LIMIT_CONTRADICTED, LIMIT_FARTHER, LIMIT_RARE, LIMIT_ROUNDING
from kinemill.draft.robot_file import Ends, JointLimits, RobotFile, narrowest
from kinemill.errors import BadInput, join_first
from kinemill.ingest.name_heuristics import split_words
from kinemill.ingest.terms import word_set
from kinemill.task.units import factor

UNKNOWN_UNIT = "the unit of the channel is unknown: state it, and draft again"
MOST_NAMES = 5  # logs that a finding names
# Words that name the quantity of a joint, or mark a joint.
GENERIC = word_set("""pos position positions q qpos angle angles theta th vel velocity velocities
    qd dq qvel omega speed rate tau torque torques effort force u ctrl control controls cmd
    command action actions act target des desired ref meas measured con filt filtered est raw
    state states obs observation observations joint joints motor actuator servo link rad deg nm
    dof data""")


@dataclass(frozen=True)
class LimitFinding:
    """Limits of one channel in a robot file, or the reason why a joint limits none.

    Attributes:
        joint: name of the joint.
        channel: channel of the draft; empty if the joint has none.
        limits: range in the channel's unit; empty if there is none.
        finding: the conclusion.
        is_notable: whether it is a comment in the task file, because the stated limit was not
            applied.
    """

    joint: str
    channel: str
    limits: str
    finding: str
    is_notable: bool = True


def match_joints(columns: list[Column], robot: RobotFile) -> dict[str, JointLimits]:
    """Return the joint of each column whose name contains that of a single joint."""
    matches = {column.guess.name: _joint_of(column, robot) for column in columns}
    return {name: joint for name, joint in matches.items() if joint}


def _joint_of(column: Column, robot: RobotFile) -> JointLimits | None:
    """Return the joint of a column by its name; None if no joint or several have it."""
    essence = _essence(column.full_name)
    # `k_left_elbow` is of the joint `left_elbow`, unless a joint has its whole name.
    ends = [
        (joint, words)
        for joint in robot.joints.values()
        for words in map(_essence, (joint.name, joint.actuator))
        if words and essence[-len(words) :] == words
    ]
    whole = {joint.name: joint for joint, words in ends if words == essence}
    matches = whole or {joint.name: joint for joint, _ in ends}
    return next(iter(matches.values())) if len(matches) == 1 else None


def _essence(name: str) -> list[str]:
    return [word for word in split_words(name) if word not in GENERIC]


def with_robot_units(
    columns: list[Column], joints: dict[str, JointLimits], robot: RobotFile
) -> list[Column]:
    """Return columns in which positions without a stated unit have that of their joint.

    Values far beyond the range of a hinge in rad are taken as deg.
    """
    return [_with_unit(column, joints.get(column.guess.name), robot.path) for column in columns]


def _is_position(column: Column, joint: JointLimits) -> bool:
    """Return whether a column is a position, or a target of one, whose unit no name states."""
    if column.guess.unit:
        return False
    is_state = column.role == "state" and column.guess.what in {"position", "unknown"}
    return is_state or (column.role == "action" and joint.is_servo)


def _with_unit(column: Column, joint: JointLimits | None, path: Path) -> Column:
    if joint is None or not _is_position(column, joint):
        return column
    note = f"of joint {joint.name} of {path.name}"
    if joint.unit == "m":
        return replace(column, unit="m", sure=True, notes=[*column.notes, f"in m: {note}"])
    reach = max(map(abs, joint.position)) if joint.position else 2.0 * np.pi
    sizes = [np.abs(values[np.isfinite(values)]) for _, values in column.samples.values()]
    usual = float(np.median([np.quantile(values, 0.99) for values in sizes if len(values)]))
    log_unit = "deg" if usual > LIMIT_FARTHER * reach else column.log_unit or "rad"
    return replace(
        column,
        kind="angle" if column.role == "state" else column.kind,
        unit="rad",
        sure=True,
        log_unit=None if log_unit == "rad" else log_unit,
        notes=[*column.notes, f"in {log_unit}: {note}"],
    )


def with_stated_limits(
    columns: list[Column], joints: dict[str, JointLimits], robot: RobotFile
) -> tuple[list[Column], list[LimitFinding]]:
    """Return columns with the limits of a robot file, and the conclusion for each joint.

    Args:
        columns: channels with their units.
        joints: joints by column name, as `match_joints` returns them.
        robot: the robot file.
    """
    limited = list[Column]()
    findings = list[LimitFinding]()
    for column in columns:
        joint = joints.get(column.guess.name)
        if joint and column.role not in {"observation", "output"}:
            limited_column, finding = _limited(column, joint, robot.path)
            limited.append(limited_column)
            findings.append(finding)
        else:
            limited.append(column)
    unmatched = robot.joints.keys() - {joint.name for joint in joints.values()}
    why = "no channel has its name"
    findings += [LimitFinding(name, "", "", why) for name in robot.joints if name in unmatched]
    return limited, findings


def _limited(column: Column, joint: JointLimits, path: Path) -> tuple[Column, LimitFinding]:
    stated = _stated(column, joint)
    if isinstance(stated, str):
        is_open = stated == UNKNOWN_UNIT
        return column, LimitFinding(joint.name, column.channel, "", stated, is_open)
    ends, what = stated
    spelled = f"{ends[0]:g} to {ends[1]:g} {column.unit}"
    is_contradicted, exceeding = _compare(column, ends)
    if is_contradicted:
        finding = f"contradicted by {exceeding}: check unit, name and {path.name}"
        note = f"{path.name} states {spelled}, which most logs exceed"
        limited = replace(column, notes=[*column.notes, note])
        return limited, LimitFinding(joint.name, column.channel, spelled, finding)
    finding = f"exceeded in {exceeding}" if exceeding else f"{what}: all logs agree"
    note = f"limits: {what} of joint {joint.name} in {path.name}"
    limited = replace(column, limits=ends, notes=[*column.notes, note])
    return limited, LimitFinding(joint.name, column.channel, spelled, finding, bool(exceeding))


def with_log_limits(column: Column) -> Column:
    """Return a column with the valid range of all logs as limits, unless a robot file states some.

    A range that most logs exceed is a note only.
    """
    if column.stated_range is None or column.limits or column.role in {"observation", "output"}:
        return column
    low, high = sorted(column.converted(np.array(column.stated_range)).tolist())
    is_contradicted, exceeding = _compare(column, (low, high))
    if is_contradicted:
        spelled = f"{low:g} to {high:g} {column.unit}"
        note = f"the logs state a range of {spelled}, and exceed it: {exceeding}"
        return replace(column, notes=[*column.notes, note])
    exceeded = f", exceeded in {exceeding}" if exceeding else ""
    note = f"limits: valid range stated in the logs{exceeded}"
    return replace(column, limits=(low, high), notes=[*column.notes, note])


def _compare(column: Column, ends: Ends) -> tuple[bool, str]:
    """Return whether most logs contradict limits, and the logs with samples beyond them."""
    beyond = _logs_beyond(column, ends)
    logs = len({log for log, _ in column.samples})
    often = [log for log, (_, _, share) in beyond.items() if share > LIMIT_RARE]
    return len(often) > LIMIT_CONTRADICTED * logs, _name_logs(beyond, logs) if beyond else ""


def _stated(column: Column, joint: JointLimits) -> tuple[Ends, str] | str:
    """Return the limits of a column in its unit with the quantity, or the reason for none."""
    if not column.sure:
        if column.role == "action" and joint.command and not joint.is_servo:
            return joint.command, "control"
        return UNKNOWN_UNIT
    candidates = [
        ("position", joint.position, joint.unit),
        ("velocity", joint.velocity, f"{joint.unit}/s"),
        ("effort", joint.effort, joint.effort_unit),
    ]
    if column.role == "action" and joint.is_servo:
        candidates.insert(0, ("target", narrowest([joint.command, joint.position]), joint.unit))
    of_unit = [item for item in candidates if _converts(item[2], column.unit)]
    for what, ends, unit in of_unit:
        if ends:
            scale, offset = factor(unit, column.unit)
            return (scale * ends[0] + offset, scale * ends[1] + offset), what
    quantity = of_unit[0][0] if of_unit else f"quantity in {column.unit}"
    return f"states no limit of its {quantity}"


def _converts(unit: str, target: str) -> bool:
    try:
        factor(unit, target)
    except BadInput:
        return False
    return True


def _logs_beyond(column: Column, ends: Ends) -> dict[Path, tuple[int, float, float]]:
    """Return by log the samples beyond limits, the farthest value, and their share."""
    room = LIMIT_ROUNDING * (ends[1] - ends[0])
    middle = 0.5 * (ends[0] + ends[1])
    parts = dict[Path, list[Floats]]()
    for (log, _), (_, raw) in column.samples.items():
        parts.setdefault(log, []).append(column.converted(raw))
    beyond = dict[Path, tuple[int, float, float]]()
    for log, arrays in parts.items():
        values = np.concatenate(arrays)
        far = values[(values < ends[0] - room) | (values > ends[1] + room)]
        if len(far):
            farthest = float(far[np.argmax(np.abs(far - middle))])
            beyond[log] = len(far), farthest, len(far) / len(values)
    return beyond


def _name_logs(beyond: dict[Path, tuple[int, float, float]], logs: int) -> str:
    named = [
        f"{log.name} ({count} samples, to {value:.4g})" for log, (count, value, _) in beyond.items()
    ]
    return f"{len(beyond)} of {logs} logs: {join_first(named, MOST_NAMES)}"
