"""Reference motions of real bipeds: faster, slower, mirrored."""

import numpy as np
import pytest

from kinemill.augment import Signals
from kinemill.augment.mirror import Mirror
from kinemill.augment.time_scale import TimeScale
from kinemill.ingest import stage as ingest
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.validate import stage as validate
from kinemill.validate.apply_checks import apply_checks_to_track
from kinemill.validate.stage import load_episodes

JOINTS = ["hip_yaw", "hip_roll", "hip_pitch", "knee", "ankle"]
TRUNK = ["trunk_x", "trunk_y", "trunk_z", "trunk_w"]
# In which sense a joint turns is the robot's own: this one's hips yaw in opposite senses.
FLIP = [f"{side}_hip_yaw{of}" for side in ("left", "right") for of in ("", "_velocity")]
SYMMETRY = {
    "flip": [*FLIP, "trunk_x", "trunk_z", "turn"],
    "swap": [
        (f"left_{joint}{of}", f"right_{joint}{of}") for joint in JOINTS for of in ("", "_velocity")
    ],
}


@pytest.fixture(scope="module")
def task_file(tmp_path_factory):
    lines = ["task: duck", "dt: 0.016666666666666666", "channels:"]
    for name in (f"{side}_{joint}" for side in ("left", "right") for joint in JOINTS):
        lines += [
            f"  {name}: {{role: state, kind: angle, unit: rad, source: 'joints_pos[{name}]'}}",
            f"  {name}_velocity: {{role: state, unit: rad/s, derivative_of: {name}, "
            f"source: 'joints_vel[{name}]'}}",
        ]
    lines += [
        f"  {name}: {{role: state, kind: quaternion, unit: '1', source: 'root_quat[{k}]'}}"
        for k, name in enumerate(TRUNK)
    ]
    lines += ["  turn: {role: action, unit: rad/s, source: Yaw}"]
    lines += [f"validate: {{stuck: {{ignore: [{', '.join(TRUNK)}]}}}}"]
    lines += ["ingest: {format: motion_json, min_file_age: 0.0}"]
    lines += ["learn: {type: dynamics, model: {type: mlp}}"]
    path = tmp_path_factory.mktemp("task") / "duck.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def episodes_of(task, file, home):
    report = ingest.run(task, home, file)
    return load_episodes(home, validate.run(task, home, report.artifact.ref).ref)


def rows(task, episode):
    return episode.read().select(task.columns).to_numpy().astype(np.float32)


def faults(values, task):
    columns = {name: values[:, at].astype(float) for at, name in enumerate(task.columns)}
    return [
        (item.check, item.fault.channel, item.fault.actual)
        for item in apply_checks_to_track(columns, task).findings
    ]


@pytest.fixture(scope="module")
def gait(shared_data, task_file, tmp_path_factory):
    """A biped walking straight on at 60 frames per second: 25 frames a cycle."""
    task = load_task(task_file)
    home = Home(tmp_path_factory.mktemp("home"))
    (episode,) = episodes_of(task, shared_data / "awd_motion" / "mini_bdx__forward.json", home)
    return task, Signals(task.columns, task.channels, task.dt), rows(task, episode)


def test_a_straight_gait_in_the_mirror_is_the_gait_half_a_cycle_later(gait):
    task, signals, values = gait
    plugin = Mirror(**SYMMETRY)
    assert plugin.problems(task.channels) == []
    mirrored = plugin.vary(values, signals, np.random.default_rng(0))
    assert faults(mirrored, task) == []
    later = 38  # rows: one and a half of 25
    for name in (f"{side}_{joint}" for side in ("left", "right") for joint in JOINTS):
        column = signals.where([name])[0]
        image, original = mirrored[later:, column], values[:-later, column]
        # Two legs of a gait planner with a random start: 0.97 for those that move by a few degrees.
        assert np.corrcoef(image, original)[0, 1] > 0.95, name
        assert image.mean() == pytest.approx(original.mean(), abs=0.02), name
    repeated = plugin.vary(mirrored, signals, np.random.default_rng(0))
    assert repeated.tobytes() == values.tobytes()


def test_a_turn_to_the_left_is_a_turn_to_the_right(shared_data, task_file, tmp_path):
    task = load_task(task_file, {"dt": 1 / 30})
    signals = Signals(task.columns, task.channels, task.dt)
    clip = shared_data / "awd_motion" / "mini_bdx_all_30fps__0.json"
    (episode,) = episodes_of(task, clip, Home(tmp_path))
    values = rows(task, episode)
    mirrored = Mirror(**SYMMETRY).vary(values, signals, np.random.default_rng(0))
    heading = [signals.where([name])[0] for name in ("trunk_z", "trunk_w")]
    yaw = [
        2.0 * np.unwrap(np.arctan2(*result[:, heading].T.astype(float)))
        for result in (values, mirrored)
    ]
    assert abs(yaw[0][-1] - yaw[0][0]) > 1.0  # rad
    np.testing.assert_allclose(yaw[1] - yaw[1][0], -(yaw[0] - yaw[0][0]), atol=1e-5)
    assert faults(mirrored, task) == []


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_a_gait_at_another_speed_takes_other_time_and_passes_the_checks(gait, speed):
    task, signals, values = gait
    plugin = TimeScale(factor=(speed, speed), powers={"turn": 1.0})
    assert plugin.problems(task.channels) == []
    faster = plugin.vary(values, signals, np.random.default_rng(0))
    assert len(faster) == int((len(values) - 1) / speed) + 1
    assert faults(faster, task) == []
    knee, velocity = (signals.where([name])[0] for name in ("left_knee", "left_knee_velocity"))
    # The same bend of the knee, at another pace: 25 frames a cycle become 25 / speed.
    assert np.ptp(faster[:, knee]) == pytest.approx(np.ptp(values[:, knee]), rel=0.02)
    energy = [np.abs(np.fft.rfft(x[:, velocity] - x[:, velocity].mean())) for x in (values, faster)]
    pace = [np.argmax(power) / len(x) for power, x in zip(energy, (values, faster), strict=True)]
    assert pace[1] / pace[0] == pytest.approx(speed, rel=0.02)
    length = np.linalg.norm(faster[:, signals.where(TRUNK)].astype(float), axis=1)
    np.testing.assert_allclose(length, 1.0, atol=1e-6)
