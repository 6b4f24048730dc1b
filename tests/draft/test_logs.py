"""Which files of a folder are logs of a draft."""

import json

import numpy as np
import polars as pl
import pytest

from kinemill.draft.builder import build, draft
from kinemill.draft.imitation import build_imitation
from kinemill.draft.logs import MOST_LOGS, PLANNED, UNREAD, read_tables
from kinemill.errors import BadInput


def test_a_folder_of_robot_models_is_refused_with_the_option_that_takes_them(tmp_path):
    (tmp_path / "biped").mkdir()
    (tmp_path / "biped" / "scene.xml").write_text("<mujoco/>")
    with pytest.raises(BadInput, match=r"--from, and --robot biped/scene\.xml"):
        read_tables(tmp_path, None)


def test_an_empty_folder_is_refused_with_the_suffixes_of_logs(tmp_path):
    with pytest.raises(BadInput, match=r"holds no log for a draft.*\.csv") as refused:
        read_tables(tmp_path, None)
    assert "--robot" not in str(refused.value)


def _log(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (f"{0.01 * at:.2f},{0.1 * (at % 7)},{at % 5}" for at in range(60))
    path.write_text("\n".join(["time,position,torque", *rows]))


def test_plans_next_to_measurements_are_left_out_by_a_pattern_in_the_task(tmp_path):
    for name in ("swing.csv", "step.csv", "desired/swing.csv", "descent.csv"):
        _log(tmp_path / name)
    read = read_tables(tmp_path, None)
    assert {table.path.name for table in read.tables} == {"swing.csv", "step.csv", "descent.csv"}
    assert read.problems == {"desired/swing.csv": PLANNED}
    assert 'exclude: ["*desired*"]' in draft("arm", tmp_path)


def test_a_word_within_other_names_excludes_plans_by_their_whole_names(tmp_path):
    for name in ("describe.csv", "step.csv", "step-des.csv", "Plan/x.csv", "drop.csv"):
        _log(tmp_path / name)
    read = read_tables(tmp_path, None)
    assert (len(read.tables), read.exclude) == (3, ["Plan/x.csv", "step-des.csv"])


def test_logs_that_are_all_called_plans_are_logs(tmp_path):
    for name in ("plan-1.csv", "plan-2.csv", "step.csv"):
        _log(tmp_path / name)
    read = read_tables(tmp_path, None)
    assert (len(read.tables), read.problems, read.exclude) == (3, {}, [])


def test_a_log_of_many_parts_leaves_room_for_the_others(tmp_path):
    time = [0.01 * at for at in range(60)]
    runs = [{"time": time, "position": [k * at % 7 for at in range(60)]} for k in range(50)]
    (tmp_path / "many.json").write_text(json.dumps({"runs": runs}))
    (tmp_path / "one.json").write_text(json.dumps(runs[1]))
    read = read_tables(tmp_path, None)
    names = [table.path.name for table in read.tables]
    assert names == ["many.json"] * (MOST_LOGS // 2) + ["one.json"]
    assert read.problems == {"30 parts of many.json": UNREAD}
    assert "group_by: part" in draft("arm", tmp_path)


def test_recordings_in_single_rows_are_refused(tmp_path):
    rows = range(120)
    episode = {"obs": [[0.1 * at, at % 7] for at in rows], "act": [at % 5 for at in rows]}
    (tmp_path / "runs.json").write_text(json.dumps([{"t": at, **episode} for at in range(4)]))
    with pytest.raises(BadInput, match="columns in 4 rows: recordings as rows"):
        read_tables(tmp_path / "runs.json", None)


def test_logs_that_a_draft_does_not_read_are_named(tmp_path):
    for number in range(MOST_LOGS + 2):
        _log(tmp_path / f"run{number:02d}.csv")
    text = draft("arm", tmp_path)
    assert f"# log not used: run40.csv, run41.csv: {UNREAD}" in text
    assert "0 of 2400 rows of 40 logs lost" in text


def test_logs_with_one_name_in_several_folders_are_told_apart(tmp_path):
    for number in range(6):
        _log(tmp_path / f"run{number}" / "log.csv")
    (tmp_path / "run6").mkdir()
    (tmp_path / "run6" / "log.csv").write_text("time,pressure\n0.0,1.0\n")
    text = draft("arm", tmp_path)
    assert 'test: ["*run5/log.csv"]' in text
    assert "log not used: run6/log.csv: " in text


def test_files_without_a_reader_are_listed_by_name_or_by_suffix(tmp_path):
    rows = "".join(f"{k / 100},{k % 7},1\n" for k in range(30))
    (tmp_path / "a.csv").write_text(f"time,position,torque\n{rows}")
    (tmp_path / "notes.md").write_text("calibrated on Monday")
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information:")  # not worth a line
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG")
    unread = read_tables(tmp_path, None).problems
    expected = {"notes.md": "no reader recognizes it", "*.png": "no reader recognizes it (3 files)"}
    assert unread == expected


@pytest.fixture
def array(tmp_path):
    """An array without names: an angle, its velocity, and the torque."""
    seconds = np.arange(1000) / 100.0
    torque = np.random.default_rng(0).normal(0.0, 1.0, 20).repeat(50)
    velocity = np.cumsum(torque - np.sin(seconds)) / 100.0
    np.save(tmp_path / "run.npy", np.stack([np.cumsum(velocity) / 100.0, velocity, torque], axis=1))
    return tmp_path / "run.npy"


@pytest.mark.parametrize(
    ("draft_of", "names"),
    [(build, ["angle", "velocity", "torque"]), (build_imitation, ["angle", "speed", "action"])],
)
def test_columns_of_an_array_have_the_names_that_a_user_states(array, draft_of, names):
    draft = draft_of("arm", array, 100.0, names=names)
    sources = {column.channel: column.names for column in draft.columns}
    assert sources == {name: [f"arr_0[{k}]"] for k, name in enumerate(names)}
    assert [column.role for column in draft.columns] == ["state", "state", "action"]


def test_names_of_columns_that_do_not_fit_are_refused(array, tmp_path):
    with pytest.raises(BadInput, match=r"--columns: has 2 names for 3 columns of run\.npy.*arr_0"):
        build("arm", array, 100.0, names=["angle", "torque"])
    pl.DataFrame({"t": [0.0, 0.1, 0.2, 0.3], "angle": [0.0, 1.0, 2.0, 4.0]}).write_csv(
        tmp_path / "run.csv"
    )
    with pytest.raises(BadInput, match=r"--columns: run\.csv has names: angle; leave it out"):
        build("arm", tmp_path / "run.csv", names=["x"])


def test_units_logs_that_state_another_one_are_left_out_with_both(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    time = 0.01 * np.arange(400)
    for number, unit in enumerate(("rpm", "rad/s", "rpm")):
        rows = zip(time, np.sin((number + 1) * time), np.cos(time), strict=True)
        lines = [f"{at:.2f};{speed:.4f};{voltage:.4f}" for at, speed, voltage in rows]
        header = ["Time;Speed;Voltage", f"s;{unit};V"]
        (folder / f"{number}.csv").write_text("\n".join(header + lines))
    drafted = build("motor", folder)
    assert drafted.unused == {"1.csv": "has Speed in rad/s, and other logs in rpm"}
    assert [table.path.name for table in drafted.tables] == ["0.csv", "2.csv"]
    assert drafted.exclude == ["1.csv"]
