"""Reads clips as logs of a task, and checks them against the limits of a robot.

Symbols: J joints, n rows of one clip.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kinemill.errors import BadInput
from kinemill.ingest.files import readers, recognize
from kinemill.ingest.raw import RawLog
from kinemill.ingest.tracks import make_tracks
from kinemill.policies.environments.legged.body import Body, Floats
from kinemill.policies.environments.legged.clips import (
    COMMAND,
    COMMAND_UNITS,
    TRUNK,
    Clip,
    ClipTable,
)
from kinemill.task.document import Task

LOOP = "Wrap"  # `LoopMode` of a reference motion that repeats itself
_APART = 0.05  # smallest distance of two commands, in `COMMAND_UNITS`
_OUTSIDE = 1e-3  # rad by which a clip may leave the limits of a joint: rounding
_NAMED = 4  # faults that a message names


def clip_files(path: Path) -> dict[str, Path]:
    """Return the files of an entry of `environment.clips`, by relative name.

    The files of a folder are those of a LeRobot data set: `data/**/*.parquet`.

    Raises:
        BadInput: A folder has no such file.
    """
    if not path.is_dir():
        return {path.name: path}
    files = sorted(path.glob("data/**/*.parquet"))
    if not files:
        problem = "has no file data/**/*.parquet"
        expected = "a LeRobot data set, or a file"
        raise BadInput(f"environment.clips: {path}", problem, expected=expected)
    return {f"{path.name}/{file.relative_to(path).as_posix()}": file for file in files}


def read_clips(paths: Sequence[Path], task: Task, body: Body) -> ClipTable:
    """Read clips as logs of a task; a file with several episodes holds one clip in each.

    `paths` are files in any format that the task reads, or folders of LeRobot data sets.

    Raises:
        BadInput: A file cannot be read or has gaps, a channel is missing, two clips have the same
            command, or a clip leaves the limits of a joint.
    """
    needed = (*TRUNK, *body.joints)
    if missing := [name for name in needed if name not in task.recorded]:
        raise BadInput(
            "environment.clips",
            f"the task has no channel {', '.join(missing[:_NAMED])}",
            expected="attitude of the trunk and all joints, from the columns of the clips",
            fix="draft the task: kinemill new NAME --learn motion --from CLIPS --robot FILE",
        )
    files = [file for path in paths for file in clip_files(path).values()]
    clips = [clip for file in files for clip in _read(file, task, body)]
    for index, clip in enumerate(clips):
        for earlier in clips[:index]:
            apart = np.linalg.norm((clip.command - earlier.command) / COMMAND_UNITS)
            if apart > _APART:
                continue
            raise BadInput(
                "environment.clips",
                f"{earlier.name} and {clip.name} have the same command "
                f"{clip.command.round(4).tolist()}",
                expected="a command of its own for each clip: it selects the clip",
                fix="give each clip another number as command_x, command_y or command_yaw",
            )
    return ClipTable(clips, body, task.dt)


def _read(path: Path, task: Task, body: Body) -> list[Clip]:
    where = f"environment.clips: {path}"
    if not path.is_file():
        raise BadInput(where, "no such file", expected="a clip, relative to the task file")
    logs = readers(task)[recognize(task, path)].read(path, task)
    loops = _loop_mode(path) == LOOP
    logs = logs if isinstance(logs, list) else [logs]
    return [_clip_of(log, task, body, path, loops=loops) for log in logs]


def _clip_of(log: RawLog, task: Task, body: Body, path: Path, *, loops: bool) -> Clip:
    """Return the clip of a file, or of one of its episodes."""
    name = f"{path.name}: {log.part}" if log.part else path.name
    where = f"environment.clips: {path.parent / name}"
    tracks = make_tracks(log, task)
    if len(tracks.frames) != 1:
        reasons = [f"{reason['where']}: {reason['found']}" for reason in tracks.reasons]
        problem = f"has {len(tracks.frames)} stretches without gaps; {'; '.join(reasons[:_NAMED])}"
        raise BadInput(where, problem, expected="one, from its first frame to its last")
    values = {
        channel: tracks.frames[0][channel].to_numpy().astype(np.float64)
        for channel in task.recorded
    }
    joints = np.stack([values[joint] for joint in body.joints], axis=1)
    x, y, z, w = (values[channel] for channel in TRUNK)
    attitude = np.stack([w, x, y, z], axis=1)
    _check_numbers(np.concatenate([joints, attitude], axis=1), where)
    check_limits(name, joints, body, task.dt)
    command = [float(values[column].mean()) if column in values else 0.0 for column in COMMAND]
    return Clip(name, joints, attitude, np.array(command), loops)


def _check_numbers(values: Floats, where: str) -> None:
    is_bad = ~np.isfinite(values).all(axis=1) | (np.linalg.norm(values[:, -4:], axis=1) < 0.5)
    if is_bad.any():
        frame = int(np.argmax(is_bad))
        raise BadInput(where, f"frame {frame} is no pose", expected="numbers and a unit quaternion")
    if len(values) < 3:
        raise BadInput(where, f"has {len(values)} frames", expected="3 at least")


def check_limits(name: str, joints: Floats, body: Body, dt: float) -> None:
    """Check that a clip stays within the limits of the robot's joints.

    Args:
        name: of the clip.
        joints: (n, J) rad.
        body: of the robot.
        dt: time between two frames, s.

    Raises:
        BadInput: Names clip, joint, first frame, value and limits of each joint that leaves them.
    """
    over = np.maximum(joints - body.high, body.low - joints)
    faults = list[str]()
    for joint in np.flatnonzero(over.max(axis=0) > _OUTSIDE):
        frame = int(np.argmax(over[:, joint] > _OUTSIDE))
        rows = int((over[:, joint] > _OUTSIDE).sum())
        faults.append(
            f"{body.joints[joint]} {joints[frame, joint]:.4g} rad in frame {frame} "
            f"({frame * dt:.3g} s) and {rows - 1} others, limits {body.low[joint]:.4g} to "
            f"{body.high[joint]:.4g}"
        )
    if faults:
        more = f"; and {len(faults) - _NAMED} more joints" if len(faults) > _NAMED else ""
        raise BadInput(
            f"environment.clips: {name}",
            f"leaves the limits of the robot: {'; '.join(faults[:_NAMED])}{more}",
            expected="joint angles that the robot reaches",
            fix="correct the clip or the range of the joint in the model file",
        )


def _loop_mode(path: Path) -> str:
    """Return the `LoopMode` of a reference motion in JSON; '' for other formats."""
    if path.suffix.lower() != ".json":
        return ""
    content = json.loads(path.read_bytes())
    return str(content.get("LoopMode", "")) if isinstance(content, Mapping) else ""
