"""Drafts from logs of every format: what their readers hold, and that the drafts take them in."""

import json

import h5py
import numpy as np
import polars as pl
import pytest
from scipy.io import savemat

from kinemill.draft import schema_inference
from kinemill.draft.builder import draft
from kinemill.draft.schema_inference import survey
from kinemill.errors import BadLog
from tests.conftest import load_task_in
from tests.draft.tables import ingest_and_pack
from tests.ingest.messages import (
    dataflash_bytes,
    dataflash_message,
    run,
    ulog_bytes,
    ulog_samples,
    write_bag,
    write_mcap,
)

SETS = [
    ("bouc_wen_sim_h5/train.h5", 1 / 750, ["y"], ["u"], 40_960),
    ("cascaded_tanks/dataBenchmark.mat", 4.0, ["y"], ["u"], 2048),
    (
        "cartpole_sim_mcap/simulation_example.mcap",
        0.1,
        ["cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity"],
        [],
        387,
    ),
]


def draft_task(tmp_path, source, rate=None):
    return load_task_in(tmp_path, draft("drafted", source, rate), {"ingest.min_file_age": 0.0})


@pytest.mark.parametrize(("log", "dt", "states", "actions", "rows"), SETS)
def test_a_real_log_gives_a_task_that_takes_it_in(
    shared_data, tmp_path, home, log, dt, states, actions, rows
):
    task = draft_task(tmp_path, shared_data / log)
    assert task.dt == pytest.approx(dt, rel=1e-9)
    assert (task.states, task.actions) == (states, actions)
    dataset, summary = ingest_and_pack(task, home, shared_data / log)
    assert (summary["quarantined"], summary["rows"]) == (0, rows)
    assert {episode.split for episode in dataset.episodes} == {"train", "validation", "test"}


def test_a_flight_log_gives_its_fast_topics(shared_data, tmp_path, home):
    log = shared_data / "px4_ulog" / "sample_log_small.ulg"
    task = draft_task(tmp_path, log)
    assert task.channels["vehicle_attitude_q_0"].source[0].name == "vehicle_attitude.q[0]"
    assert {task.channels[f"vehicle_attitude_q_{at}"].kind for at in range(4)} == {"quaternion"}
    assert task.channels["sensor_combined_accelerometer_m_s2_2"].unit == "m/s^2"
    assert "sensor_combined_gyro_integral_dt" not in task.channels  # us a sample took
    rate = task.channels["vehicle_angular_velocity_xyz_0"]
    assert (rate.role, rate.unit) == ("state", "rad/s")
    control = task.channels["actuator_controls_0_control_0"]
    assert (control.role, control.resample.method) == ("action", "hold")
    assert not any("padding" in name or "timestamp" in name for name in task.columns)
    assert "battery_status" not in " ".join(task.columns)  # at 2 Hz
    _, summary = ingest_and_pack(task, home, log)
    assert (summary["quarantined"], summary["tracks"] > 0) == (0, True)


@pytest.mark.slow
def test_motion_clips_give_joints_by_name_once(shared_data, tmp_path):
    task = draft_task(tmp_path, shared_data / "awd_motion")
    sources = {channel.source[0].name for channel in task.channels.values() if channel.source}
    knee = task.channels["joints_vel_left_knee"]
    assert (knee.derivative_of, knee.unit) == ("joints_pos_left_knee", "rad/s")
    assert "joints_pos[3]" not in sources  # the same numbers as joints_pos[left_knee]
    assert task.dt == pytest.approx(1 / 30)  # of the slower half of the clips


