"""Reading reference motions: by layout, by joint name, and the defects the real clips have."""

import json

import numpy as np
import pytest

from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.files import recognize
from kinemill.ingest.readers.motion_json import read
from kinemill.ingest.rows import read_rows
from kinemill.task import load_task
from tests.ingest.conftest import refusals, with_ingest


@pytest.fixture
def clip() -> dict:
    return {
        "FPS": 50,
        "FrameDuration": 0.02,
        "Joints": ["hip", "knee"],
        "Vel_x": 0.25,
        "Frame_offset": [{"height": 0, "joints_pos": 1, "joints_vel": 3}],
        "Frame_size": [{"height": 1, "joints_pos": 2, "joints_vel": 2}],
        "Frames": [[0.3, k, 10 * k, 0.0, 500.0] for k in range(4)],
    }


@pytest.fixture
def knee(make_task):
    return make_task(("joints_pos[knee]", "joints_vel[1]", "Vel_x"))


def reasons(path, task, content) -> list[dict]:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return refusals(read, path, task)


@pytest.mark.parametrize("indent", [None, 4])
def test_channels_are_found_by_the_layout_of_the_frames(logs, knee, clip, indent):
    (logs / "a.json").write_text(json.dumps(clip, indent=indent))
    log = read(logs / "a.json", knee)
    assert log.frame.rows()[2:] == [(2, 20.0, 500.0, 0.25), (3, 30.0, 500.0, 0.25)]
    assert log.ticks == 50.0


def test_the_frame_duration_counts_when_no_rate_is_given(logs, knee, clip):
    del clip["FPS"]
    (logs / "a.json").write_text(json.dumps(clip))
    assert read(logs / "a.json", knee).ticks == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"Frames": []}, "frames of [] numbers"),
        ({"Frames": [[1, 2], [1]]}, "frames of [1, 2] numbers"),
        ({"Frames": [[1, 2, 3, 4, "5"]]}, "str among the numbers"),
        ({"Frames": [[1, 2, 3, 4, None]]}, "NoneType among the numbers"),
        ({"Frame_offset": [{"joints_pos": 4}]}, "'joints_pos' from column 4, 2 wide"),
        ({"Frame_offset": [{"joints_pos": -1}]}, "'joints_pos' from column -1, 2 wide"),
        ({"Frame_size": []}, "no `Frame_size`"),
        ({"Frame_size": [{"height": 1e300}]}, "`Frame_size` of 'height' is 1e+300"),
        ({"Frame_size": [{"height": 10**12}]}, "'height' from column 0, 1000000000000 wide"),
    ],
)
def test_a_layout_that_does_not_fit_the_frames_is_refused(logs, knee, clip, change, problem):
    (reason,) = reasons(logs / "a.json", knee, clip | change)
    assert problem in reason["found"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[" * 100_000, '{"Frames": [[1]]', "[1, 2]", '{"Frames": ' + "9" * 5000 + "}"],
)
def test_what_is_no_clip_is_refused(logs, knee, content):
    assert reasons(logs / "a.json", knee, content)


def test_other_json_in_the_folder_is_no_log_unless_the_task_says_so(logs, knee, clip, home):
    (logs / "a.json").write_text(json.dumps(clip))
    (logs / "info.json").write_text('{"robot": "duck", "fps": 50}')
    report = ingest.run(knee, home, logs)
    assert (report.artifact.summary["tracks"], list(report.ignored)) == (1, ["info.json"])
    assert recognize(knee, logs / "a.json") == "motion_json"
    named = with_ingest(knee, format="motion_json")
    summary = ingest.run(named, home, logs).artifact.summary
    assert (summary["recordings"], summary["quarantined"]) == (2, 1)


def test_thirteen_real_clips_come_out_at_one_rate_with_their_known_defects(
    shared_data, home, request
):
    task = load_task(request.config.rootpath / "tests" / "tasks" / "duck_motion.yaml")
    folder = shared_data / "awd_motion"
    report = ingest.run(task, home, folder)
    assert (report.artifact.summary["recordings"], report.artifact.summary["rows"]) == (13, 6600)
    assert not any(entry["reasons"] for entry in report.files)
    fast, peaks = [], []
    for recording in load_recordings(home, report.artifact.ref):
        (track,) = recording.summary.tracks
        frame = read_rows(recording.folder / track.file)
        assert frame.height == 300  # 10 s, whether the clip has 30 or 60 frames per second
        assert frame["knee_velocity"][0] == 0.0  # a placeholder, in every clip
        (fast if recording.name.startswith("go") else peaks).append(
            np.abs(read(folder / recording.name, task).frame["knee_velocity"]).max()
        )
    assert max(fast) < 9.2
    assert len(peaks) == 7


def test_how_a_trunk_walked_is_told_in_its_own_heading(logs, make_task):
    """A circle of 2 m, once round in 10 s: end to end it did not move, and did not turn."""
    turned = 2.0 * np.pi * np.arange(501) / 500
    zero = np.zeros(501)
    position = np.stack([2.0 * np.sin(turned), 2.0 * (1.0 - np.cos(turned)), zero], axis=1)
    quaternion = np.stack([zero, zero, np.sin(turned / 2), np.cos(turned / 2)], axis=1)
    content = {
        "FPS": 50,
        "Vel_x": 0.0,
        "Frame_offset": [{"root_pos": 0, "root_quat": 3}],
        "Frame_size": [{"root_pos": 3, "root_quat": 4}],
        "Frames": np.concatenate([position, quaternion], axis=1).tolist(),
    }
    (logs / "round.json").write_text(json.dumps(content))
    task = make_task(("walked_y", ["walked_yaw"], ["walked_x", "Vel_x"]))
    _, lateral, turning, along = read(logs / "round.json", task).frame.row(0)
    assert along == pytest.approx(2.0 * 2.0 * np.pi / 10.0, rel=1e-4)  # m/s
    assert lateral == pytest.approx(0.0, abs=1e-6)
    assert turning == pytest.approx(2.0 * np.pi / 10.0, rel=1e-6)  # rad/s
