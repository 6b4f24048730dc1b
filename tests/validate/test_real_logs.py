"""Logs of real robots: what is sensible passes, and damage done to it is found in its rows."""

import numpy as np
import pytest

from kinemill.ingest import stage as ingest
from kinemill.task import load_task
from kinemill.validate import stage as validate
from kinemill.validate.apply_checks import apply_checks_to_track
from kinemill.validate.stage import load_checks, load_episodes
from tests.conftest import EXAMPLES
from tests.validate.conftest import logs_at, real_logs


def of(findings):
    return [
        (item.check, item.fault.start, item.fault.stop, item.fault.channel) for item in findings
    ]


def test_every_real_log_is_accepted_whole(double_pendulum, simple_pendulum):
    for (task, logs), count in ((double_pendulum, 12), (simple_pendulum, 6)):
        assert len(logs) == count
        for name, values in logs.items():
            rows = len(values[task.states[0]])
            assert apply_checks_to_track(values, task).pieces == [(0, rows)], name


def test_limits_at_the_motors_own_peak_cut_torque_spikes_out_of_one_run(simple_pendulum):
    # pd_sysid: three torques of 14.7 to 16.6 N*m, where the motor's peak is 12.
    # The 11 rows before and 2 rows between the first two are too few to learn from.
    path = EXAMPLES / "simple_pendulum.yaml"
    task = load_task(path, {"channels.torque.limits": [-12, 12]})
    dropped = {
        name: apply_checks_to_track(log, task).dropped for name, log in simple_pendulum[1].items()
    }
    assert {name: count for name, count in dropped.items() if count} == {
        "pd_sysid_measured.csv": {"limits": 3, "min_steps": 13}
    }


def test_a_resting_double_pendulum_is_not_stuck(double_pendulum, shared_data):
    task, _ = double_pendulum
    every = task.model_copy(update={"ingest": task.ingest.model_copy(update={"exclude": []})})
    logs = real_logs(every, shared_data / "double_pendulum_sysid")
    (resting,) = [values for name, values in logs.items() if "noise" in name]
    assert apply_checks_to_track(resting, task).findings == []


def test_damage_done_to_a_real_log_is_found_in_its_rows(double_pendulum):
    task, logs = double_pendulum
    values = {name: item.copy() for name, item in logs["A0_20220815_traj01.csv"].items()}
    values["elbow_torque"][100:120] = np.nan
    values["elbow_angle"][400:500] = values["elbow_angle"][400]
    values["shoulder_velocity"][700] = 90.0
    verdict = apply_checks_to_track(values, task)
    # Where the encoder wakes up it jumps, but this task bounds no jump.
    assert of(verdict.findings) == [
        ("nonfinite", 100, 120, "elbow_torque"),
        ("limits", 700, 701, "shoulder_velocity"),
        ("stuck", 400, 501, "elbow_angle"),  # and the row that resampling mixes
    ]
    assert verdict.pieces == [(0, 100), (120, 400), (501, 700), (701, 1000)]


@pytest.mark.parametrize(
    ("name", "folder", "recordings", "repeats"),
    [
        # Two excitations were run again three days later, on 12 and on 15 August.
        ("double_pendulum", "double_pendulum_sysid", 12, ["near_duplicates"]),
        ("simple_pendulum", "simple_pendulum", 6, []),
    ],
)
def test_files_of_real_robots_pass_ingest_and_validation(
    home, shared_data, name, folder, recordings, repeats
):
    task = load_task(EXAMPLES / f"{name}.yaml", {"ingest.min_file_age": 0.0})
    used = ingest.run(task, home, shared_data / folder)
    result = validate.run(task, home, used.artifact.ref)
    assert result.summary["recordings"] == recordings
    assert result.summary["quarantined"] == 0
    assert result.summary["dropped"] == {}
    assert len(load_episodes(home, result.ref)) == recordings
    checks = load_checks(home, result.ref)
    assert [check.name for check in checks if not check.passed] == repeats


# Rows stamped 5 to 8 ms after the one before, where 2 ms is usual: the robot's own differentiation
# halves one velocity and doubles the next (C0 traj01, raw: -7.4, -2.8, -28.4, -8.0 rad/s).
# The data's README speaks of jittered stamps, and of the disturbance in `perturbed_exp01`.
SPIKES = {
    "C0_20220914_traj00.csv": [("spike", 69, 70, "elbow_velocity")],
    "C0_20220914_traj02.csv": [
        ("spike", 19, 20, "shoulder_velocity"),
        ("spike", 19, 20, "elbow_velocity"),
        ("spike", 805, 806, "elbow_velocity"),
        ("min_steps", 0, 19, None),
    ],
    "perturbed_exp01.csv": [
        ("spike", 426, 427, "shoulder_velocity"),
        ("spike", 577, 578, "elbow_velocity"),
    ],
}


@pytest.mark.parametrize(
    ("folder", "dt", "count"),
    [
        ("double_pendulum_c0", 0.01, 4),
        ("pendubot_400hz", 0.005, 5),
        ("acrobot_pendubot_33hz", 0.03, 12),
    ],
)
def test_other_real_logs_are_sound_but_for_late_stamps(shared_data, folder, dt, count):
    task, logs = logs_at(shared_data, folder, dt)
    assert len(logs) == count
    for name, values in logs.items():
        assert of(apply_checks_to_track(values, task).findings) == SPIKES.get(name, []), name
