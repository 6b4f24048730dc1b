"""Columns that become channels, in one log and in several."""

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.validate.dry_run import dry_run
from tests.draft.tables import load, table


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


def test_columns_that_say_nothing_are_left_out_and_named(tmp_path, time):
    path = table(tmp_path / "a.csv", time=time, q=np.sin(time), mode=0 * time, u=np.cos(time))
    path.write_text(path.read_text().replace("time,q,mode,u", "time,q,mode,u,note", 1))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(f"{line},hello" for line in lines[1:])]) + "\n")
    task, text = load(tmp_path, "few", path)
    assert task.columns == ["q", "u"]
    assert "left out, never changes: mode" in text
    assert "left out, holds no numbers: note" in text


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
    assert [column.channel for column in draft.columns] == ["pos0", "pos1", "pos2", "pos3"]
    assert draft.unused == {"3.csv": "has no pos1, pos2, pos3"}


def test_of_logs_for_each_topic_the_states_are_drafted(tmp_path, time):
    """Names do not show which of them are of one recording."""
    (tmp_path / "logs").mkdir()
    for number, name in enumerate("ab"):
        table(tmp_path / "logs" / f"pose_{number}.csv", time=time, pos=np.sin(time + number))
        table(tmp_path / "logs" / f"wrench_{name}.csv", time=time, force=time % (number + 2))
    draft = build("diver", tmp_path / "logs")
    assert [column.channel for column in draft.columns] == ["pos"]
    assert draft.unused == {f"wrench_{name}.csv": "has no pos" for name in "ab"}


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
    assert "left out, a letter of a text: mode[0] to mode[3]" in text


TIME = 0.01 * np.arange(800)  # s
SINE = np.sin(TIME)
PUSH = np.cos(3 * TIME)
TURNING = {"heading": SINE, "yaw_rate": np.cos(TIME)}


@pytest.mark.parametrize(
    ("columns", "roles", "says"),
    [
        ({"acc": -SINE, "u": PUSH}, "acc: state, u: action", ""),
        ({"pos": SINE, "acc": -SINE, "u": PUSH}, "pos: state, acc: output, u: action",
         "# rule: name; predicted, not fed back"),
        ({"pos": SINE, "pos_ref": np.sin(TIME + 0.2)}, "pos: state, pos_ref: action", ""),
        ({"pos": SINE, "pos_ref": np.sin(TIME + 0.2), "pwm": PUSH}, "pos: state, pwm: action",
         "left out, a reference of the controller, by its name"),
        ({"pos": SINE, "motor_current": PUSH}, "pos: state, motor_current: action", ""),
        ({"pos": SINE, "motor_current": np.cos(2 * TIME), "duty": PUSH},
         "pos: state, motor_current: state, duty: action", ""),
        ({"v(m/s)": SINE, "lateral(m/s^2)": np.cos(TIME), "u": TIME % 3},
         "v: state, lateral: output, u: action", ""),
        ({"qg": SINE, "qm": PUSH, "tau": np.cos(7 * TIME)},
         "qg: state, qm: state, tau: action", ""),
        ({"q": np.sin(2 * TIME), "v": 2 * np.cos(2 * TIME), "u": PUSH},
         "q: state, v: state, u: action", ""),
        ({**TURNING, "rudder_cmd": np.sin(2 * TIME), "rudder_angle": np.sin(2 * TIME - 0.2)},
         "heading: state, yaw_rate: state, rudder_angle: state, rudder_cmd: action", ""),
    ],
    ids=["acceleration alone", "acceleration", "reference alone", "reference", "current alone",
         "current", "unit", "followed by nothing", "letters", "rudder"],
)  # fmt: skip
def test_role_of_a_column_depends_on_the_others(tmp_path, columns, roles, says):
    path = table(tmp_path / "a.csv", time=TIME, **columns)
    task, text = load(tmp_path, "drafted", path)
    assert ", ".join(f"{name}: {spec.role}" for name, spec in task.channels.items()) == roles
    assert says in text


