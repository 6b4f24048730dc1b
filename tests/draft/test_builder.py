"""Drafting a task from logs: real sets, and made ones whose truth is known."""

import numpy as np
import pytest

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.draft.builder import build, draft
from kinemill.draft.logs import read_tables
from kinemill.draft.own_logs import check_own_logs
from kinemill.draft.timing import nice
from kinemill.errors import BadInput, BadLog
from kinemill.ingest import stage as ingest
from kinemill.ingest.name_heuristics import guess
from kinemill.task import load_task
from kinemill.validate import load_checks
from kinemill.validate import stage as validate
from kinemill.validate.dry_run import dry_run


def load(tmp_path, name, source):
    path = tmp_path / f"{name}.yaml"
    path.write_text(draft(name, source), encoding="utf-8")
    return load_task(path), path.read_text()


def table(path, **columns):
    rows = np.stack(list(columns.values()), axis=1)
    lines = [",".join(f"{value:.10g}" for value in row) for row in rows]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


@pytest.fixture
def time():
    return 0.01 * np.arange(800)


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
    episodes = validate.run(task, home, ingest.run(task, home, shared_data / folder).artifact.ref)
    failed = [item.name for item in load_checks(home, episodes.ref) if item.blocking]
    assert failed
    assert all(item.passed for item in load_checks(home, episodes.ref) if item.blocking)
    dataset = load_dataset(home, dataset_stage.run(task, home, episodes.ref).ref)
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


def test_a_draft_from_one_log_names_another_as_the_test(shared_data, tmp_path):
    folder = shared_data / "pendubot_400hz"
    task, text = load(tmp_path, "one", folder / "exp01.csv")
    assert task.dataset.test == ["*sac_exp03.csv"]
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


def test_a_velocity_that_follows_no_position_is_not_its_derivative(tmp_path, time):
    path = table(tmp_path / "a.csv", t=time, theta=np.sin(time), vel=np.sin(7 * time))
    task, text = load(tmp_path, "loose", path)
    assert task.channels["vel"].derivative_of is None
    assert "follows no position in the data" in text


def test_a_range_of_one_turn_is_an_angle_and_of_360_is_degrees(tmp_path, time):
    wrapped = np.mod(3 * time, 2 * np.pi) - np.pi
    path = table(tmp_path / "a.csv", t=time, pos1=wrapped, pos2=np.mod(50 * time, 360.0))
    task, _ = load(tmp_path, "turns", path)
    assert {task.channels[name].kind for name in ("pos1", "pos2")} == {"angle"}
    assert task.channels["pos2"].source[0].unit == "deg"


def test_a_distance_of_one_turn_is_no_angle_and_the_number_of_a_mode_no_state(tmp_path, time):
    along, mode = 6.28 * (time / 8) - 2, np.round(time) % 7
    columns = {"position.x": along, "force.x": time % 3, "torque.x": time % 2, "mode": mode}
    path = table(tmp_path / "a.csv", time=time, **columns, yaw=np.mod(90 * time, 360.0))
    task, text = load(tmp_path, "diver", path)
    kinds = {name: task.channels[name].kind for name in ("position_x", "yaw")}
    assert kinds == {"position_x": "linear", "yaw": "angle"}
    assert "left out, a status by its name, of 7 whole numbers: mode" in text


def test_an_acceleration_by_its_unit_is_an_output(tmp_path, time):
    columns = {"v(m/s)": np.sin(time), "lateral(m/s^2)": np.cos(time), "u": time % 3}
    task, _ = load(tmp_path, "car", table(tmp_path / "a.csv", time=time, **columns))
    assert {name: one.role for name, one in task.channels.items()} == {
        "v": "state", "lateral": "output", "u": "action",
    }  # fmt: skip


