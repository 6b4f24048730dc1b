"""Drafting a task from logs: real sets, and made ones whose truth is known."""

import numpy as np
import pytest

from kinemill.draft.builder import build, draft
from kinemill.draft.draft_check import check_draft
from kinemill.errors import BadInput, BadLog
from kinemill.ingest import stage as ingest
from kinemill.validate import stage as validate
from tests.draft.tables import ingest_and_pack, load, table


@pytest.mark.ci
@pytest.mark.parametrize(
    ("folder", "dt", "states", "actions", "least"),
    [
        ("double_pendulum_sysid", 0.01, ["pos1", "pos2", "vel1", "vel2"], ["tau1", "tau2"], 12),
        ("simple_pendulum", 0.02, ["position", "velocity"], ["torque"], 6),
        (
            "pendubot_400hz",
            0.0025,
            ["pos_meas1", "pos_meas2", "vel_meas1", "vel_meas2"],
            ["tau_con1", "tau_con2"],
            5,
        ),
    ],
)
def test_the_draft_of_a_real_set_runs_to_its_dataset(
    shared_data, tmp_path, home, folder, dt, states, actions, least
):
    task, _ = load(tmp_path, "drafted", shared_data / folder)
    assert (task.dt, task.states, task.actions) == (dt, states, actions)
    half = len(states) // 2
    for position, velocity in zip(states[:half], states[half:], strict=True):
        assert task.channels[position].kind == "angle"
        assert task.channels[velocity].derivative_of == position
        assert task.channels[velocity].unit == "rad/s"
    assert {task.channels[name].unit for name in actions} == {"N*m"}
    dataset, _ = ingest_and_pack(task, home, shared_data / folder)
    assert len({item.recording for item in dataset.episodes}) >= least


def test_vectors_of_a_humanoid_are_channels_called_as_its_data_set_calls_them(
    shared_data, tmp_path, home
):
    folder = shared_data / "g1_lerobot"
    log = min(folder.rglob("episode_*.parquet"))
    task, text = load(tmp_path, "humanoid", log)
    assert (len(task.states), len(task.actions), task.dt) == (26, 26, pytest.approx(1 / 30))
    elbow = task.channels["k_left_elbow"]
    assert (elbow.source[0].name, elbow.kind) == ("observation.state[3]", "angle")
    assert task.channels["k_right_hand_index"].source[0].name == "observation.state[23]"
    assert task.channels["action_k_left_elbow"].source[0].name == "action[3]"
    # Arms are told where to go in rad; what hands are told has no unit that anybody wrote down.
    assert task.channels["action_k_left_elbow"].unit == "rad"
    assert task.channels["action_k_left_hand_index"].unit == "1"
    assert task.description == "Pick up the yellow bottle on the table."
    assert "a counter, by its name: frame_index" in text
    episodes = validate.run(task, home, ingest.run(task, home, log).artifact.ref)
    assert episodes.summary["dropped"] == {}


def test_other_readings_and_plans_of_a_real_log_are_left_out(shared_data, tmp_path):
    task, text = load(tmp_path, "one", shared_data / "pendubot_400hz" / "exp01.csv")
    # 15 more columns are plans, friction models and other readings of the same quantities.
    assert "left out, another reading of tau_con1: tau_meas1" in text
    assert "pos_des1" in text
    assert "pos_des1" not in task.channels


def test_a_velocity_in_degrees_is_recognized_by_the_position_it_follows(tmp_path, time):
    turn = 180 / np.pi
    path = table(tmp_path / "a.csv", t=time, theta=np.sin(time), omega=turn * np.cos(time))
    task, text = load(tmp_path, "deg", path)
    channel = task.channels["omega"]
    assert (channel.derivative_of, channel.unit) == ("theta", "rad/s")
    assert channel.source[0].unit == "deg/s"
    assert channel.limits is None
    # Of 1 rad/s: half the range, a tenth of the size.
    assert channel.observed_range == (-2.1, 2.1)
    assert "in deg/s, by theta" in text


def test_a_range_of_one_turn_is_an_angle_and_of_360_is_degrees(tmp_path, time):
    wrapped = np.mod(3 * time, 2 * np.pi) - np.pi
    path = table(tmp_path / "a.csv", t=time, pos1=wrapped, pos2=np.mod(50 * time, 360.0))
    task, _ = load(tmp_path, "turns", path)
    assert {task.channels[name].kind for name in ("pos1", "pos2")} == {"angle"}
    assert task.channels["pos2"].source[0].unit == "deg"


@pytest.mark.parametrize("names", [("joint1_pos", "joint2_pos"), ("left_hip", "right_knee")])
def test_angles_of_one_family_have_one_doubt(tmp_path, time, names):
    angles = dict(zip(names, (70.0 * np.sin(time), 2.0 * np.cos(time)), strict=True))
    draft = build("arm", table(tmp_path / "a.csv", time=time, **angles, u=time % 3))
    notes = [column.notes for column in draft.columns if column.channel in names]
    assert notes[0] == notes[1]
    assert "reach 70" in notes[0][0]


def test_the_log_whose_angles_are_in_degrees_is_named(tmp_path, time):
    for run in range(3):
        size = 57.3 if run == 1 else 1.0
        waves = {"joint1_pos": size * np.sin(time + run), "joint1_torque": np.cos(3 * time)}
        table(tmp_path / f"run{run}.csv", time=time, **waves)
    (angle, _) = build("arm", tmp_path).columns
    assert "the values reach 57.3 in run1.csv alone: in deg?" in angle.notes


