"""Reference motions as JSON: `Frames` of numbers, laid out by `Frame_offset` and `Frame_size`.

Files without a layout, as of DeepMimic, have the sources `Frames[0]`, `Frames[1]`, ... Other
sources are `root_quat[0]`, `joints_pos[3]`, or by the names under `Joints` `joints_pos[left_knee]`.
Commands of the whole clip, such as `Vel_x`, are channels with the same value in each row; files
state them end to end, in the world frame. `walked_x`, `walked_y` and `walked_yaw` are the mean
velocity of the trunk, m/s along and across its heading and rad/s, from `root_pos` and `root_quat`
(x, y, z, w). Row k is at k / `FPS`, or k x `FrameDuration` s without `FPS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.ingest.raw import (
    TIME,
    RawLog,
    Reader,
    Unreadable,
    elements,
    match_columns,
    reason,
    row_numbers,
)
from kinemill.ingest.readers._arrays import damaged_file
from kinemill.ingest.readers._limits import parse_json
from kinemill.store import Json
from kinemill.task import Task
from kinemill.task.plugins import READERS

KEYS = (b'"Frames"', b'"FrameDuration"', b'"Frame_offset"')

Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class _Clip:
    """One motion: (n, w) values, the column of each name, and the values of the whole clip."""

    values: np.ndarray[Any, np.dtype[np.float64]]
    columns: dict[str, int]
    constants: dict[str, float]
    rate: float | None  # Hz


def read(path: Path, task: Task) -> RawLog:
    """Read one clip; values keep the units of the file.

    Raises:
        Header: The task has no channels.
        Unreadable: The file is not a complete clip, its frames differ in width or hold other values
            than numbers, its layout does not fit them, or a channel is missing.
    """
    clip = _clip(_parse(path))
    header = [*clip.columns, *clip.constants]
    matched = match_columns(header, task, clip.rate)
    rows = len(clip.values)

    def take(index: int) -> pl.Series:
        name = header[index]
        if name in clip.columns:
            return pl.Series(clip.values[:, clip.columns[name]])
        return pl.Series(np.full(rows, clip.constants[name]))

    time = row_numbers(rows) if matched.time is None else take(matched.time)
    columns = [take(index).alias(channel) for channel, index in matched.channels.items()]
    ticks = matched.rate if matched.time is None and matched.rate else task.ingest.ticks
    return RawLog(pl.DataFrame([time.alias(TIME), *columns]), matched.sources, ticks)


def _parse(path: Path) -> Json:
    content = parse_json(path)
    if not isinstance(content, dict) or "Frames" not in content:
        raise _unfit("format", "JSON without `Frames`", "a reference motion")
    return cast(dict[str, Any], content)


def _clip(content: Json) -> _Clip:
    values = _frames(content["Frames"])
    if "Frame_offset" in content or "Frame_size" in content:
        offsets, sizes = (_layout(content, key) for key in ("Frame_offset", "Frame_size"))
    else:
        offsets = {"Frames": 0}
        sizes = {"Frames": values.shape[1]}
    joints = [str(name) for name in _list(content.get("Joints"))]
    columns: dict[str, int] = {}
    for name, first in offsets.items():
        width = sizes.get(name, 0)
        if width < 1 or first < 0 or first + width > values.shape[1]:
            problem = f"{name!r} from column {first}, {width} wide"
            raise _unfit("layout", problem, f"columns among the {values.shape[1]} of each frame")
        columns |= {name: first} if width == 1 else {}
        columns |= dict(zip(elements(name, width), range(first, first + width), strict=True))
        # A part as wide as the list of joints has a column for each joint, by its name.
        if width == len(joints):
            columns |= {f"{name}[{joint}]": first + k for k, joint in enumerate(joints)}
    constants = {
        name: float(value)
        for name, value in content.items()
        if type(value) in (int, float) and abs(value) < 1e300 and name not in columns
    }
    rate = _rate(content)
    if rate is None and "Frames" in sizes:
        rate = _rate_of_durations(values)
    if rate and sizes.get("root_pos") == 3 and sizes.get("root_quat") == 4 and len(values) > 1:
        root = values[:, offsets["root_pos"] :][:, :2], values[:, offsets["root_quat"] :][:, :4]
        constants = _mean_velocity(*root, rate) | constants
    return _Clip(values, columns, constants, rate)


def _mean_velocity(position: Values, quaternion: Values, rate: float) -> dict[str, float]:
    """Return the mean velocity of a trunk along and across its heading, m/s, and turning, rad/s.

    Args:
        position: (n, 2) m.
        quaternion: (n, 4) x, y, z, w.
        rate: rows per second, Hz.
    """
    x, y, z, w = quaternion.T
    heading = np.unwrap(np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)))
    middle = 0.5 * (heading[1:] + heading[:-1])
    moved = np.diff(position, axis=0) * rate
    forward = np.cos(middle) * moved[:, 0] + np.sin(middle) * moved[:, 1]
    lateral = np.cos(middle) * moved[:, 1] - np.sin(middle) * moved[:, 0]
    turning = (heading[-1] - heading[0]) * rate / len(middle)
    means = {"walked_x": forward.mean(), "walked_y": lateral.mean(), "walked_yaw": turning}
    return {name: float(value) for name, value in means.items()}


def _frames(frames: object) -> NDArray[np.float64]:
    rows = _list(frames)
    widths = {len(_list(row)) for row in rows}
    if len(widths) != 1 or widths == {0}:
        raise _unfit("layout", f"frames of {sorted(widths)[:5]} numbers", "frames of one width")
    kinds = {type(value) for row in rows for value in row}
    if not kinds <= {int, float}:
        problem = ", ".join(sorted(kind.__name__ for kind in kinds - {int, float}))
        raise _unfit("number", f"{problem} among the numbers of `Frames`", "numbers")
    try:
        return np.array(rows, np.float64)
    except OverflowError as error:
        raise damaged_file("JSON", error) from error


def _layout(content: Mapping[str, object], key: str) -> dict[str, int]:
    layout = content.get(key)
    first = _list(layout)[0] if isinstance(layout, list) and layout else layout
    if not isinstance(first, dict):
        raise _unfit("layout", f"no `{key}`", "the first column and the width of each name")
    named = cast(dict[str, Any], first)
    if odd := [name for name, value in named.items() if type(value) is not int]:
        raise _unfit("layout", f"`{key}` of {odd[0]!r} is {named[odd[0]]!r}", "a whole number")
    return named


def _list(value: object) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def _rate(content: Mapping[str, object]) -> float | None:
    """Return frames per second, Hz; prefer `FPS`, because `FrameDuration` is often rounded."""
    for key, per_second in (("FPS", True), ("FrameDuration", False)):
        value = content.get(key)
        if isinstance(value, int | float) and 1e-6 < value < 1e6:
            return float(value) if per_second else 1.0 / float(value)
    return None


def _rate_of_durations(values: Values) -> float | None:
    """Return frames per second, Hz, of frames (n, C) as of DeepMimic; None for others.

    They hold their duration, s, which is 0 in the last one, position and quaternion of the root.
    """
    durations = values[:-1, 0]
    is_rotation = values.shape[1] > 8 and np.allclose(
        np.linalg.norm(values[:, 4:8], axis=1), 1.0, atol=1e-3
    )
    if not is_rotation or not len(durations) or np.ptp(durations) > 1e-6:
        return None
    return float(1.0 / durations[0]) if 1e-3 < durations[0] < 1.0 else None


def _unfit(check: str, problem: str, expected: str) -> Unreadable:
    fix = "correct the clip, or take it out of `ingest.include`"
    return Unreadable(reason(check, "file", problem, expected=expected, fix=fix))


def _recognizes(head: bytes) -> bool:
    return head.lstrip().startswith(b"{") and any(key in head for key in KEYS)


READERS.register("motion_json")(Reader((".json",), _recognizes, read, shared=True))
