"""Clips of motion as they are looked at: the cycle that is found, phases, commands."""

import json
import re

import numpy as np
import pytest

from kinemill.ingest import stage as ingest
from kinemill.ingest.recordings import open_recording
from kinemill.ingest.snapshot import Snapshot
from kinemill.task import load_task
from kinemill.validate.clips import clip_of, clip_section, leading_joint, moving_joints
from kinemill.validate.recording_page import view

DT, CYCLE = 0.02, 23.7  # s; rows
JOINTS = ("hip", "knee", "neck")
TASK = """
task: puppet
dt: 0.02
channels:
  hip: {role: state, unit: rad, source: "joints_pos[hip]"}
  knee: {role: state, unit: rad, source: "joints_pos[knee]"}
  neck: {role: state, unit: rad, source: "joints_pos[neck]"}
  forward: {role: observation, unit: m/s, source: Vel_x}
  hip_target: {role: action, unit: rad, source: "joints_pos[hip]", resample: {lead: 1}}
  knee_target: {role: action, unit: rad, source: "joints_pos[knee]", resample: {lead: 1}}
  neck_target: {role: action, unit: rad, source: "joints_pos[neck]", resample: {lead: 1}}
ingest: {format: motion_json, min_file_age: 0.0}
validate: {stuck: {on_fault: warn}}
dataset: {test: [unseen.json], validation: {tail: 0.3}}
learn: {type: motion}
"""


@pytest.fixture
def task(tmp_path):
    (tmp_path / "puppet.yaml").write_text(TASK)
    return load_task(tmp_path / "puppet.yaml")


def gait(rows, first=0.0):
    """Hip and knee that go round, the hip furthest; a neck that rests: (rows, 3) rad."""
    phase = 2.0 * np.pi * (first + np.arange(rows) / CYCLE)
    hip, knee = 0.5 * np.cos(phase), -0.8 + 0.2 * np.sin(2.0 * phase)
    return np.stack([hip, knee, np.full(rows, -0.1)], axis=1)


def values(rows=160, first=0.0, forward=0.3):
    angles = dict(zip(JOINTS, gait(rows, first).T, strict=True))
    return angles | {"forward": np.full(rows, forward)}


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for first, (name, forward) in enumerate({"a": 0.1, "b": 0.2, "unseen": 0.3}.items()):
        content = {
            "FPS": 50,
            "Joints": list(JOINTS),
            "Vel_x": forward,
            "Frame_offset": [{"joints_pos": 0}],
            "Frame_size": [{"joints_pos": 3}],
            "Frames": gait(200, first / 7).tolist(),
        }
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_the_cycle_the_phase_of_each_row_and_the_command_are_found(task):
    clip = clip_of(task, values(first=0.25))
    assert clip.cycle == pytest.approx(CYCLE, abs=0.02)
    assert clip.commands == {"forward": (0.3, 0.3)}
    # The neck rests; the hip moves most, and is furthest up three quarters of a cycle later.
    assert (moving_joints([clip]), leading_joint([clip])) == ([0, 1], 0)
    phases = clip.phases(0)
    assert phases[:3] == pytest.approx(0.25 + np.arange(3) / CYCLE, abs=0.005)
    assert clip.curve(0, 0, np.array([0.0, 0.5])) == pytest.approx([0.5, -0.5], abs=0.005)


def test_a_clip_that_begins_elsewhere_in_its_cycle_has_the_same_curve(task):
    one, other = (clip_of(task, values(first=first)) for first in (0.0, 0.4))
    at = np.linspace(0.0, 1.0, 20)
    assert one.curve(1, 0, at) == pytest.approx(other.curve(1, 0, at), abs=0.01)


def test_a_page_shows_the_cycle_the_command_and_the_joints_that_move(task):
    section = clip_section(task, values())
    assert "0.474 <small>s</small>" in section  # 23.7 rows of 20 ms
    assert "0.300 <small>m/s</small>" in section
    assert re.findall(r"<b>(\w+)</b>", section) == ["hip", "knee"]
    assert section.count("line persistence") == section.count("line model") == 2


def test_a_clip_that_repeats_nothing_says_so(task):
    walked = values()
    for name in ("hip", "knee"):
        walked[name] = np.linspace(0.0, 1.0, 160)
    section = clip_section(task, walked)
    assert "The clip is not periodic" in section
    assert "<svg" not in section
    unknown = {name: np.full(160, np.nan) for name in walked}
    assert clip_section(task, unknown) == ""


def test_a_command_that_changes_is_told_by_its_ends(task):
    changing = values() | {"forward": np.linspace(-0.1, 0.3, 160)}
    section = clip_section(task, changing)
    assert "−0.100 to 0.300" in section


def test_other_tasks_have_no_clips(pendulum):
    assert clip_section(pendulum(), {}) == ""


def test_the_page_of_a_clip_shows_its_cycle_and_every_channel_over_time(task, logs, home):
    snapshot = Snapshot(home, ingest.run(task, home, logs).artifact.ref)
    page = view(task, open_recording(home, next(iter(snapshot))))
    assert page.count('<h2 id="cycle">Cycle</h2>') == 1
    over_time = page.partition('<h2 id="track-0')[2]
    assert re.findall(r"<figcaption><b>(\w+)</b>", over_time) == task.numbers
