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
from kinemill.draft.constants import CLIP_UNIT
from kinemill.draft.robot_file import RobotFile
from kinemill.draft.schema_inference import form_of
from kinemill.draft.table import Table
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import guess
from kinemill.ingest.raw import split_index, vectors_of
from kinemill.ingest.readers import json_arrays, npz
from kinemill.ingest.readers._csv_layout import COLUMN

ROOT = 7  # numbers of a row before its joints: position and quaternion
_NAMED_JOINT = re.compile(r"joints_pos\[(?!\d+\])(.+)\]\Z")
_ANGLES = re.compile(r"(?:\w+_)?(?:dof|joints?)_?(?:pos|positions|angles)\Z")
_NAMES = ("dof_names", "joint_names", "joints")  # texts of a file
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
    if named:
        return _as_in_robot(ClipColumns(named), robot)
    hinges = [joint.name for joint in robot.joints.values() if joint.unit == "rad"] if robot else []
    source = "--joints" if order or robot is None else robot.path.name
    columns = _by_texts(table) or _by_order(table, order or hinges, source)
    return _as_in_robot(columns or ClipColumns(_by_guess(table, commands)), robot)


def _as_in_robot(columns: ClipColumns, robot: RobotFile | None) -> ClipColumns:
    """Spell joints as the robot file does: its simulation has channels of these names."""
    joint_names = {identifier(name): name for name in robot.joints} if robot else {}
    spelled = {name: joint for name, joint in joint_names.items() if PLAIN.match(joint)}
    joints = {spelled.get(name, name): column for name, column in columns.joints.items()}
    return replace(columns, joints=joints)


def _by_guess(table: Table, commands: set[str]) -> dict[str, str]:
    return {
        identifier(column): column
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
        attitude = _attitude(table, columns) if len(columns) >= ROOT + len(hinges) else {}
        if not attitude and len(columns) != len(hinges):
            continue
        first = ROOT if attitude else 0
        joints = dict(zip(map(identifier, hinges), columns[first:], strict=False))
        order = f"joints: {columns[first]} on, in the order of {source}: check it"
        if not attitude:
            return ClipColumns(joints, conclusion=order)
        axes = ", ".join(name[-1] for name in attitude)
        trunk = {"root_x": columns[0], "root_y": columns[1], **attitude}
        return ClipColumns(joints, trunk, f"{order}; quaternion of the root: {axes}")
    return None


def _rows(table: Table) -> list[list[str]]:
    """Return the columns of rows without names, in their order."""
    numbered = {int(match[1]): name for name in table.values if (match := _NUMBERED.match(name))}
    vectors = vectors_of(table.values)
    return [
        *([[numbered[at] for at in sorted(numbered)]] if numbered else []),
        *(vectors[name] for name in _ROWS if name in vectors),
    ]


def _attitude(table: Table, columns: list[str]) -> dict[str, str]:
    """Return the columns of `trunk_x` to `trunk_w`; {} if the fourth to seventh are not a rotation.

    The scalar part is first or last: the trunk of a robot is upright most of the time.
    """
    quaternion = columns[3:ROOT]
    values: Floats = np.stack([table.values[name][1] for name in quaternion], axis=1)
    if np.abs(np.linalg.norm(values, axis=1) - 1.0).max() > CLIP_UNIT:
        return {}
    last = float(np.mean(values[:, 0] ** 2 + values[:, 1] ** 2))
    first = float(np.mean(values[:, 1] ** 2 + values[:, 2] ** 2))
    axes = "xyzw" if last <= first else "wxyz"
    return {f"trunk_{axis}": name for axis, name in zip(axes, quaternion, strict=True)}