def test_stamps_of_the_sensor_are_preferred_to_those_of_messages_that_came_in_bursts(
    tmp_path, time
):
    measured = 1.7e9 + time
    received = np.repeat(measured[::4] + 0.05, 4) + np.tile([0.0, 1e-4, 2e-4, 3e-4], 200)
    columns = {"header.stamp": measured, "pos": np.sin(time), "u": time % 3}
    rows = np.column_stack([received, *columns.values()])
    path = tmp_path / "a.csv"
    header = ",".join(["%time", *columns])
    np.savetxt(path, rows, "%.6f", delimiter=",", header=header, comments="")
    task, text = load(tmp_path, "diver", path)
    assert (task.dt, task.ingest.time, list(task.channels)) == (
        0.01,
        ["header.stamp"],
        ["pos", "u"],
    )
    assert "left out, another clock: it rises with time: %time" in text


def test_a_clock_named_at_its_end_is_preferred_to_a_frame_number(tmp_path, time):
    columns = {"FrameNumber": 1.0 * np.arange(800), "Systime": time, "pos": np.sin(time)}
    path = table(tmp_path / "a.csv", **columns, u=time % 3)
    task, _ = load(tmp_path, "plane", path)
    assert (task.dt, task.ingest.time) == (0.01, ["Systime"])


def test_a_clock_may_repeat_stamps_in_some_rows(tmp_path, time):
    """A logger at 100 Hz with a source that is a third slower writes every third row twice."""
    stamps = 1e6 * (5.0 + time - 0.01 * (np.arange(800) % 3 == 2))
    path = table(tmp_path / "a.csv", timestamp_us=stamps, pos=np.sin(time), u=time % 3)
    task, _ = load(tmp_path, "drone", path)
    assert (task.ingest.time, task.ingest.time_unit) == (["timestamp_us"], "us")
    assert task.dt == pytest.approx(0.015, abs=0.006)  # steps are 10 ms and 20 ms


def test_a_number_of_the_row_is_no_channel(tmp_path, time):
    numbers = np.arange(800) + 1.0 + (np.arange(800) > 300)  # one row was lost
    encoder = np.round(50 * np.sin(time))
    path = table(tmp_path / "a.csv", time=time, Num=numbers, encoder=encoder, u=time % 3)
    task, text = load(tmp_path, "arm", path)
    assert list(task.channels) == ["encoder", "u"]
    assert "a counter: it rises by 1 in each row: Num" in text


def test_a_column_that_diverged_is_no_channel(tmp_path, time):
    """A model in the log overflows; float32 holds numbers up to 3.4e38."""
    columns = {"pos": np.sin(time), "estimate": np.where(time > 7, 1e178, time), "u": time % 3}
    task, text = load(tmp_path, "arm", table(tmp_path / "a.csv", time=time, **columns))
    assert list(task.channels) == ["pos", "u"]
    assert "holds numbers beyond 3.4e+38" in text


def test_an_action_far_from_the_angle_of_its_name_is_no_target_of_it(tmp_path, time):
    elbow = np.sin(time)
    path = table(tmp_path / "arm.csv", time=time, elbow=elbow, cmd_elbow=20.0 * np.cos(9 * time))
    assert load(tmp_path, "arm", path)[0].channels["cmd_elbow"].unit == "1"
    near = table(tmp_path / "near.csv", time=time, elbow=elbow, cmd_elbow=np.sin(time + 0.1))
    assert load(tmp_path, "near", near)[0].channels["cmd_elbow"].unit == "rad"


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
    assert "# unit?; follows no position in the data" in text


def test_an_unknown_unit_is_asked_for(tmp_path, time):
    path = table(tmp_path / "a.csv", time=time, x=np.sin(time), foo=np.cos(5 * time), u=time)
    task, text = load(tmp_path, "asks", path)
    assert {name: task.channels[name].role for name in ("x", "foo", "u")} == {
        "x": "state", "foo": "state", "u": "action",
    }  # fmt: skip
    lines = [line for line in text.splitlines() if "# unit?" in line]
    assert len(lines) == 3
    assert all("unit: 1," in line for line in lines)


