"""Defects listed in the README of the real logs, each found by the task of the set."""

import json

import numpy as np
import polars as pl
import pytest

from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.rows import read_rows
from kinemill.task import load_task
from kinemill.validate.apply_checks import apply_checks_to_track
from tests.validate.conftest import ROOT


@pytest.fixture
def evaluated(home, shared_data):
    """Judge every track of a set: (name, values, verdict) of each."""

    def work(task, folder, **overrides):
        task = load_task(ROOT / task, overrides)
        report = ingest.run(task, home, shared_data / folder)
        result = []
        for recording in load_recordings(home, report.artifact.ref):
            for track in recording.summary.tracks:
                frame = read_rows(recording.folder / track.file)
                values = {name: frame[name].to_numpy() for name in task.columns}
                result.append((recording.name, values, apply_checks_to_track(values, task)))
        return sorted(result, key=lambda item: item[0])

    return work


def checks(verdict) -> set[str]:
    return {finding.check for finding in verdict.findings}


def lag(late, early, most: int) -> int:
    """Rows by which one signal follows another: where their difference varies least."""
    return int(np.argmin([np.std(late[k:] - early[: len(early) - k]) for k in range(most)]))


def test_clip_velocities_are_backward_differences_half_a_frame_late(evaluated, shared_data):
    for name, _, verdict in evaluated("tests/tasks/duck_motion.yaml", "awd_motion"):
        clip = json.loads((shared_data / "awd_motion" / name).read_bytes())
        late = verdict.measured["velocity"]["knee_velocity:lag_s"]
        assert late == pytest.approx(0.5 / clip["FPS"], rel=0.12), name


def test_only_the_small_biped_exceeds_its_knees(evaluated):
    bound = {"channels.knee_velocity.limits": [-8.7, 8.7], "dt": 1 / 60}
    peaks = {}
    for name, values, verdict in evaluated("tests/tasks/duck_motion.yaml", "awd_motion", **bound):
        peaks[name] = np.abs(values["knee_velocity"]).max()
        assert ("limits" in checks(verdict)) == (peaks[name] > 8.7), name
    small = [peak for name, peak in peaks.items() if name.startswith("mini")]
    assert len(small) == 7
    assert max(small) < 14.9
    assert sum(peak > 8.7 for peak in small) >= 6
    assert peaks["go_bdx__71.json"] == pytest.approx(9.10, abs=0.02)  # its own limit is 30


def test_the_tanks_level_is_clipped_at_ten_volt(evaluated):
    rows = []
    for name, values, verdict in evaluated("tests/tasks/cascaded_tanks.yaml", "cascaded_tanks"):
        assert {(item.check, item.fault.channel) for item in verdict.findings} == {
            ("clipped", "level")
        }, name
        result = [slice(item.fault.start, item.fault.stop) for item in verdict.findings]
        assert all((values["level"][where] == 10.0).all() for where in result)
        rows += [(where.start, where.stop) for where in result]
        assert verdict.pieces == [(0, 1024)]  # it is reported, and used for training
    # Twice in the experiment to learn from, and twice in the one to test with.
    assert sorted(rows) == [(150, 177), (152, 165), (722, 746), (892, 912)]


def test_hands_stand_still_most_of_the_time_and_the_arm_follows_late(evaluated, shared_data):
    message = json.loads((shared_data / "g1_lerobot" / "meta" / "info.json").read_bytes())
    episodes = evaluated("tests/tasks/g1.yaml", "g1_lerobot")
    # `meta/` speaks of 100 episodes and of videos; what is there is read.
    assert (message["total_episodes"], message["total_videos"], len(episodes)) == (100, 100, 20)
    still = np.concatenate([np.diff(values["index_finger"]) == 0.0 for _, values, _ in episodes])
    assert 0.7 < still.mean() < 0.8
    for name, values, verdict in episodes:
        late = lag(values["elbow"], values["elbow_command"], 15)
        assert 3 <= late <= 11, name
        # A hand that was not told to move is not stuck.
        assert "stuck" not in checks(verdict), name


def test_pendubot_logs_of_15_to_23_columns_are_read_by_one_task(evaluated, shared_data):
    logs = evaluated("tests/tasks/pendubot.yaml", "pendubot_400hz")
    widths, differ = {}, []
    for name, values, _ in logs:
        raw = pl.read_csv(shared_data / "pendubot_400hz" / name)
        widths[name] = raw.width
        differ.append((raw["vel_filt1"] - raw["vel_meas1"]).abs().max())
        assert np.ptp(values["shoulder_velocity"]) > 1.0
    assert (len(logs), min(widths.values()), max(widths.values())) == (5, 15, 21)
    assert min(differ) > 2.0  # rad/s: the filtered reading is not the measured one
    result = {name: checks(verdict) for name, _, verdict in logs}
    assert "spike" in result["perturbed_exp01.csv"]  # the disturbance that was injected
