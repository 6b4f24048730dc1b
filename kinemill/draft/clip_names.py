"""Clip columns: which columns of a motion clip are joints and the attitude of the trunk.

Joints are named by the columns, by texts of the file (`dof_names`, `joint_names`), or by their
order in the robot file. Rows without names are retargeted motions as LAFAN1, GMR and DeepMimic
files have them: position of the root, its quaternion, then all joints.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kinemill.draft.column import PLAIN, identifier
from kinemill.draft.constants import CLIP_UPRIGHT, RELATION_LENGTH_OFF
from kinemill.draft.robot_file import RobotFile
from kinemill.draft.schema_inference import form_of
from kinemill.draft.table import Table
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import guess, suffix_unit
from kinemill.ingest.raw import split_index, vectors_of
from kinemill.ingest.readers import json_arrays, npz
from kinemill.ingest.readers._csv_layout import COLUMN

ROOT = 7  # numbers of a row before its joints: position and quaternion
_NAMED_JOINT = re.compile(r"joints_pos\[(?!\d+\])(.+)\]\Z")
_ANGLES = re.compile(r"(?:\w+_)?(?:dof|joints?)_?(?:pos|positions|angles)\Z")
_NAMES = ("dof_names", "joint_names", "joints")  # texts of a file
_ATTITUDE = re.compile(r"(?:root|base|trunk|pelvis)_?(?:rot|rotation|quat|orientation)_?(\w*)\Z")
_ORDERS = ("xyzw", "wxyz")  # of the numbers of a quaternion
_NUMBERED = re.compile(rf"{COLUMN}(\d+)\Z")
_ROWS = ("Frames", "arr_0")  # arrays of whole rows


@dataclass(frozen=True)
class ClipColumns:
    """The columns of a clip by channel name.

    Attributes:
        joints: column of each joint.
        trunk: columns of `trunk_x` to `trunk_w`, `root_x` and `root_y`; empty if columns have such
            names.
        conclusion: source of the joint names if it is not the columns; else "".
    """

    joints: dict[str, str]
    trunk: dict[str, str] = field(default_factory=dict[str, str])
    conclusion: str = ""


def clip_columns(
    table: Table, robot: RobotFile | None, commands: set[str], order: Sequence[str] = ()
) -> ClipColumns:
    """Find the joints of a clip; the result has none if the joints have no names.

    Args:
        table: the clip.
        robot: model file of the robot, whose hinges are in the order of its joints.
        commands: columns of commands, which are not joints.
        order: names of the joints of rows without names, if the user states them.
    """
    named = {
        identifier(match[1]): column
        for column in table.values
        if (match := _NAMED_JOINT.match(column))
    }
    trunk, order_of_root = _named_attitude(table) if robot else ({}, "")
    if named:
        return _as_in_robot(ClipColumns(named, trunk, order_of_root), robot)
    hinges = [joint.name for joint in robot.joints.values() if joint.unit == "rad"] if robot else []
    source = "--joints" if order or robot is None else robot.path.name
    columns = _by_texts(table) or _by_order(table, order or hinges, source)
    columns = columns or ClipColumns(_by_guess(table, commands))
    if trunk and not columns.trunk:
        conclusion = "; ".join(filter(None, (columns.conclusion, order_of_root)))
        columns = replace(columns, trunk=trunk, conclusion=conclusion)
    return _as_in_robot(columns, robot)


def _as_in_robot(columns: ClipColumns, robot: RobotFile | None) -> ClipColumns:
    """Spell joints as the robot file does: its simulation has channels of these names.

    Clips and robot files differ in suffixes, `left_knee_dof` and `left_knee_joint`.
    """
    joint_names = {_bare(identifier(name)): name for name in robot.joints} if robot else {}
    spelled = {name: joint for name, joint in joint_names.items() if PLAIN.match(joint)}
    joints = {spelled.get(_bare(name), name): column for name, column in columns.joints.items()}
    return replace(columns, joints=joints)


def _bare(name: str) -> str:
    return re.sub(r"(_joint|_dof)+\Z", "", name)


def _by_guess(table: Table, commands: set[str]) -> dict[str, str]:
    return {
        identifier(suffix_unit(column)[0]): column
        for column in table.values
        if (estimate := guess(column)).role == "state" and estimate.what == "position"
        and estimate.turning
        and split_index(column)[1] is None
        and column not in commands
    }  # fmt: skip


def _by_texts(table: Table) -> ClipColumns | None:
    """Name the columns of a matrix of joint angles by the texts of its file."""
    for vector, columns in vectors_of(table.values).items():
        if not _ANGLES.match(vector):
            continue
        for texts in _NAMES:
            is_json = form_of(table.path) == "json_arrays"
            names = (json_arrays if is_json else npz).read_names(table.path, texts)
            if len(names) == len(columns) == len(set(names)):
                joints = {
                    identifier(name): column for name, column in zip(names, columns, strict=True)
                }
                return ClipColumns(joints, conclusion=f"joints: {vector} by the names in {texts}")
    return None


def _by_order(table: Table, hinges: Sequence[str], source: str) -> ClipColumns | None:
    """Name the columns of rows without names by the hinges of a source, in its order."""
    for columns in _rows(table) if hinges else []:
        attitude, order_of_root = {}, ""
        if len(columns) >= ROOT + len(hinges):
            attitude, order_of_root = _attitude(table, columns[3:ROOT])
        if not attitude and len(columns) != len(hinges):
            continue
        first = ROOT if attitude else 0
        joints = dict(zip(map(identifier, hinges), columns[first:], strict=False))
        order = f"joints: {columns[first]} on, in the order of {source}: check it"
        if not attitude:
            return ClipColumns(joints, conclusion=order)
        trunk = {"root_x": columns[0], "root_y": columns[1], **attitude}
        return ClipColumns(joints, trunk, f"{order}; {order_of_root}")
    return None


def _rows(table: Table) -> list[list[str]]:
    """Return the columns of rows without names, in their order."""
    numbered = {int(match[1]): name for name in table.values if (match := _NUMBERED.match(name))}
    vectors = vectors_of(table.values)
    rows = [vectors[name] for name in _ROWS if name in vectors]
    return [
        *([[numbered[at] for at in sorted(numbered)]] if numbered else []),
        *rows,
        # Frames of DeepMimic begin with their duration.
        *(columns[1:] for columns in rows if np.ptp(table.values[columns[0]][1][:-1]) == 0.0),
        *(columns for name, columns in vectors.items() if _ANGLES.match(name)),
    ]


def _named_attitude(table: Table) -> tuple[dict[str, str], str]:
    """Return the result of `_attitude` for an array that is the quaternion of the root by name."""
    for vector, columns in vectors_of(table.values).items():
        if (match := _ATTITUDE.match(vector)) and len(columns) == len(_ORDERS[0]):
            return _attitude(table, columns, match[1])
    return {}, ""


def _attitude(table: Table, columns: list[str], stated: str = "") -> tuple[dict[str, str], str]:
    """Return the columns of `trunk_x` to `trunk_w`, and a conclusion; {} if they are no rotation.

    The scalar part is first or last: the trunk of a robot is upright most of the time. Both are
    upright for (0, 0, 0, 1), which more likely is no rotation than one of half a turn.

    Args:
        table: the clip.
        columns: columns of the quaternion.
        stated: order of its numbers, if the name states it.
    """
    values: Floats = np.stack([table.values[name][1] for name in columns], axis=1)
    if np.abs(np.linalg.norm(values, axis=1) - 1.0).max() > RELATION_LENGTH_OFF:
        return {}, ""
    last = float(np.mean(values[:, 0] ** 2 + values[:, 1] ** 2))
    first = float(np.mean(values[:, 1] ** 2 + values[:, 2] ** 2))
    is_clear = stated in _ORDERS or abs(last - first) > CLIP_UPRIGHT
    axes = _ORDERS[last > first] if is_clear else _ORDERS[0]
    axes = stated if stated in _ORDERS else axes
    doubt = "" if is_clear else ", or w, x, y, z after half a turn: check it"
    trunk = {f"trunk_{axis}": name for axis, name in zip(axes, columns, strict=True)}
    return trunk, f"quaternion of the root: {', '.join(axes)}{doubt}"
