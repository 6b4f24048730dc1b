"""One extreme value in one log is a fault of that log: no run on the others is blocked by it."""

import numpy as np
import pytest

from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.validate import episodes
from kinemill.validate import stage as validate
from kinemill.validate.apply_checks import Verdict
from kinemill.validate.recording_status import held_back
from kinemill.validate.stage import load_checks, load_episodes
from tests.conftest import load_task_in

COLUMNS = ["time", "position", "velocity", "torque"]
EXTREMES = ["1e300", "-1e300", "1e30", "3.5e38", "1e19", "1e13", "inf", "1e400", "nan", "1e-310"]
TASK = """
task: pendulum
dt: 0.01
channels:
  angle: {role: state, kind: angle, unit: rad, source: position}
  velocity: {role: state, unit: rad/s, derivative_of: angle}
  torque: {role: action, unit: N*m}
  noise: {role: observation, unit: V, source: extra}
ingest: {min_file_age: 0.0}
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.fixture
def task(tmp_path):
    return load_task_in(tmp_path, TASK)


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def write(logs):
    def write_log(name, offset=0.0, column=None, value=None):
        names = [*COLUMNS, "extra"]
        rows = [
            [repr(x) for x in (k / 100, k / 10, 10.0, k + offset, 0.5 + offset)] for k in range(100)
        ]
        if column:
            rows[50][names.index(column)] = value
        path = logs / name
        path.write_text("\n".join(",".join(row) for row in [names, *rows]) + "\n")
        return path

    return write_log


def test_any_value_in_any_column_leaves_all_other_logs_alone(task, home, logs, write):
    write("good.csv")
    for number, (column, value) in enumerate((c, v) for c in [*COLUMNS, "extra"] for v in EXTREMES):
        write(f"{column} {value}.csv", 0.01 * (number + 1), column, value)
    report = ingest.run(task, home, logs)
    result = validate.run(task, home, report.artifact.ref)
    assert all(check.passed for check in load_checks(home, result.ref) if check.blocking)
    named = {entry["file"]: entry for entry in report.files}
    for column in ("position", "velocity", "torque"):
        for value in ("1e300", "1e30", "3.5e38", "1e13"):
            (message, *_) = named[f"{column} {value}.csv"]["reasons"]
            assert (message["check"], message["where"]) == ("range", "row 51")
            assert message["expected"].startswith("at most 1e+12 ")
            assert "limits" in message["fix"]
    for episode in load_episodes(home, result.ref):
        values = episode.read().select(*task.columns, "noise").to_numpy()
        assert np.isfinite(np.square(values.astype(np.float32))).all()
    assert result.summary["accepted"] >= len(report.files)


def test_limits_of_a_channel_admit_what_they_say(tmp_path, home, logs, write):
    task = load_task_in(tmp_path, TASK.replace("unit: N*m}", "unit: N*m, limits: [-1e15, 1e15]}"))
    write("large.csv", column="torque", value="1e14")
    (entry,) = ingest.run(task, home, logs).files
    assert "range" not in {reason["check"] for reason in entry["reasons"]}


def test_what_would_fail_the_schema_of_all_is_left_out_with_its_log_named(
    task, home, logs, write, monkeypatch
):
    write("good.csv")
    write("odd.csv", 0.5, "torque", "1e13")

    def asleep(values, task):  # no check notices anything
        return Verdict([(0, len(values["torque"]))], [], {})

    monkeypatch.setattr(episodes, "apply_checks_to_track", asleep)
    recordings = ingest.run(task, home, logs).artifact.ref
    result = validate.run(task, home, recordings)
    assert (result.summary["accepted"], result.summary["quarantined"]) == (1, 1)
    assert all(check.passed for check in load_checks(home, result.ref) if check.blocking)
    (status,) = held_back(task, home).recordings
    (item,) = [reason for reason in status.reasons if reason["check"] == "schema"]
    assert status.member.name == "odd.csv"
    assert "release" in item["fix"]
    assert len(load_recordings(home, recordings)) == 2