@pytest.mark.parametrize(
    ("stamps", "unit"),
    [
        (lambda time: 1e3 * time, "ms"),
        (lambda time: 1.7e9 + time, "s"),
        (lambda time: np.round(1.7e12 + 1e3 * time), "ms"),
    ],
)
def test_the_unit_of_stamps_is_found(tmp_path, time, stamps, unit):
    columns = {"timestamp": stamps(time), "q1": np.sin(time), "tau1": np.cos(time)}
    path = tmp_path / "a.csv"
    lines = [
        ",".join(f"{value:.3f}" for value in row) for row in zip(*columns.values(), strict=True)
    ]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    task, _ = load(tmp_path, "stamps", path)
    assert (task.ingest.time_unit, task.dt) == (unit, 0.01)


def test_columns_that_say_nothing_are_left_out_and_named(tmp_path, time):
    path = table(tmp_path / "a.csv", time=time, q=np.sin(time), mode=0 * time, u=np.cos(time))
    path.write_text(path.read_text().replace("time,q,mode,u", "time,q,mode,u,note", 1))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(f"{line},hello" for line in lines[1:])]) + "\n")
    task, text = load(tmp_path, "few", path)
    assert task.columns == ["q", "u"]
    assert "left out, never changes: mode" in text
    assert "left out, holds no numbers: note" in text


def test_a_name_that_yaml_would_misread_is_quoted(tmp_path, time):
    columns = {"time": time, 'joint "1" [rad]: pos': np.sin(time), "on": np.cos(time)}
    task, _ = load(tmp_path, "odd", table(tmp_path / "a.csv", **columns))
    names = [channel.source[0].name for channel in task.channels.values()]
    assert len(names) == 2
    assert "on" in names


def test_semicolons_and_decimal_commas_are_read(tmp_path, time):
    path = table(tmp_path / "a.csv", time=time, q=np.sin(time), u=np.cos(time))
    path.write_text(path.read_text().replace(",", ";").replace(".", ","))
    task, _ = load(tmp_path, "comma", path)
    assert (task.dt, task.columns) == (0.01, ["q", "u"])


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("a,b\n1,2\n3,1\n2,5\n", BadLog),
        ("time,mode\n0,1\n1,1\n2,1\n3,1\n", BadInput),
        ("", BadLog),
    ],
)
def test_a_log_that_gives_no_task_is_refused(tmp_path, content, error):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(error):
        draft("none", path)


@pytest.mark.parametrize("name", ["a.bag", "a.mcap", "a.h5", "a.parquet", "a.ulg", "a.mat"])
def test_a_log_that_is_damaged_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"x")
    with pytest.raises(BadLog):
        draft("none", path)


def test_a_log_without_stamps_asks_for_their_rate_and_takes_it(tmp_path, time):
    path = table(tmp_path / "a.csv", u=np.sin(50 * time), y=np.cos(40 * time))
    with pytest.raises(BadLog, match="--rate HZ"):
        draft("asks", path)
    (tmp_path / "told.yaml").write_text(draft("told", path, 50.0))
    task = load_task(tmp_path / "told.yaml")
    assert (task.dt, task.ingest.rate, task.columns) == (0.02, 50.0, ["channel_y", "u"])


@pytest.mark.parametrize("rate", [{"fs": 50.0}, {"Ts": 0.02}], ids=["fs", "Ts"])
def test_a_log_without_stamps_that_states_its_rate_once_is_drafted_with_it(tmp_path, time, rate):
    ((name, value),) = rate.items()
    path = table(tmp_path / "a.csv", u=np.sin(50 * time), y=np.cos(40 * time))
    first, *rows = path.read_text().splitlines()
    lines = [f"{first},{name}", f"{rows[0]},{value}", *(f"{row}," for row in rows[1:])]
    path.write_text("\n".join(lines))
    (tmp_path / "stated.yaml").write_text(draft("stated", path))
    task = load_task(tmp_path / "stated.yaml")
    assert (task.dt, task.ingest.rate, task.columns) == (0.02, 50.0, ["channel_y", "u"])


def test_logs_that_state_different_rates_are_not_drafted_together(tmp_path, time):
    for name, rate in {"a.csv": 50.0, "b.csv": 100.0}.items():
        values = {"u": np.sin(50 * time), "y": np.cos(40 * time), "fs": np.full(len(time), rate)}
        table(tmp_path / name, **values)
    logs = read_tables(tmp_path, None)
    assert [one.path.name for one in logs.tables] == ["a.csv"]
    assert logs.problems == {"b.csv": "b.csv has 100 Hz; a.csv has 50 Hz"}