@pytest.mark.parametrize("form", ["mcap", "ros2", "ros1", "ulog"])
def test_logs_of_messages_are_drafted_from_their_fields(tmp_path, home, form):
    messages = run(seconds=8.0)
    if form == "mcap":
        log = write_mcap(tmp_path / "a.mcap", messages)
    elif form == "ulog":
        log = tmp_path / "a.ulg"
        log.write_bytes(ulog_bytes(ulog_samples(seconds=8.0)))
    else:
        log = write_bag(tmp_path / ("a.bag" if form == "ros1" else "bag"), messages)
    task = draft_task(tmp_path, log)
    assert task.columns
    assert not any("stamp" in name for name in task.columns)
    _, summary = ingest_and_pack(task, home, log)
    assert (summary["quarantined"], summary["rows"] > 100) == (0, True)


def test_a_flight_of_ardupilot_is_drafted_from_its_usual_quantities(tmp_path, home):
    log = tmp_path / "00000001.BIN"
    log.write_bytes(dataflash_bytes(20.0))
    task = draft_task(tmp_path, log)
    sources = {spec.source[0].name: name for name, spec in task.channels.items() if spec.source}
    assert {"ATT.Roll": "roll_angle", "RCOU.C1": "pwm_1"}.items() <= sources.items()
    assert "IMU[1].GyrX" not in sources
    assert (task.actions, task.channels["roll_angle"].unit) == (["pwm_1"], "rad")
    _, summary = ingest_and_pack(task, home, log)
    assert (summary["quarantined"], summary["rows"] > 300) == (0, True)


def test_topics_that_come_in_bursts_are_not_fast(tmp_path):
    content = dataflash_bytes(20.0).replace(b"TimeUS,C1,C2", b"TimeUS,U1,U2")
    burst = [
        dataflash_message("RCOU", 1_000_000 + 10 * k + 19_000_000 * late, 1500, k)
        for late in (0, 1)
        for k in range(5)
    ]
    log = tmp_path / "00000001.BIN"
    log.write_bytes(content + b"".join(burst))
    (table,) = survey(log)
    assert table.step == pytest.approx(0.01, rel=0.1)


def test_arrays_that_are_no_columns_are_left_out_and_named(tmp_path):
    time = 0.01 * np.arange(300)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(3):
            group = file.create_group(f"data/demo_{number}")
            group["obs/time"] = time
            group["obs/joint_pos"] = np.stack([np.sin(time), np.cos(time + number)], axis=1)
            group["actions"] = np.cos(3 * time)[:, None]
            group["obs/image"] = np.zeros((300, 4, 4, 3), np.uint8)
            group["note"] = np.array([b"hello"] * 300)
            group["calibration"] = np.arange(7.0)
    tables = survey(tmp_path / "a.h5")
    assert [table.part for table in tables] == ["data/demo_0", "data/demo_1", "data/demo_2"]
    assert set(tables[0].values) >= {"obs/joint_pos[0]", "obs/joint_pos[1]", "actions[0]"}
    assert tables[0].step == pytest.approx(0.01)
    left_out = tables[0].left_out
    assert "images" in left_out["obs/image"]
    assert "text" in left_out["note"]
    assert left_out["calibration"] == "does not have 300 rows"
    task = draft_task(tmp_path, tmp_path / "a.h5")
    assert (task.states, len(task.actions)) == (["obs_joint_pos_0", "obs_joint_pos_1"], 1)
    assert (task.dataset.group_by, task.dataset.test) == ("part", ["*/data/demo_2"])


