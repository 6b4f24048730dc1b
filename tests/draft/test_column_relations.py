"""Quaternions among columns without descriptive names."""

import numpy as np

from kinemill.draft.builder import build

TIME = 0.1 * np.arange(300)  # s


def kinds(path, rows):
    np.savetxt(path, np.column_stack([TIME, rows]), fmt="%.9f")
    return [column.kind for column in build("camera", path).columns]


def test_a_pose_without_a_header_ends_with_a_quaternion(tmp_path):
    """Trajectories of cameras are written as: time, position, x, y, z and w of the rotation."""
    place = np.column_stack([np.sin(TIME), np.cos(2 * TIME), 0.1 * TIME])
    turn = np.column_stack([0.3 + 0 * TIME, np.sin(TIME), np.cos(2 * TIME), 2 + np.sin(3 * TIME)])
    turn[:, 0] += 0.1 * np.cos(TIME)
    rotation = turn / np.linalg.norm(turn, axis=1, keepdims=True)
    expected = ["linear"] * 3 + ["quaternion"] * 4
    assert kinds(tmp_path / "a.txt", np.hstack([place, rotation])) == expected


def test_a_sine_and_a_cosine_within_a_vector_are_no_quaternion(tmp_path):
    rows = np.column_stack([np.sin(3 * TIME), np.sin(TIME), np.cos(TIME), 0 * TIME, 0 * TIME])
    assert "quaternion" not in kinds(tmp_path / "a.txt", rows)