def test_even_stamps_give_their_own_step_and_no_rounded_one(tmp_path, time):
    path = table(tmp_path / "a.csv", time=time * 100 / 750, q=np.sin(time), u=np.cos(time))
    assert load(tmp_path, "even", path)[0].dt == pytest.approx(1 / 750, rel=1e-6)


@pytest.mark.parametrize(
    ("measured", "rounded"),
    [(0.00201, 0.002), (0.0303, 0.03), (0.0333, 0.03333), (0.0164, 0.01667), (0.0199, 0.02)],
)
def test_a_time_step_is_rounded_to_a_usual_one(measured, rounded):
    assert nice(measured) == rounded


@pytest.mark.parametrize(
    ("name", "role", "what", "unit"),
    [
        ("tau_con1", "action", "action", "N*m"),
        ("motor_vel", "state", "velocity", None),
        ("hipAngle_deg", "state", "position", "deg"),
        ("cmd_vel_x", "action", "action", None),
        ("vel_des2", None, "reference", None),
        ("q_vir_1", None, "reference", None),
        ("speed_setpoint", None, "reference", None),
        ("pwm_left", "action", "action", None),
        ("duty", "action", "action", None),
        ("motor_current", "action", "action", "A"),
        ("acc_x", "observation", "acceleration", None),
        ("force_sensor", "observation", "sensor", None),
        ("voltage", "action", "action", "V"),
        ("qd3", "state", "velocity", None),
        ("relay", "action", "action", None),
        ("fan_percent", "action", "action", None),
        ("fan_rpm", "state", "unknown", "rpm"),
        ("valve_pressure", "state", "unknown", None),
        ("heater_temp_C", "state", "unknown", "degC"),
        ("motor_temp", "state", "unknown", None),
        ("phase_C", "state", "unknown", None),
    ],
)
def test_names_tell_roles_and_units(name, role, what, unit):
    result = guess(name)
    assert (result.role, result.what, result.unit) == (role, what, unit)


def accepted(tmp_path, home, folder, name="drafted"):
    """Draft a task from a folder; return it, its text, and entries of logs that give nothing."""
    task, text = load(tmp_path, name, folder)
    entries = dry_run(task, home, folder)
    return task, text, [entry for entry in entries if not entry["episodes"]]


def test_two_logs_share_the_channels_that_both_have(tmp_path, home, time):
    folder = tmp_path / "two"
    folder.mkdir()
    columns = {"time": time, "pos": np.sin(time), "vel": np.cos(time), "u": np.cos(3 * time)}
    table(folder / "a.csv", **columns, left=np.sin(2 * time))
    table(folder / "b.csv", **columns, right=np.sin(5 * time))
    task, text, lost = accepted(tmp_path, home, folder)
    assert (task.states, task.actions, lost) == (["pos", "vel"], ["u"], [])
    assert "left out, in 1 of 2 logs: left, right" in text


def pushed(time, force):
    """Return the position of a mass of 1 kg under a force (n,) N, (n,) m."""
    position, velocity = np.zeros(len(time)), 0.0
    for row in range(1, len(time)):
        velocity += 0.01 * (force[row - 1] - 5.0 * position[row - 1] - velocity)
        position[row] = position[row - 1] + 0.01 * velocity
    return position


@pytest.mark.parametrize(("driving", "lost"), [(True, ["3.csv"]), (False, [])])
def test_a_column_that_a_log_lacks_is_needed_if_the_motion_depends_on_it(
    tmp_path, home, time, driving, lost
):
    folder = tmp_path / "many"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        push, other = (np.repeat(random.uniform(-5, 5, 80), 10) for _ in range(2))
        columns = {"time": time, "pos": pushed(time, push), "u": other}
        force = {} if number == 3 else {"force": push if driving else np.roll(push, 400)}
        table(folder / f"{number}.csv", **columns, **force)
    task, text, quarantined = accepted(tmp_path, home, folder)
    assert task.actions == (["u", "force"] if driving else ["u"])
    assert [entry["file"].rpartition("/")[2] for entry in quarantined] == lost
    if driving:
        assert "# log not used: 3.csv: has no force" in text
    else:
        assert "left out, in 3 of 4 logs, and the other columns predict the motion as well" in text


