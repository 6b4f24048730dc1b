"""The split of a draft fits the logs that it was made from."""

import numpy as np

from kinemill.draft.builder import build
from kinemill.draft.draft_check import check_draft
from tests.draft.tables import table


def write(folder, number, rows, pause):
    """Write a log at 50 Hz, with a pause of 1 s in its middle."""
    time = 0.02 * np.arange(rows) + pause * (np.arange(rows) >= rows // 2)
    columns = {"boom": np.sin(time * (3 + number)), "boom_cmd": np.cos(time * 5)}
    table(folder / f"step_{number}.csv", time=time, **columns)


def test_short_episodes_validate_on_a_whole_log(tmp_path):
    """15 % of an episode of 70 rows is shorter than the shortest piece."""
    for number in range(5):
        write(tmp_path, number, 140, 1.0)
    checked = check_draft(build("digger", tmp_path))
    assert checked.problem == ""
    assert 'validation: ["*step_3.csv"], test: ["*step_4.csv"]' in checked.text


def test_a_quarantined_log_is_not_the_test(tmp_path):
    for number in range(3):
        write(tmp_path, number, 600, 0.0)
    write(tmp_path, 3, 24, 1.0)
    checked = check_draft(build("digger", tmp_path))
    assert [entry["outcome"] for entry in checked.entries][-1] == "quarantined"
    assert checked.problem == ""
    assert 'test: ["*step_2.csv"]' in checked.text


def test_a_problem_of_the_logs_does_not_name_a_temporary_file(tmp_path):
    for number in range(2):
        write(tmp_path, number, 140, 1.0)
    assert check_draft(build("digger", tmp_path)).problem.startswith("dataset.")


def test_a_check_that_drops_most_rows_of_many_logs_warns(tmp_path):
    """A gyro has an offset of 0.8 rad/s from 2 s on: 87 % of the rows of each log."""
    for number in range(3):
        time = 0.01 * np.arange(1500)
        angle = np.sin((3 + number) * time)
        offset = 0.8 * (time > 2.0)
        rate = (3 + number) * np.cos((3 + number) * time) + offset
        columns = {"theta": angle, "thetadot": rate, "u": np.cos(time)}
        table(tmp_path / f"swing_{number}.csv", time=time, **columns)
    checked = check_draft(build("swing", tmp_path))
    assert "velocity" in checked.draft.warned
    assert "whole or most of their rows" in checked.draft.warned["velocity"]
    assert all(entry["rows"] == 1500 for entry in checked.entries)
