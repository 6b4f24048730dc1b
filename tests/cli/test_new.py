"""`kinemill new`: a task file from a log, checked before it is written."""

import pytest

from kinemill.errors import BadInput
from kinemill.spec import load_task


def test_a_drafted_task_is_among_the_tasks_and_takes_its_log(swing, log, kinemill):
    path = log("a.csv")
    told = kinemill("new", "mine", "--from", path, "--json")
    task = load_task("mine")
    assert (told["states"], told["actions"], told["dt"]) == (
        ["angle", "velocity"],
        ["torque"],
        0.01,
    )
    assert str(task.path) == told["file"]
    (file,) = kinemill("check", path, "--task", "mine", "--json")["files"]
    assert (file["outcome"], file["rows"]) == ("episodes", 600)


def test_a_task_that_is_there_is_not_overwritten(swing, log, kinemill):
    with pytest.raises(BadInput, match="is there already"):
        kinemill("new", "swing", "--from", log("a.csv"))


def test_a_file_of_another_name_is_refused_and_one_of_its_own_is_written(
    swing, log, kinemill, tmp_path
):
    path = log("a.csv")
    with pytest.raises(BadInput, match="called after its task"):
        kinemill("new", "mine", "--from", path, "--to", tmp_path / "other.yaml")
    target = tmp_path / "mine.yaml"
    said = kinemill("new", "mine", "--from", path, "--to", target)
    assert target.read_text() in said


def test_a_bad_name_leaves_no_file(swing, log, kinemill, tmp_path):
    target = tmp_path / "Mine.yaml"
    with pytest.raises(BadInput, match="no task name"):
        kinemill("new", "Mine", "--from", log("a.csv"), "--to", target)
    assert not target.exists()
