"""Reference motions: quaternions, seams of loops, first rows that hold nothing."""

import numpy as np
import pytest

from kinemill.errors import TaskError
from kinemill.ingest.readers.motion_json import read
from kinemill.ingest.readers.ulog import read as read_flight
from kinemill.ingest.tracks import make_tracks
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.validate.apply_checks import apply_checks_to_track
from kinemill.validate.dry_run import dry_run
from kinemill.validate.faults import checks_of
from tests.conftest import learning_task
from tests.validate.conftest import ROOT, locations

TURNING = ["qx", "qy", "qz", "qw"]


def trunk_task(**validate) -> Task:
    """A trunk at 50 Hz that is known by its quaternion, and one joint of it."""
    element = {"role": "state", "kind": "quaternion", "unit": "1"}
    joint = {"role": "state", "kind": "angle", "unit": "rad"}
    channels = {**dict.fromkeys(TURNING, element), "hip": joint}
    return learning_task("trunk", 0.02, channels, validate=validate)


def turning(rows: int = 500) -> dict[str, np.ndarray]:
    """Two turns a second about the vertical, wobbling by 0.2 rad, and 50 periods of a hip."""
    time = 0.02 * np.arange(rows)
    yaw, roll = 2.0 * time, 0.2 * np.sin(3 * time)
    return {
        "qx": np.sin(roll / 2) * np.cos(yaw / 2),
        "qy": np.sin(roll / 2) * np.sin(yaw / 2),
        "qz": np.cos(roll / 2) * np.sin(yaw / 2),
        "qw": np.cos(roll / 2) * np.cos(yaw / 2),
        "hip": 0.5 * np.sin(2 * np.pi * 5 * time),
    }


def test_a_sound_rotation_passes_every_check():
    assert apply_checks_to_track(turning(), trunk_task()).findings == []


def planar(rows: int = 500) -> dict[str, np.ndarray]:
    """A walk in the x-z plane: two elements show the rounding of zero, and rest for 1.2 s."""
    random, time = np.random.default_rng(0), 0.02 * np.arange(rows)
    pitch = 0.3 * np.sin(2 * time)
    values = turning(rows) | {"qy": np.sin(pitch / 2), "qw": np.cos(pitch / 2)}
    for name in ("qx", "qz"):
        values[name] = 1e-9 * random.standard_normal(rows)
        values[name][200:260] = values[name][200]
        values[name][300:] += 5e-8
    return values


def test_elements_that_a_planar_walk_leaves_alone_are_not_blamed():
    assert apply_checks_to_track(planar(), trunk_task()).findings == []
    task = trunk_task()
    rate = {"role": "state", "unit": "1/s", "derivative_of": "qx"}
    document = task.model_dump(by_alias=True)
    document["channels"] |= {"wx": rate}
    values = planar() | {"wx": 0.3 * np.cos(np.arange(500) * 0.02)}
    assert apply_checks_to_track(values, Task.model_validate(document)).findings == []


def test_a_rotation_that_is_frozen_as_a_whole_is_found():
    values = turning()
    for name in TURNING:
        values[name] += 1e-6 * np.random.default_rng(0).standard_normal(500)
        values[name][200:260] = values[name][200]
    assert {channel for _, _, channel in locations(trunk_task(), "stuck", values)} == set(TURNING)
    values = turning()
    values["qx"][200:260] = values["qx"][200]
    assert locations(trunk_task(), "stuck", values) == []  # `quaternion` finds its length


def test_changes_of_sign_are_corrected_without_losing_a_row():
    values, truth = turning(), turning()
    for name in TURNING:
        values[name][100:250] *= -1.0
        values[name][400:] *= -1.0
    verdict = apply_checks_to_track(values, trunk_task())
    expected = [("quaternion", 100, True), ("quaternion", 250, True), ("quaternion", 400, True)]
    assert [(item.check, item.fault.start, item.repaired) for item in verdict.findings] == expected
    assert verdict.findings[0].message.endswith("its sign changed; corrected")
    assert (verdict.pieces, verdict.dropped) == ([(0, 500)], {})
    for name in TURNING:
        assert verdict.repaired[name] == pytest.approx(truth[name], abs=0.0)
        assert values[name][100] == -truth[name][100]  # what was given is not touched
    assert "hip" not in verdict.repaired


@pytest.mark.parametrize("rule", ["split", "repair"])
def test_a_quaternion_of_another_length_is_a_fault_named_by_its_element(rule):
    values = turning()
    values["qy"][200:203] = 0.9
    verdict = apply_checks_to_track(values, trunk_task(on_fault=rule))
    (finding,) = verdict.findings
    assert (finding.check, finding.fault.start, finding.fault.stop) == ("quaternion", 200, 203)
    assert finding.fault.channel == "qy"
    assert "has length 1.3" in finding.fault.actual
    assert verdict.pieces == [(0, 200), (203, 500)]


