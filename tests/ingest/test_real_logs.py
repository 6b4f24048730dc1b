"""Real logs of real robots: what each set holds, counted by hand with other tools."""

import shutil

import pytest

from kinemill.ingest import stage as ingest
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


def test_logs_of_another_robot_are_quarantined_with_what_is_missing(arm, home, shared_data):
    for folder in ("silverbox", "cascaded_tanks"):
        (entry,) = ingest.run(arm, home, shared_data / folder).files
        assert (entry["outcome"], entry["episodes"]) == ("quarantined", 0)
        assert {item["check"] for item in entry["reasons"]} == {"columns"}
    report = ingest.run(arm, home, shared_data / "g1_lerobot")
    assert report.artifact.summary["quarantined"] == 22
    missing = {item["channel"] for entry in report.files for item in entry["reasons"]}
    assert missing == {"q1", "qd1", "tau1"}  # the time is there, as `timestamp`


def test_files_in_a_read_only_folder_are_read(arm, home, shared_data, tmp_path):
    folder = tmp_path / "read_only"
    shutil.copytree(shared_data / "acrobot_pendubot_33hz", folder)
    folder.chmod(0o555)
    assert ingest.run(arm, home, folder).artifact.summary["recordings"] == 12
    folder.chmod(0o755)