@pytest.mark.parametrize(
    ("largest", "unit", "reads"),
    [(90, "rad", "unit: deg"), (11663, "1", "whole numbers to 11663: counts of a sensor?")],
)
def test_an_angle_in_whole_numbers_is_not_in_rad(tmp_path, time, largest, unit, reads):
    angle = np.round(largest * np.abs(np.sin(time)))
    path = table(tmp_path / "a.csv", time=time, angle=angle, valve=time % 3)
    task, text = load(tmp_path, "arm", path)
    assert task.channels["angle"].unit == unit
    assert reads in text


def test_a_distance_of_one_turn_is_no_angle_and_the_number_of_a_mode_no_state(tmp_path, time):
    along, mode = 6.28 * (time / 8) - 2, np.round(time) % 7
    columns = {"position.x": along, "force.x": time % 3, "torque.x": time % 2, "mode": mode}
    path = table(tmp_path / "a.csv", time=time, **columns, yaw=np.mod(90 * time, 360.0))
    task, text = load(tmp_path, "diver", path)
    kinds = {name: task.channels[name].kind for name in ("position_x", "yaw")}
    assert kinds == {"position_x": "linear", "yaw": "angle"}
    assert "left out, a status by its name, of 7 whole numbers: mode" in text


def test_an_action_far_from_the_angle_of_its_name_is_no_target_of_it(tmp_path, time):
    elbow = np.sin(time)
    path = table(tmp_path / "arm.csv", time=time, elbow=elbow, cmd_elbow=20.0 * np.cos(9 * time))
    assert load(tmp_path, "arm", path)[0].channels["cmd_elbow"].unit == "1"
    near = table(tmp_path / "near.csv", time=time, elbow=elbow, cmd_elbow=np.sin(time + 0.1))
    assert load(tmp_path, "near", near)[0].channels["cmd_elbow"].unit == "rad"


@pytest.mark.parametrize(("suffix", "role"), [("eff", "action"), ("load", "state")])
def test_another_quantity_of_a_joint_with_a_position_is_no_second_position(
    tmp_path, time, suffix, role
):
    waves = {"knee_pos": np.sin(time), f"knee_{suffix}": 20.0 * np.cos(9 * time)}
    task, _ = load(tmp_path, "leg", table(tmp_path / "leg.csv", time=time, **waves))
    assert (task.channels["knee_pos"].kind, task.channels["knee_pos"].role) == ("angle", "state")
    quantity = task.channels[f"knee_{suffix}"]
    assert (quantity.kind, quantity.role, quantity.unit) == ("linear", role, "1")


def test_four_elements_are_a_quaternion_only_where_their_length_is_one(tmp_path, time):
    turned = {"q_w": np.cos(time), "q_x": 0.6 * np.sin(time), "q_y": 0.8 * np.sin(time)}
    path = table(tmp_path / "a.csv", time=time, **turned, q_z=1e-3 * np.sin(3 * time))
    task, _ = load(tmp_path, "turning", path)
    assert {task.channels[name].kind for name in ("q_w", "q_x", "q_y", "q_z")} == {"quaternion"}
    path = table(tmp_path / "b.csv", time=time, **turned, q_z=0.5 * np.sin(3 * time))
    task, text = load(tmp_path, "stretched", path)
    assert task.channels["q_w"].kind == "linear"
    assert "# no action found" in text


def test_a_velocity_along_an_axis_is_not_taken_for_one_of_a_turn(tmp_path, time):
    path = table(
        tmp_path / "a.csv", time=time, hip_pitch=np.sin(time), vel_x=np.cos(7 * time) + time
    )
    task, text = load(tmp_path, "walker", path)
    assert task.channels["vel_x"].unit == "1"
    assert "# rule: name; unit?; follows no position in the data" in text


def test_an_unknown_unit_is_asked_for(tmp_path, time):
    path = table(tmp_path / "a.csv", time=time, x=np.sin(time), foo=np.cos(5 * time), u=time)
    task, text = load(tmp_path, "asks", path)
    assert {name: task.channels[name].role for name in ("x", "foo", "u")} == {
        "x": "state", "foo": "state", "u": "action",
    }  # fmt: skip
    lines = [line for line in text.splitlines() if "; unit?" in line]
    assert len(lines) == 3
    assert all("unit: 1," in line for line in lines)


def test_a_name_that_yaml_would_misread_is_quoted(tmp_path, time):
    columns = {"time": time, 'joint "1" [rad]: pos': np.sin(time), "on": np.cos(time)}
    task, _ = load(tmp_path, "odd", table(tmp_path / "a.csv", **columns))
    names = [channel.source[0].name for channel in task.channels.values()]
    assert len(names) == 2
    assert "on" in names


@pytest.mark.parametrize(
    ("content", "error"),
    [("a,b\n1,2\n3,1\n2,5\n", BadLog), ("time,mode\n0,1\n1,1\n2,1\n3,1\n", BadInput), ("", BadLog)],
)
def test_a_log_that_gives_no_task_is_refused(tmp_path, content, error):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(error):
        draft("none", path)


# Large sets are slow: drafts of some run to a dataset above, and test_motion.py has the clips.
SMALL = ["acrobot_pendubot_33hz", "bouc_wen_sim_h5", "buck_converter", "cartpole_sim_mcap"]
SMALL += ["cascaded_tanks", "g1_lerobot", "px4_ulog", "rlc_sim"]
LARGE = ["awd_motion", "dc_generator", "double_pendulum_c0", "silverbox"]
RATES = {"dc_generator": 50.0, "silverbox": 610.35}  # Hz, of logs without stamps


@pytest.mark.ci
@pytest.mark.parametrize(
    "name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]
)
def test_draft_of_a_set_takes_all_logs_that_it_was_made_from(shared_data, name):
    checked = check_draft(build("drafted", shared_data / name, RATES.get(name)))
    assert checked.entries
    assert checked.refused == []