def test_one_log_without_most_columns_is_not_used(tmp_path, time):
    """A file of times next to trajectories leaves their columns in the draft."""
    (tmp_path / "logs").mkdir()
    for number in range(3):
        columns = {f"pos{at}": np.sin((at + number + 1) * time) for at in range(4)}
        table(tmp_path / "logs" / f"{number}.csv", time=time, **columns)
    table(tmp_path / "logs" / "3.csv", time=time, pos0=np.sin(time))
    draft = build("camera", tmp_path / "logs")
    assert [one.channel for one in draft.columns] == ["pos0", "pos1", "pos2", "pos3"]
    assert draft.unused == {"3.csv": "has no pos1, pos2, pos3"}


def test_of_logs_for_each_topic_the_states_are_drafted(tmp_path, time):
    (tmp_path / "logs").mkdir()
    for number in range(2):
        table(tmp_path / "logs" / f"pose_{number}.csv", time=time, pos=np.sin(time + number))
        table(tmp_path / "logs" / f"wrench_{number}.csv", time=time, force=time % (number + 2))
    draft = build("diver", tmp_path / "logs")
    assert [one.channel for one in draft.columns] == ["pos"]
    assert draft.unused == {f"wrench_{number}.csv": "has no pos" for number in range(2)}


def test_logs_that_each_lack_something_share_what_all_have(tmp_path, home, time):
    folder = tmp_path / "each"
    folder.mkdir()
    extras = ("one", "two", "three")
    for number, lacking in enumerate(extras):
        columns = {"time": time, "pos": np.sin(time + number), "u": np.cos(3 * time + number)}
        rest = {name: np.sin(time * len(name)) for name in extras if name != lacking}
        table(folder / f"{number}.csv", **columns, **rest)
    task, _, lost = accepted(tmp_path, home, folder)
    assert (task.states, task.actions, lost) == (["pos"], ["u"], [])


def test_letters_of_a_text_are_no_states(tmp_path, time):
    texts = np.array([b"auto" if k % 40 < 20 else b"hand" for k in range(len(time))])
    codes = np.frombuffer(texts.tobytes(), np.uint8).reshape(len(time), 4)
    counts = np.stack([np.arange(800) % 90 + 33, np.arange(800) % 11], axis=1)
    np.savez(
        tmp_path / "a.npz", time=time, pos=np.sin(time), u=np.cos(time), mode=codes, count=counts
    )
    task, text = load(tmp_path, "drafted", tmp_path / "a.npz")
    assert task.states == ["pos", "count_0", "count_1"]
    assert "left out, a letter of a text: mode[0], mode[1], mode[2], mode[3]" in text


def test_accelerations_are_states_only_where_there_is_no_other(tmp_path, home, time):
    alone = table(tmp_path / "alone.csv", time=time, acc=-np.sin(time), u=np.cos(3 * time))
    task, _ = load(tmp_path, "alone", alone)
    assert (task.states, task.actions) == (["acc"], ["u"])
    with_velocity = table(
        tmp_path / "beside.csv", time=time, pos=np.sin(time), acc=-np.sin(time), u=np.cos(3 * time)
    )
    task, text = load(tmp_path, "beside", with_velocity)
    assert task.states == ["pos"]
    assert (task.channels["acc"].role, task.outputs) == ("output", ["acc"])
    assert "# predicted, not fed back" in text


def test_references_are_actions_only_where_there_is_no_command(tmp_path, time):
    columns = {"time": time, "pos": np.sin(time), "pos_ref": np.sin(time + 0.2)}
    task, _ = load(tmp_path, "closed", table(tmp_path / "closed.csv", **columns))
    assert (task.states, task.actions) == (["pos"], ["pos_ref"])
    path = table(tmp_path / "open.csv", **columns, pwm=np.cos(3 * time))
    task, text = load(tmp_path, "open", path)
    assert (task.states, task.actions) == (["pos"], ["pwm"])
    assert "left out, a reference of the controller, by its name" in text


