"""Clips made by formulas, as reference motions in JSON, and the task that tracks them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLIP_RATE, CLIP_SECONDS = 30, 8.0  # Hz and s, of the clips of a humanoid


def write_clip(
    path: Path, joints: Mapping[str, Any], rate: float, *, loops: bool = False, **numbers: float
) -> None:
    """Write a clip of a robot whose trunk stays level.

    Args:
        path: of the JSON file.
        joints: angles (n,) by joint, rad.
        rate: frames a second, Hz.
        loops: whether it repeats itself.
        numbers: of the whole clip, such as `Vel_x`.
    """
    angles = np.stack([np.asarray(own, float) for own in joints.values()], axis=1)
    count = len(angles)
    parts = {
        "root_quat": np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)),
        "world_angular_vel": np.zeros((count, 3)),
        "joints_pos": angles,
        "joints_vel": np.gradient(angles, 1.0 / rate, axis=0),
    }
    sizes = {name: int(np.prod(own.shape[1:])) for name, own in parts.items()}
    offsets = dict(zip(sizes, np.cumsum([0, *sizes.values()])[:-1].tolist(), strict=True))
    content = {
        "LoopMode": "Wrap" if loops else "Clamp",
        "FPS": rate,
        "Joints": list(joints),
        **numbers,
        "Frame_offset": [offsets],
        "Frame_size": [sizes],
        "Frames": np.concatenate(list(parts.values()), axis=1).round(6).tolist(),
    }
    path.write_text(json.dumps(content))


def task_text(name: str, joints: Sequence[str], dt: float, settings: str) -> str:
    """Return a task file that tracks clips as `write_clip` writes them.

    Args:
        name: of the task.
        joints: of the robot, in its order.
        dt: s.
        settings: the lines of `dataset`, `learn` and `environment`.
    """
    lines = [f"task: {name}", f"dt: {dt}", "channels:"]
    lines += [
        f'  trunk_{axis}: {{role: state, kind: quaternion, unit: "1", source: "root_quat[{k}]"}}'
        for k, axis in enumerate("xyzw")
    ]
    lines += [
        f'  turn_{axis}: {{role: state, unit: rad/s, source: "world_angular_vel[{k}]"}}'
        for k, axis in enumerate("xyz")
    ]
    lines += [
        f'  {joint}: {{role: state, unit: rad, source: "joints_pos[{joint}]"}}' for joint in joints
    ]
    lines += [
        f"  {joint}_velocity: {{role: state, unit: rad/s, derivative_of: {joint}, "
        f'source: "joints_vel[{joint}]"}}'
        for joint in joints
    ]
    units = {"x": ("Vel_x", "m/s"), "y": ("Vel_y", "m/s"), "yaw": ("Yaw", "rad/s")}
    lines += [
        f"  command_{axis}: {{role: observation, unit: {unit}, source: {source}}}"
        for axis, (source, unit) in units.items()
    ]
    lines += [
        f'  {joint}_target: {{role: action, unit: rad, source: "joints_pos[{joint}]", '
        "resample: {lead: 1}}"
        for joint in joints
    ]
    warn = ", ".join(
        f"{check}: {{on_fault: warn}}" for check in ("stuck", "velocity", "slip", "spike")
    )
    return "\n".join(
        [
            *lines,
            "ingest: {format: motion_json, min_file_age: 0.0, resample: {method: cubic}}",
            f"validate: {{min_steps: 10, {warn}}}",
            settings.strip("\n"),
            "",
        ]
    )


def humanoid_clip(name: str, joints: list[str]) -> dict[str, Floats]:
    """Return joint angles (n,), rad: a squat, a wave of the right arm, or getting up from a crouch.

    Raises:
        ValueError: The clip is unknown.
    """
    t = np.arange(0.0, CLIP_SECONDS, 1.0 / CLIP_RATE)
    angles = {joint: np.zeros_like(t) for joint in joints}
    if name == "wave":
        up = _eased(t, 0.5, 1.5) - _eased(t, 4.5, 5.5)
        angles["right_shoulder_x"] = -2.2 * up
        angles["right_elbow"] = -up * (0.8 + 0.5 * np.sin(2.0 * np.pi * 1.5 * t))
        return angles
    bends = {
        "squat": _eased(t, 0.5, 2.5) - _eased(t, 3.5, 5.5),
        "crouch": 1.0 - _eased(t, 1.0, 3.0),
    }
    if name not in bends:
        raise ValueError(name)
    bend = bends[name]
    angles["abdomen_y"] = 0.2 * bend
    for side in ("left", "right"):
        angles[f"{side}_hip_y"], angles[f"{side}_ankle_y"] = -0.9 * bend, -0.9 * bend
        angles[f"{side}_knee"], angles[f"{side}_shoulder_y"] = 1.8 * bend, -0.6 * bend
    return angles


def _eased(t: Floats, start: float, stop: float) -> Floats:
    """Return a minimum-jerk step from 0 to 1: (n,) s -> (n,)."""
    x = np.clip((t - start) / (stop - start), 0.0, 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x * x)