# A state that moves and, of each log, its actions; all other columns are no actions.
COMMANDED = [
    ("SetPos [mm], ActPos [mm], ActVelo [mm/s], ActTorque [%]", "ActTorque [%]"),
    ("AXIS_ACT1 [deg], AXIS_SET1 [deg], MOTOR_TORQUE1 [Nm]", "MOTOR_TORQUE1 [Nm]"),
    ("Torque Setpoint (Nm), Torque Actual (Nm), Speed (rpm), DC Voltage (V)",
     "Torque Setpoint (Nm)"),
    ("f_set [Hz], U1 [V], n [1/min], M [Nm]", "f_set [Hz]"),
    ("Tastgrad [%], I_L [A], U_aus [V]", "Tastgrad [%]"),
    ("Current(A), Voltage(V), Charge_Capacity(Ah)", "Current(A)"),
    ("SP, PV, CO", "CO"),
    ("Referência (°C), Temperatura (°C), Saída do controlador (%)", "Saída do controlador (%)"),
    ("pos, tau_meas, q_cmd", "q_cmd"),
    ("v, omega, cmd_v, cmd_omega", "cmd_v, cmd_omega"),
    ("pos, motor_torque, disturbance_torque", "motor_torque"),
    ("ship_speed, Rudder_order_deg, Rudder_angle_deg", "Rudder_order_deg"),
    ("joint_state.position, joint_state.torque, joint_command.position", "joint_command.position"),
    ("r62 n_soll [1/min], n_ist [1/min], M_soll [Nm], M_ist [Nm]", "M_soll [Nm]"),
    ("nsoll [1/min], nist [1/min], iqsoll [A], iqist [A]", "iqsoll [A]"),
    ("s nom X [mm], s act X [mm], I nom X [A]", "I nom X [A]"),
    ("oven_temp_C, heater_power_W", "heater_power_W"),
    ("Y1_valve_mA, P1_psi, stroke_in", "Y1_valve_mA"),
    ("SupplyAirTemp (°F), SupplyFanSpd (%)", "SupplyFanSpd (%)"),
    ("X1_ActualPosition, X1_CommandPosition, M1_CURRENT_FEEDRATE", "X1_CommandPosition"),
    ("Ventilspannung [V], Kolbenweg [mm], Zylinderkraft [kN]", "Ventilspannung [V]"),
    ("Damper current [A], Body displacement [mm], Damper force [N]", "Damper current [A]"),
    ("Strom [A], Spannung [V], Ladezustand [%]", "Strom [A]"),
    ("FzCmd_N, Fz_N, SlipAngle_deg, Mz_Nm", "FzCmd_N"),
    ("axis0.controller.input_pos, axis0.encoder.pos_estimate, axis0.Iq_setpoint",
     "axis0.Iq_setpoint"),
]  # fmt: skip


@pytest.mark.parametrize(("names", "actions"), COMMANDED)
def test_actions_are_commands_and_no_readings(tmp_path, names, actions):
    waves = {name: np.sin((2 + 3 * k) * TIME) for k, name in enumerate(names.split(", "))}
    draft = build("drafted", table(tmp_path / "a.csv", time=TIME, **waves))
    found = {column.guess.name for column in draft.columns if column.role == "action"}
    assert found == {*actions.split(", ")}


def test_effort_command_that_the_measurement_repeats_is_the_action(tmp_path):
    """A simulator reports the commanded effort as the measured one."""
    effort = np.sin(3 * TIME)
    names = {"joint_states.effort": effort, "effort_controller/commands.data": effort}
    draft = build("drafted", table(tmp_path / "a.csv", time=TIME, pos=np.cos(TIME), **names))
    actions = [column.guess.name for column in draft.columns if column.role == "action"]
    assert actions == ["effort_controller/commands.data"]


def test_a_measured_effort_next_to_a_reference_is_an_action_with_a_question(tmp_path):
    waves = {name: np.sin(k * TIME) for k, name in enumerate(("x", "pos", "pos_ref", "tau_fb"))}
    draft = build("arm", table(tmp_path / "a.csv", time=TIME, **waves))
    (action,) = [column for column in draft.columns if column.role == "action"]
    assert action.guess.name == "tau_fb"
    assert "a measurement by its name: is pos_ref the command?" in action.notes


def test_names_without_a_letter_are_columns(tmp_path, time):
    columns = {"_": np.sin(time), "°": time**2, "%": np.cos(time), "u": time % 3}
    draft = build("signs", table(tmp_path / "a.csv", time=time, **columns))
    assert [column.names for column in draft.columns] == [["_"], ["°"], ["%"], ["u"]]


def test_two_columns_of_one_name_are_two_columns(tmp_path, time):
    log = tmp_path / "twice.csv"
    rows = [f"{t:.2f},{np.sin(t)},{np.cos(t)},{np.sin(3 * t)}" for t in time]
    log.write_text("\n".join(["time,V,u,V", *rows]) + "\n")
    task, _ = load(tmp_path, "twice", log)
    assert [task.channels[name].source[0].name for name in task.states] == ["V[0]", "V[1]"]


def test_a_column_with_values_in_a_few_rows_is_no_channel(tmp_path, home, time):
    """A summary next to the samples: each row without it would be cut out."""
    folder = tmp_path / "bench"
    folder.mkdir()
    summary = np.where(np.arange(800) < 20, time, np.nan)
    table(folder / "a.csv", time=time, pos=np.sin(time), mean=summary, u=np.cos(3 * time))
    task, text, lost = accepted(tmp_path, home, folder)
    assert (task.columns, lost) == (["pos", "u"], [])
    assert "left out, 97.5% of it is missing: mean" in text


