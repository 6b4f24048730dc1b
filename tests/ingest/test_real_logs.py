"""Real logs of real robots: what each set holds, counted by hand with other tools."""

import shutil

import numpy as np
import polars as pl
import pytest

from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.rows import read_rows
from kinemill.task import load_task

TASK = """
task: arm
dt: 0.01
channels:
  q1:   {role: state, kind: angle, unit: rad, source: [pos_meas1, pos1, position]}
  qd1:  {role: state, unit: rad/s, derivative_of: q1, source: [vel_meas1, vel1, velocity]}
  tau1: {role: action, unit: N*m, source: [tau_con1, tau1, torque]}
ingest: {min_file_age: 0.0, include: ["*.csv", "*.parquet"], exclude: ["desired/*"]}
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.fixture
def arm(tmp_path):
    path = tmp_path / "arm.yaml"
    path.write_text(TASK)
    return load_task(path)


def frames(home, ref) -> dict[str, list[pl.DataFrame]]:
    return {
        r.name: [read_rows(r.folder / track.file) for track in r.summary.tracks]
        for r in load_recordings(home, ref)
    }


def test_jittered_500_hz_stamps_come_out_as_one_even_track(arm, home, shared_data):
    source = shared_data / "double_pendulum_sysid" / "A0_20220815_traj03.csv"
    ((track,),) = frames(home, ingest.run(arm, home, source).artifact.ref).values()
    raw = pl.read_csv(source)
    times = raw["time"].to_numpy()
    assert track.height == int((times[-1] - times[0]) / 0.01 + 1e-6) + 1
    np.testing.assert_allclose(np.diff(track["time_s"]), 0.01, atol=1e-9)
    for ours, theirs in (("q1", "pos_meas1"), ("qd1", "vel_meas1"), ("tau1", "tau_con1")):
        expected = np.interp(track["time_s"], times, raw[theirs])
        np.testing.assert_allclose(track[ours], expected, atol=1e-9)


def test_a_header_with_spaces_and_a_repeated_stamp_is_read(arm, home, shared_data):
    (source,) = (shared_data / "double_pendulum_sysid").glob("*spaced_header*")
    report = ingest.run(arm, home, source)
    ((track,),) = frames(home, report.artifact.ref).values()
    assert report.files[0]["rows"] == 999
    assert report.files[0]["reasons"][0]["check"] == "late_stamp"
    assert report.files[0]["reasons"][0]["where"] == "row 2"
    assert track["q1"].abs().max() < 0.01  # at rest, hanging down


def test_logs_of_another_robot_are_quarantined_with_what_is_missing(arm, home, shared_data):
    for folder in ("silverbox", "cascaded_tanks"):
        (entry,) = ingest.run(arm, home, shared_data / folder).files
        assert (entry["outcome"], entry["episodes"]) == ("quarantined", 0)
        assert {item["check"] for item in entry["reasons"]} == {"columns"}
    report = ingest.run(arm, home, shared_data / "g1_lerobot")
    assert report.artifact.summary["quarantined"] == 22
    missing = {item["channel"] for entry in report.files for item in entry["reasons"]}
    assert missing == {"q1", "qd1", "tau1"}  # the time is there, as `timestamp`


@pytest.mark.parametrize("cut", [5_000, 5_017, 5_060, 5_100, 5_101])
def test_a_real_log_cut_anywhere_never_gains_a_number(arm, home, shared_data, tmp_path, cut):
    whole = (shared_data / "simple_pendulum" / "ilqr_measured.csv").read_bytes()
    path = tmp_path / "cut.csv"
    path.write_bytes(whole[:cut])
    report = ingest.run(arm, home, path)
    (entry,), rows = report.files, whole[:cut].count(b"\n") - 1
    assert (entry["rows"], entry["reasons"][0]["check"]) == (rows, "cut_line")
    ((track,),) = frames(home, report.artifact.ref).values()
    raw = pl.read_csv(whole).head(rows)
    for ours, theirs in (("q1", "position"), ("qd1", "velocity"), ("tau1", "torque")):
        expected = np.interp(track["time_s"], raw["time"], raw[theirs])
        np.testing.assert_allclose(track[ours], expected, atol=1e-9)


def test_files_in_a_read_only_folder_are_read(arm, home, shared_data, tmp_path):
    folder = tmp_path / "read_only"
    shutil.copytree(shared_data / "acrobot_pendubot_33hz", folder)
    folder.chmod(0o555)
    assert ingest.run(arm, home, folder).artifact.summary["recordings"] == 12
    folder.chmod(0o755)
