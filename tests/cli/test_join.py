"""`kinemill data join`: one log from files that hold different columns of one recording."""

import shutil

import pytest

from kinemill.errors import BadInput


@pytest.fixture
def folder(tmp_path):
    """Input and output of one recording in a file each."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name, factor in {"u": 1.0, "y": 0.5}.items():
        rows = "\n".join(f"{factor * (at % 9):.1f}" for at in range(50))
        (folder / f"{name}.csv").write_text(rows + "\n")
    return folder


def test_files_or_their_folder_are_joined_into_a_log_that_can_be_drafted(
    folder, tmp_path, kinemill, swing
):
    assert "50 rows of u, y" in kinemill("data", "join", folder, "--to", tmp_path / "run.csv")
    files = sorted(folder.iterdir())
    joined = kinemill("data", "join", *files, "--to", tmp_path / "again.csv", "--json")
    assert (joined["files"], joined["rows"]) == (["u.csv", "y.csv"], 50)
    assert joined["columns"] == ["u", "y"]
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "run.csv").read_bytes()
    drafted = kinemill("new", "tank", "--from", tmp_path / "run.csv", "--rate", 10, "--json")
    assert (drafted["states"], drafted["actions"]) == (["y"], ["u"])


def test_a_missing_file_and_a_single_one_are_refused(folder, tmp_path, kinemill):
    with pytest.raises(BadInput, match="does not exist"):
        kinemill("data", "join", folder / "x.csv", folder / "u.csv", "--to", tmp_path / "a.csv")
    with pytest.raises(BadInput, match="1 file to join"):
        kinemill("data", "join", folder / "u.csv", "--to", tmp_path / "a.csv")


def test_logs_of_different_rates_are_joined_by_time(tmp_path, kinemill):
    for name, rate in {"u": 100, "y": 40}.items():
        rows = "\n".join(f"{at / rate},{at % 7}" for at in range(2 * rate))
        (tmp_path / f"{name}.csv").write_text(f"time,{name}\n{rows}\n")
    files, target = [tmp_path / "u.csv", tmp_path / "y.csv"], tmp_path / "run.csv"
    text = kinemill("data", "join", *files, "--to", target, "--by", "time", "--offset", 1)
    assert "100 rows of time, u, y" in text
    assert "y.csv: matches 100 rows of u.csv, at most 0.01 s apart" in text
    assert target.read_text().splitlines()[:2] == ["time,u,y", "1.0,2.0,0.0"]


def test_options_of_a_join_by_time_are_refused_by_row(folder, tmp_path, kinemill):
    with pytest.raises(BadInput, match="--offset: has no meaning by row"):
        kinemill("data", "join", folder, "--to", tmp_path / "a.csv", "--offset", 1)


@pytest.mark.ci
def test_each_recording_is_joined_once_and_an_incomplete_one_is_named(
    folder, tmp_path, kinemill, swing
):
    runs, joined = tmp_path / "runs", tmp_path / "joined"
    for number in range(3):
        shutil.copytree(folder, runs / f"run{number}")
    (runs / "run1" / "y.csv").unlink()
    order = ("data", "join", runs, "--each", "--to", joined)
    assert "2 of 3 recordings joined, 0 already, 1 failed" in kinemill(*order, code=1)
    failed = kinemill(*order, "--json", code=1)["recordings"][1]
    assert failed["problem"] == f"{runs}/run1: lacks y.csv, which most recordings have"
    before = (joined / "run0.csv").stat()
    shutil.copy(folder / "y.csv", runs / "run1")
    again = kinemill(*order, "--json")["recordings"]
    assert ["rows" in one for one in again] == [False, True, False]
    assert (joined / "run0.csv").stat() == before
    drafted = kinemill("new", "tank", "--from", joined, "--rate", 10, "--json")
    assert (drafted["states"], drafted["actions"]) == (["y"], ["u"])


def test_files_of_one_recording_are_not_several(folder, tmp_path, kinemill):
    with pytest.raises(BadInput, match="holds no recordings of several files"):
        kinemill("data", "join", folder, "--each", "--to", tmp_path / "joined")
