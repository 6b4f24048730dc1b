"""ROS bags written by rosbags, of ROS 1 and ROS 2, read back."""

import numpy as np
import pytest

from kinemill.ingest import stage as ingest
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers.mcap import read as read_mcap
from kinemill.ingest.readers.rosbag import read
from kinemill.ingest.tracks import make_tracks
from tests.ingest.conftest import refusals, with_ingest
from tests.ingest.messages import START, run, write_bag, write_mcap


@pytest.mark.parametrize(
    ("name", "plugin", "reader"),
    [
        ("a.bag", "", read),
        ("folder", "SQLITE3", read),
        ("folder", "MCAP", read_mcap),
        ("a.mcap", "JSON", read_mcap),
    ],
)
def test_joint_states_and_commands_of_a_bag_become_one_track(tmp_path, arm, name, plugin, reader):
    path = tmp_path / name
    log = reader(
        write_mcap(path, run()) if plugin == "JSON" else write_bag(path, run(), plugin), arm
    )
    tracks = make_tracks(log, arm)
    assert tracks.reasons == []
    (frame,) = tracks.frames
    # from the first command, at 3 ms, to the last, at 1.953 s: 196 steps
    assert (frame.height, tracks.rows, tracks.dropped_rows) == (196, 40 + 195, 5)
    at = 0.003 + 0.01 * np.arange(196)
    # linear interpolation of sin over 10 ms is off by at most h^2 / 8 = 1.25e-5
    np.testing.assert_allclose(frame["angle"], np.sin(at), atol=1.3e-5)
    np.testing.assert_allclose(frame["velocity"], np.cos(at), atol=1.3e-5)
    assert frame["torque"].to_list() == [float(k // 5) for k in range(196)]


def test_a_stamp_in_the_header_takes_the_place_of_the_time_of_recording(tmp_path, arm):
    path = write_bag(tmp_path / "a.bag", run())
    headers = with_ingest(arm, time=["header.stamp", "log_time"])
    log = read(path, headers)
    assert log.signals["angle"].time[0] == START - 5_000_000
    assert log.signals["torque"].time[0] == START + 3_000_000  # a Float64 has no header
    assert read(path, arm).signals["angle"].time[0] == START


@pytest.mark.parametrize(("plugin", "share"), [("SQLITE3", 0.3), ("SQLITE3", 0.9), ("", 0.6)])
def test_a_bag_cut_in_the_middle_is_refused(tmp_path, arm, plugin, share):
    path = write_bag(tmp_path / "bag", run(), plugin)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Unreadable, match=r"cannot be read \(.*copy it from the robot again"):
        read(path, arm)


def test_a_type_whose_definition_is_damaged_is_refused_by_topic(tmp_path, arm):
    path = write_bag(tmp_path / "bag", run(), "SQLITE3")
    content = path.read_bytes()
    assert b"float64[] position" in content
    path.write_bytes(content.replace(b"float64[] position", b"float46[] position"))
    assert refusals(read, path, arm)[0]["where"] == "topic /joints"


def test_a_bag_folder_in_the_drop_folder_is_one_recording(tmp_path, arm, home):
    drop = tmp_path / "drop"
    drop.mkdir()
    write_bag(drop / "run1", run(), "SQLITE3")
    write_bag(drop / "run2.bag", run(seconds=1.0))
    report = ingest.run(arm, home, drop)
    assert report.artifact.summary["recordings"] == 2
    assert report.artifact.summary["tracks"] == 2
    assert list(report.ignored) == ["run1/metadata.yaml"]