def test_a_measured_current_is_a_state_only_beside_a_command(tmp_path, time):
    columns = {"time": time, "pos": np.sin(time), "motor_current": np.cos(2 * time)}
    task, _ = load(tmp_path, "alone", table(tmp_path / "alone.csv", **columns))
    assert (task.states, task.actions) == (["pos"], ["motor_current"])
    path = table(tmp_path / "driven.csv", **columns, duty=np.cos(3 * time))
    task, _ = load(tmp_path, "driven", path)
    assert (task.states, task.actions) == (["pos", "motor_current"], ["duty"])


def test_a_reset_of_the_clock_hides_no_derivative(tmp_path, time):
    clock = np.tile(time[:200], 4)
    log = table(
        tmp_path / "reset.csv",
        time=clock, pos=np.sin(3 * time), vel=3 * np.cos(3 * time), u=np.cos(time),
    )  # fmt: skip
    task, _ = load(tmp_path, "reset", log)
    assert task.channels["vel"].derivative_of == "pos"


def test_a_speed_in_rpm_is_the_derivative_of_an_angle_in_degrees(tmp_path, home, time):
    log = table(
        tmp_path / "rpm.csv",
        **{
            "time": time,
            "Joint Angle (deg)": np.degrees(np.sin(3 * time)),
            "Joint Speed (rpm)": 3 * np.cos(3 * time) * 30 / np.pi,
            "u": np.cos(time),
        },
    )
    task, _ = load(tmp_path, "rpm", log)
    speed = task.channels["joint_speed"]
    assert (speed.derivative_of, speed.unit) == ("joint_angle", "rad/s")
    assert (speed.source[0].unit, max(speed.observed_range)) == ("rpm", pytest.approx(6.0, rel=0.2))


def test_names_without_a_letter_are_columns(tmp_path, time):
    columns = {"_": np.sin(time), "°": time, "%": np.cos(time), "u": time % 3}
    draft = build("signs", table(tmp_path / "a.csv", time=time, **columns))
    assert [one.names for one in draft.columns] == [["_"], ["°"], ["%"], ["u"]]


def test_two_columns_of_one_name_are_two_columns(tmp_path, time):
    log = tmp_path / "twice.csv"
    rows = [f"{t:.2f},{np.sin(t)},{np.cos(t)},{np.sin(3 * t)}" for t in time]
    log.write_text("\n".join(["time,V,u,V", *rows]) + "\n")
    task, _ = load(tmp_path, "twice", log)
    assert [task.channels[name].source[0].name for name in task.states] == ["V[0]", "V[1]"]


NO_LOGS = {"awd_robots"}  # robot models
RATES = {"dc_generator": 50.0, "silverbox": 610.35}  # Hz, of logs without stamps


def test_the_draft_of_any_set_takes_the_logs_it_was_made_from(shared_data):
    for folder in sorted(path for path in shared_data.iterdir() if path.is_dir()):
        if folder.name in NO_LOGS:
            continue
        checked = check_own_logs(build("drafted", folder, RATES.get(folder.name)))
        assert checked.entries
        assert checked.refused == [], folder


@pytest.mark.parametrize(
    ("name", "role"),
    [("V_IN", "action"), ("flow_in", "action"), ("V_C", "state"), ("in_range", "state"),
     ("angle_in", "state")],
)  # fmt: skip
def test_a_name_that_ends_with_in_is_an_input_unless_it_names_a_state(name, role):
    assert guess(name).role == role


@pytest.mark.parametrize(
    ("name", "what"),
    [("T_set", "reference"), ("speed_sp", "reference"), ("set", "unknown"),
     ("training_set", "unknown"), ("Training_Set[3]", "unknown")],
)  # fmt: skip
def test_a_name_that_ends_with_set_is_a_setpoint_unless_it_names_samples(name, what):
    assert guess(name).what == what
