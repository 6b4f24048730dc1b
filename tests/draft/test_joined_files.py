"""Files that hold different columns of one recording, and the log that joins them."""

import numpy as np
import polars as pl
import pytest
import scipy.io

from kinemill.draft.joined_files import write_joined
from kinemill.draft.logs import log_files, read_tables
from kinemill.draft.recording_files import join_hint
from kinemill.errors import BadInput

ROWS = 200
SECONDS = 0.01 * np.arange(ROWS)
POSITIONS = np.stack([np.sin(SECONDS), np.cos(2.0 * SECONDS)], axis=1)
TORQUES = np.stack([np.cos(SECONDS), np.sin(3.0 * SECONDS)], axis=1)


def one_in_each_line(path, values):
    path.write_text("\n".join(f"{value:.6g}" for value in np.ravel(values)) + "\n")


@pytest.fixture
def lines(tmp_path):
    """A folder as a controller writes it: all values of a row below one another."""
    folder = tmp_path / "run"
    folder.mkdir()
    one_in_each_line(folder / "traj_time.txt", SECONDS)
    one_in_each_line(folder / "traj_positions.txt", POSITIONS)
    one_in_each_line(folder / "traj_torques.txt", TORQUES)
    return folder


def test_values_below_one_another_become_columns_named_after_the_file(lines, tmp_path):
    frame, *_ = write_joined(log_files(lines), tmp_path / "run.parquet")
    names = ["positions_1", "positions_2", "time", "torques_1", "torques_2"]
    assert frame.columns == names
    read = pl.read_parquet(tmp_path / "run.parquet")
    expected = np.column_stack([POSITIONS, SECONDS, TORQUES])
    assert np.allclose(read.to_numpy(), expected, atol=1e-5)


def test_a_draft_of_such_a_folder_names_the_command_that_joins_it(lines):
    with pytest.raises(BadInput, match="each of its recordings is several files") as refused:
        read_tables(lines, None)
    assert refused.value.fix == f"join them: kinemill data join {lines} --to run_joined.csv"


@pytest.mark.parametrize("save", ["npy", "mat", "csv"])
def test_matrices_of_one_quantity_each(tmp_path, save):
    folder = tmp_path / "run"
    folder.mkdir()
    for name, values in {"q": POSITIONS, "tau": TORQUES, "t": SECONDS}.items():
        if save == "npy":
            np.save(folder / f"{name}.npy", values)
        elif save == "mat":
            scipy.io.savemat(folder / f"{name}.mat", {name: values.reshape(ROWS, -1)})
        else:
            np.savetxt(folder / f"{name}.csv", values, delimiter=",")
    assert join_hint(folder, log_files(folder))
    frame, *_ = write_joined(log_files(folder), tmp_path / "run.csv")
    assert (frame.height, frame.width) == (ROWS, 5)
    (table,) = read_tables(tmp_path / "run.csv", None).tables
    assert (table.time, len(table.values)) == ("t", 4)


def test_recordings_with_the_same_columns_are_not_joined(tmp_path):
    for number in range(2):
        text = "\n".join(f"{t:.2f},{np.sin(t):.4f},{np.cos(t):.4f}" for t in SECONDS)
        (tmp_path / f"named{number}.csv").write_text(f"time,position,torque\n{text}\n")
    assert join_hint(tmp_path, log_files(tmp_path)) is None
    assert len(read_tables(tmp_path, None).tables) == 2


def test_recordings_without_a_header_are_not_joined(tmp_path):
    for number in range(2):
        np.savetxt(tmp_path / f"run{number}.csv", np.column_stack([SECONDS, POSITIONS]))
    assert join_hint(tmp_path, log_files(tmp_path)) is None


def test_a_repeated_name_gets_that_of_its_file(tmp_path):
    for name, values in {"left": SECONDS, "right": 2.0 * SECONDS}.items():
        one_in_each_line(tmp_path / f"{name}.csv", values)
        (tmp_path / f"{name}.csv").write_text("time\n" + (tmp_path / f"{name}.csv").read_text())
    frame, *_ = write_joined([tmp_path / "left.csv", tmp_path / "right.csv"], tmp_path / "both.csv")
    assert frame.columns == ["time", "right_time"]


def test_a_column_that_several_files_share_is_joined_once(tmp_path):
    for name in ("angle", "torque"):
        rows = "\n".join(f"{t:.2f},{np.sin(t):.3f}" for t in SECONDS)
        (tmp_path / f"{name}.csv").write_text(f"time,{name}\n{rows}\n")
    frame, *_ = write_joined(
        [tmp_path / "angle.csv", tmp_path / "torque.csv"], tmp_path / "both.csv"
    )
    assert frame.columns == ["time", "angle", "torque"]


def test_files_of_one_name_keep_all_columns_and_texts_are_named(tmp_path):
    for number, folder in enumerate(("left", "right", "top")):
        (tmp_path / folder).mkdir()
        rows = "\n".join(f"{at + number},ok" for at in range(ROWS))
        (tmp_path / folder / "q.csv").write_text(f"angle,note\n{rows}\n")
    paths = sorted(tmp_path.glob("*/q.csv"))
    frame, texts, _ = write_joined(paths, tmp_path / "all.csv")
    assert frame.row(0) == (0.0, 1.0, 2.0)
    assert texts == ["q.csv: note"] * 3


def test_files_of_other_lengths_are_refused_by_name(lines, tmp_path):
    one_in_each_line(lines / "traj_speed.txt", SECONDS[: ROWS // 2 + 3])
    with pytest.raises(BadInput, match=r"traj_positions\.txt: has 400 rows, and traj_speed"):
        write_joined(log_files(lines), tmp_path / "run.csv")
    assert not (tmp_path / "run.csv").exists()


@pytest.mark.parametrize(("name", "problem"), [("a.txt", "no suffix"), ("a.csv", "already")])
def test_a_target_that_exists_or_is_no_table_is_refused(lines, tmp_path, name, problem):
    (tmp_path / "a.csv").write_text("kept")
    with pytest.raises(BadInput, match=problem):
        write_joined(log_files(lines), tmp_path / name)
    assert (tmp_path / "a.csv").read_text() == "kept"


def test_a_file_that_is_no_log_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("Three runs on Monday.\n")
    one_in_each_line(tmp_path / "u.txt", SECONDS)
    with pytest.raises(BadInput, match=r"notes\.txt: is not a log"):
        write_joined([tmp_path / "u.txt", tmp_path / "notes.txt"], tmp_path / "run.csv")