def test_what_interpolation_takes_off_the_length_is_no_fault():
    values = turning()
    for name in TURNING:  # 10 rad/s at 30 Hz: half-way between two rows, 1 - cos(10 / 30 / 4)
        values[name] *= 1.0 - 0.0035
    assert locations(trunk_task(), "quaternion", values) == []
    for name in TURNING:
        values[name] *= 1.02
    assert locations(trunk_task(), "quaternion", values) == [(0, 500, "qx")]


def test_lengths_all_over_the_place_are_no_noise():
    values = turning()
    swell = 0.5 + 0.45 * np.sin(0.05 * np.arange(500))
    for name in TURNING:
        values[name] *= swell
    rows = sum(stop - start for start, stop, _ in locations(trunk_task(), "quaternion", values))
    # Of a noise no wider than 0.1 about the length 1, 0.95 at most reaches 0.9 for a seventh.
    assert rows > 400


def test_lost_rows_do_not_hide_a_change_of_sign():
    values = turning()
    for name in TURNING:
        values[name][200:] *= -1.0
        values[name][198:204] = np.nan
    assert [row for row, _, _ in locations(trunk_task(), "quaternion", values)] == [204]


def test_three_elements_are_no_rotation(tmp_path):
    path = tmp_path / "trunk.yaml"
    elements = "".join(
        f"  {name}: {{role: state, kind: quaternion, unit: '1'}}\n" for name in TURNING[:3]
    )
    learn = "learn: {type: dynamics, model: {type: mlp}}\n"
    path.write_text(f"task: trunk\ndt: 0.02\nchannels:\n{elements}{learn}")
    with pytest.raises(TaskError, match=r"channels\.qx\.kind: 3 elements .* expected four"):
        load_task(path)


def test_a_motion_that_wraps_is_only_warned_about_where_it_does_not_close():
    task = trunk_task(loop_closure={"channels": ["hip"]})
    whole = turning(500)  # 10 s are 50 periods: row 500 would be row 0
    assert locations(task, "loop_closure", whole) == []
    short = turning(495)
    verdict = apply_checks_to_track(short, task)
    (finding,) = verdict.findings
    assert (finding.check, finding.rule, finding.fault.start) == ("loop_closure", "warn", 494)
    assert verdict.pieces == [(0, 495)]
    step = 0.5 * abs(np.sin(2 * np.pi * 5 * 9.88))
    assert f"the first row is {step:.3g} rad from the last" in finding.fault.actual
    assert verdict.measured["loop_closure"]["hip:gap"] == pytest.approx(step)


def test_a_loop_is_not_asked_of_where_an_end_is_lost():
    values = turning(495)
    values["hip"][0] = np.nan
    assert locations(trunk_task(loop_closure={"channels": ["hip"]}), "loop_closure", values) == []


def late_arm(rows: int = 300):
    """Three joints from rest, 0.4 (1 - cos(w t)) rad, with backward differences as velocities."""
    time = 0.02 * np.arange(rows)
    joints = {
        f"j{k}": 0.4 * (1.0 - np.cos(speed * (time + 0.3)))
        for k, speed in enumerate((3.0, 4.0, 5.0))
    }
    return joints | {
        f"{name}_velocity": np.diff(angle, prepend=angle[0]) / 0.02
        for name, angle in joints.items()
    }


def arm_task(joints: int = 3) -> Task:
    names = [f"j{k}" for k in range(joints)]
    joint = {"role": "state", "kind": "angle", "unit": "rad"}
    speed = {"role": "state", "unit": "rad/s"}
    return learning_task(
        "arm",
        0.02,
        dict.fromkeys(names, joint)
        | {f"{name}_velocity": {**speed, "derivative_of": name} for name in names},
    )


@pytest.mark.parametrize("rule", ["split", "cut", "quarantine"])
def test_velocities_that_are_zero_in_the_first_row_of_a_moving_robot_are_placeholders(rule):
    task = arm_task()
    values = late_arm()
    assert all(values[name][0] == 0.0 for name in values if name.endswith("velocity"))
    strict = task.model_copy(
        update={"validation": task.validation.model_copy(update={"on_fault": rule})}
    )
    verdict = apply_checks_to_track(values, strict)
    assert [(item.check, item.fault.start, item.fault.stop) for item in verdict.findings] == [
        ("placeholder", 0, 1)
    ]
    assert verdict.pieces == [(1, 300)]  # that row alone, whatever is done about other faults


def test_a_leap_out_of_zero_is_a_placeholder_of_one_joint_too():
    time = 0.02 * np.arange(300)
    values = {"j0": 2.0 * np.sin(time), "j0_velocity": 2.0 * np.cos(time)}
    values["j0_velocity"][:2] = 0.0
    assert locations(arm_task(1), "placeholder", values) == [(0, 2, "j0_velocity")]
    assert locations(arm_task(1), "placeholder", {**values, "j0": np.ones(300)}) == []