@pytest.mark.parametrize("unit", ["m s^-1", "m/s"])
def test_a_unit_of_a_velocity_counts_more_than_the_name_of_an_axis(tmp_path, time, unit):
    columns = {"p_x [m]": np.sin(3 * time), f"v_x [{unit}]": 3 * np.cos(3 * time), "u": time % 3}
    path = table(tmp_path / "a.csv", time=time, **columns)
    task, _ = load(tmp_path, "drone", path)
    assert task.channels["v_x"].derivative_of == "p_x"


def test_the_rest_of_a_repeated_quaternion_is_no_channel(tmp_path, time):
    """A planar robot turns around z only; a second topic repeats the two elements that change."""
    turn = {"x": 0 * time, "y": 0 * time, "z": np.sin(time / 2), "w": np.cos(time / 2)}
    columns = {f"{topic}.orientation.{axis}": value
               for topic in ("odom", "tf") for axis, value in turn.items()}  # fmt: skip
    path = table(tmp_path / "a.csv", time=time, **columns, u=time % 3)
    task, _ = load(tmp_path, "rover", path)
    assert task.columns == [*(f"odom_orientation_{axis}" for axis in turn), "u"]


def loop_of(seconds):
    """Return set point, reading and output (n,) of a loop whose set point is held for 2 s."""
    goal = np.repeat([40.0, 60.0, 35.0, 55.0], len(seconds) // 4)
    level = np.full(len(seconds), 20.0)
    valve = np.zeros(len(seconds))
    total = 0.0
    for row in range(len(seconds)):
        total += 0.02 * (goal[row] - level[row])
        valve[row] = 0.8 * (goal[row] - level[row]) + total + 30.0
        level[row + 1 :] = level[row] + 0.05 * (valve[row] - 0.9 * level[row])
    return goal, level, valve


def test_columns_that_others_give_are_no_channels(tmp_path):
    goal, level, valve = loop_of(TIME)
    columns = {"TIC.SP": goal, "TIC.PV": level, "TIC.E": goal - level, "TIC.CVEU": valve}
    columns |= {"I [A]": PUSH, "U [V]": 12.0 + SINE, "P [kW]": 1e-3 * PUSH * (12.0 + SINE)}
    draft = build("oven", table(tmp_path / "a.csv", time=TIME, **columns))
    assert draft.left_out["TIC.E"] == "the difference of TIC.SP and TIC.PV"
    assert draft.left_out["P [kW]"].startswith("the product of ")


def test_what_a_cycler_holds_is_the_action(tmp_path):
    current = np.repeat(np.random.default_rng(0).uniform(-3.0, 3.0, 16), 50)
    columns = {"Current [A]": current, "Voltage [V]": 3.6 - 0.01 * np.cumsum(current) / 50}
    draft = build("pack", table(tmp_path / "a.csv", time=TIME, **columns))
    assert [c.guess.name for c in draft.columns if c.role == "action"] == ["Current [A]"]


def test_a_set_point_acts_if_no_output_of_its_loop_is_logged(tmp_path):
    """A pitch drive that is logged with its reference and the torque of the generator."""
    random = np.random.default_rng(0)
    torque = np.repeat(random.uniform(1.0, 3.0, 20), 40)
    goal = np.repeat(random.uniform(0.0, 20.0, 40), 20)
    pitch = np.zeros(len(TIME))
    speed = np.zeros(len(TIME))
    for row in range(len(TIME) - 1):
        pitch[row + 1] = pitch[row] + 0.3 * (goal[row] - pitch[row])
        speed[row + 1] = speed[row] + 0.05 * (20.0 - 0.3 * pitch[row] - torque[row] - speed[row])
    columns = {"speed_rpm": speed, "pitch_deg": pitch, "pitch_ref_deg": goal}
    columns |= {"torque_cmd_Nm": torque}
    draft = build("turbine", table(tmp_path / "a.csv", time=TIME, **columns))
    actions = {c.guess.name: c.notes for c in draft.columns if c.role == "action"}
    assert {*actions} == {"pitch_ref_deg", "torque_cmd_Nm"}
    assert "pitch_deg follows it" in actions["pitch_ref_deg"][0]


def test_a_position_command_whose_current_command_is_logged_is_of_an_outer_loop(tmp_path):
    goal = np.cumsum(np.repeat(np.random.default_rng(0).uniform(-1.0, 1.0, 20), 40)) * 0.01
    pos = np.zeros(len(TIME))
    speed = np.zeros(len(TIME))
    current = np.zeros(len(TIME))
    for row in range(len(TIME)):
        current[row] = 40.0 * (goal[row] - pos[row]) - 2.0 * speed[row]
        pos[row + 1 :] = pos[row] + 0.01 * speed[row]
        speed[row + 1 :] = 0.99 * speed[row] + 0.1 * current[row]
    columns = {"Position Command": goal, "Position": pos, "Velocity": speed}
    columns |= {"Current Command [A]": current}
    draft = build("axis", table(tmp_path / "a.csv", time=TIME, **columns))
    assert [c.guess.name for c in draft.columns if c.role == "action"] == ["Current Command [A]"]
    assert draft.left_out["Position Command"].startswith("a command of an outer loop")
