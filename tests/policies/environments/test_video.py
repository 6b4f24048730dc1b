"""Videos of robots from their own model, next to the clip; drawn where there are no graphics."""

import numpy as np
import pytest

from benchmarks._clips import write_clip
from kinemill.errors import BadInput
from kinemill.policies.environments.legged.robot_file import read_scene
from kinemill.policies.environments.legged.video import MOST, SIZE, render_video
from kinemill.policies.environments.rollout_logs import record_videos
from kinemill.policies.environments.video import record_video
from kinemill.task import load_task
from tests.policies.environments.test_legged import quadruped
from tests.policies.motion.test_clip_tracking import JOINTS, RATE, ZERO, crouch, folder

__all__ = ["folder"]
pytestmark = pytest.mark.ci


class Still:
    """Keeps all joints at zero."""

    def reset(self, seed: int | None = None) -> None:
        """Do nothing."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return zeros."""
        del observation
        return np.zeros(len(JOINTS), np.float32)


SHELL = '<geom type="box" size=".1 .05 .02" contype="0" conaffinity="0" rgba="1 0 0 1" mass="0"/>'


@pytest.fixture
def task(folder):
    (folder / "dog.xml").write_text(quadruped(joint=f"<freejoint/>{SHELL}"))
    return load_task(folder / "dog.yaml")


def record_pose(task, rows: int):
    """Record a robot that stands; skip the test without graphics."""
    body = task.environment.body()
    pose = np.concatenate([[0, 0, 0.2], body.attitude, body.stance])
    scene = read_scene(task.environment.robot_path, JOINTS)
    try:
        return render_video(scene, body.standing_height, [np.tile(pose, (rows, 1))])
    except BadInput as error:
        pytest.skip(str(error))


def top_of_trunk(picture: np.ndarray) -> int:
    """Return the first row of a picture (H, W, 3) with red in it."""
    return int(np.flatnonzero((picture[..., 0] > picture[..., 1] + 40).any(axis=1))[0])


@pytest.mark.slow
def test_the_clip_is_left_of_the_run_in_the_robots_own_model(task):
    record_pose(task, 1)
    video = record_video(task, Still(), 0)
    assert video is not None
    assert video.note == "The robot's own model: left crouch.json, right the run."
    assert video.stride == 1
    assert video.pictures.shape == (99, SIZE[0], 2 * SIZE[1], 3)
    clip, run = np.split(video.pictures.astype(int), 2, axis=2)
    assert top_of_trunk(clip[50]) > top_of_trunk(clip[0]) + 10  # px: it sinks
    assert abs(top_of_trunk(run[50]) - top_of_trunk(run[10])) < 5


def test_a_long_episode_has_a_bounded_number_of_pictures(task):
    pictures, interval = record_pose(task, 1001)
    assert len(pictures) == -(-1001 // interval) <= MOST


def test_without_graphics_it_is_drawn_and_the_reason_is_given(task, tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "none")
    write_clip(tmp_path / "clips" / "crouch.json", crouch(0.6, 20), RATE, **ZERO)
    video = record_video(task, Still(), 0)
    assert video is not None
    assert video.note.startswith(
        "Drawn, not rendered from the robot's model: offscreen graphics (none)"
    )
    assert video.pictures.shape[1:3] == (192, 192)
    assert [path[-5:] for path in record_videos(task, Still(), [0], tmp_path)] == ["0.mp4"]
    with pytest.raises(BadInput, match=r"offscreen graphics \(none\).*MUJOCO_GL"):
        render_video(read_scene(tmp_path / "dog.xml", JOINTS), 0.2, [np.zeros((1, 15))])