def test_states_that_wait_for_their_first_message_are_placeholders():
    time = 0.02 * np.arange(300)
    values = {"j0": 1.0 + 0.5 * np.sin(time), "j0_velocity": 0.5 * np.cos(time)}
    for column in values.values():
        column[:3] = 0.0
    assert locations(arm_task(1), "placeholder", values) == [(0, 3, "j0")]


@pytest.mark.parametrize("speed", [0.5, 3.0, 20.0])
def test_a_start_from_rest_is_no_placeholder(speed):
    """A pendulum let go at 0.4 rad, and one pushed by a constant force: v = 0 at first is true."""
    time = 0.02 * np.arange(300)
    swings = {"j0": 0.4 * np.cos(speed * time), "j0_velocity": -0.4 * speed * np.sin(speed * time)}
    pushed = {"j0": 0.5 * speed * time**2, "j0_velocity": speed * time}
    locked = {
        name: np.concatenate((column[:1].repeat(50), column)) for name, column in pushed.items()
    }
    for values in (swings, pushed, locked):
        assert locations(arm_task(1), "placeholder", values) == []


# What the data's README knows of the clips, and what was read off them with numpy alone.
FLIPS = {"go_bdx__33.json": 8.400, "go_bdx__71.json": 3.533, "mini_bdx_all_30fps__0.json": 2.900}


@pytest.fixture(scope="module")
def clips(shared_data, tmp_path_factory):
    task = load_task(ROOT / "tests" / "tasks" / "duck_motion.yaml")
    home = Home(tmp_path_factory.mktemp("home"))
    entries = dry_run(task, home, shared_data / "awd_motion")
    return {entry["file"].rpartition("/")[2]: entry for entry in entries}


def test_every_real_clip_is_accepted_but_for_its_first_frame(clips):
    assert len(clips) == 13
    for name, entry in clips.items():
        assert (entry["outcome"], entry["episodes"], entry["rows"]) == ("episodes", 1, 299), name
        message = {reason["check"]: reason for reason in entry["reasons"]}
        assert set(message) <= {"placeholder", "loop_closure", "quaternion"}, name
        assert message["placeholder"]["where"] == "grid row 0, 0.000-0.000 s"
        assert "every velocity is exactly 0" in message["placeholder"]["found"]


def test_signs_that_change_in_real_clips_are_corrected(clips):
    message = {
        name: [item for item in entry["reasons"] if item["check"] == "quaternion"]
        for name, entry in clips.items()
    }
    assert {name: len(items) for name, items in message.items() if items} == dict.fromkeys(FLIPS, 1)
    for name, seconds in FLIPS.items():
        assert message[name][0]["where"].endswith(f"{seconds:.3f}-{seconds:.3f} s")
        assert message[name][0]["found"].endswith("; corrected")


def test_the_seam_of_a_real_walk_is_the_one_that_is_known(shared_data):
    # README: go_bdx__33 is 0.509 rad open at the right ankle.
    task = load_task(
        ROOT / "tests" / "tasks" / "duck_motion.yaml",
        {
            "dt": 1 / 60,
            "channels.ankle.source": "joints_pos[right_ankle]",
            "channels.ankle_velocity.source": "joints_vel[right_ankle]",
        },
    )
    log = read(shared_data / "awd_motion" / "go_bdx__33.json", task)
    (frame,) = make_tracks(log, task).frames
    values = {name: frame[name].to_numpy() for name in task.columns}
    (fault,) = [
        fault
        for fault in checks_of(task)["loop_closure"].find(values, task)
        if fault.channel == "ankle"
    ]
    assert fault.actual.startswith("the first row is 0.509 rad from the last (6.2 times")


def test_the_attitude_of_a_real_flight_is_sound_and_a_planted_change_is_corrected(shared_data):
    task = load_task(ROOT / "tests" / "tasks" / "vtol_flight.yaml")
    log = read_flight(shared_data / "px4_ulog" / "sample_log_small.ulg", task)
    (frame,) = make_tracks(log, task).frames
    values = {name: frame[name].to_numpy() for name in task.columns}
    assert apply_checks_to_track(values, task).findings == []
    names = [name for name in task.states if name.startswith("attitude")]
    turned = {name: np.concatenate((values[name][:700], -values[name][700:])) for name in names}
    verdict = apply_checks_to_track({**values, **turned}, task)
    (finding,) = verdict.findings
    assert (finding.check, finding.fault.start, finding.repaired) == ("quaternion", 700, True)
    for name in names:
        np.testing.assert_array_equal(verdict.repaired[name], values[name])
    # One element lost, 3 rows: the length gives it away.
    lost = values["attitude_w"].copy()
    lost[300:303] = 0.0
    (finding,) = apply_checks_to_track({**values, "attitude_w": lost}, task).findings
    assert (finding.check, finding.fault.channel) == ("quaternion", "attitude_w")
    assert (finding.fault.start, finding.fault.stop) == (300, 303)