def test_episodes_below_one_another_in_a_text_table_are_parts(tmp_path):
    time = 0.01 * np.arange(300)
    rows = [
        f"{number},{at},{np.sin(3.0 * at + number)},{np.cos(at) * number}\n"
        for number in range(4)
        for at in time.tolist()
    ]
    (tmp_path / "a.csv").write_text("episode,time,angle,torque\n" + "".join(rows))
    tables = survey(tmp_path / "a.csv")
    assert [table.part for table in tables] == [f"episode {number}" for number in range(4)]
    task = draft_task(tmp_path, tmp_path / "a.csv")
    assert (task.states, task.actions) == (["angle"], ["torque"])
    assert (task.dataset.group_by, task.dataset.test) == ("part", ["*/episode 3"])


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("a.npz", lambda path, columns: np.savez(path, **columns)),
        ("a.mat", savemat),
        ("a.parquet", lambda path, columns: pl.DataFrame(columns).write_parquet(path)),
    ],
)
def test_arrays_and_tables_are_drafted_alike(tmp_path, home, name, save):
    time = 0.02 * np.arange(600)
    columns = {"t": time, "theta": np.sin(time), "omega": np.cos(time), "tau": np.sin(5 * time)}
    save(tmp_path / name, columns)
    task = draft_task(tmp_path, tmp_path / name)
    assert (task.dt, task.states, task.actions) == (0.02, ["theta", "omega"], ["tau"])
    assert task.channels["omega"].derivative_of == "theta"
    assert task.ingest.time == ["t"]
    _, summary = ingest_and_pack(task, home, tmp_path / name)
    assert summary["rows"] == 600


def test_a_repeated_name_is_drafted_by_its_number(shared_data, tmp_path):
    task = draft_task(tmp_path, shared_data / "rlc_sim")
    sources = [source.name for channel in task.channels.values() for source in channel.source or []]
    assert "V_C[0]" in sources
    assert "V_C[1]" not in sources  # the same numbers


def test_small_matrices_of_a_workspace_do_not_hide_the_log(tmp_path):
    """`save('all.mat')` of MATLAB stores every variable."""
    seconds = 0.01 * np.arange(300)
    log = {"t": seconds, "u": np.sin(3.0 * seconds), "y": np.cos(seconds)}
    model = {name: np.random.default_rng(0).normal(size=(8, 8)) for name in "ABCDEFGH"}
    savemat(tmp_path / "all.mat", {**log, **model, "Ts": 0.01})
    (table,) = survey(tmp_path / "all.mat")
    assert (table.time, sorted(table.values)) == ("t", ["u", "y"])
    np.savez(tmp_path / "all.npz", u=log["u"], y=log["y"], **model)
    (table,) = survey(tmp_path / "all.npz", 100.0)
    assert sorted(table.values) == ["u", "y"]


def test_a_pickle_named_csv_is_refused_and_not_loaded(tmp_path):
    (tmp_path / "motion.csv").write_bytes(b"\x80\x04\x95" + bytes(8) + b"\x9d" * 600)
    with pytest.raises(BadLog, match="holds a pickle, which could run code"):
        survey(tmp_path / "motion.csv")


def test_a_text_table_with_bytes_of_no_encoding_is_read(tmp_path):
    rows = b"".join(b"%d.%d,%d\n" % (at // 10, at % 10, at * at) for at in range(30))
    (tmp_path / "log.csv").write_bytes(b"time,gr\xf6\x9de\n" + rows)
    (table,) = survey(tmp_path / "log.csv")
    assert len(table.values) == 1


def test_lengths_of_wide_arrays_are_read_once(tmp_path, monkeypatch):
    reads = []
    read = schema_inference.read_parts
    monkeypatch.setattr(schema_inference, "read_parts", lambda *of: reads.append(of) or read(*of))
    rows = np.random.default_rng(0).normal(size=(100, 200))
    np.savez(tmp_path / "a.npz", q=rows, u=rows[:, :1], offsets=np.zeros((3, 200)))
    (table,) = survey(tmp_path / "a.npz", 10.0)
    assert len(reads) < 20
    assert "offsets[199]" in table.left_out


def test_table_with_an_unnamed_clock_is_read_few_times(tmp_path, monkeypatch):
    tasks = list[object]()
    read_parts = schema_inference.read_parts

    def count(reader, path, task):
        tasks.append(task)
        return read_parts(reader, path, task)

    monkeypatch.setattr(schema_inference, "read_parts", count)
    rows = [{"tick": 5000 + 10 * k, "q": [float(k * j) for j in range(12)]} for k in range(50)]
    path = tmp_path / "walk.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    survey(path)
    assert len(tasks) <= 3
