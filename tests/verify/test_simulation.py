import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.verify.simulation import read_actions, start_of_rows
from tests.verify.conftest import DT


def write(path, text):
    path.write_text(text)
    return path


def test_actions_are_taken_by_name_and_the_rest_is_left_aside(tmp_path):
    table = write(tmp_path / "a.csv", "time,torque,note,force\n0,1,x,4\n0.02,2,y,5\n")
    np.testing.assert_array_equal(read_actions(table, ["force", "torque"], DT), [[4, 1], [5, 2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torqe\n1\n", r"has no column 'torque'; did you mean 'torqe'\?"),
        ("torque\n", "has no rows"),
        ("torque\n1\nnan\n", r"row 2, torque: is 'nan'; expected a finite number"),
        ("force,torque\n1,1\n2,\n3,1\n", r"row 2, torque: is empty"),
        ("torque\nhigh\n", r"row 1, torque: is 'high'"),
        ("time,torque\n0,1\n0,1\n", r"rows 1 and 2: are 0 s apart; expected .* 0.02 s"),
        ("time,torque\n0,1\n0.02,1\n0.03,1\n", r"rows 2 and 3: are 0.01 s apart"),
    ],
)
def test_actions_that_cannot_be_used_are_refused_with_their_row(text, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        read_actions(write(tmp_path / "a.csv", text), ["torque"], DT)


def test_a_file_of_another_kind_or_none_at_all_is_refused(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        read_actions(tmp_path / "a.csv", ["torque"], DT)
    with pytest.raises(BadInput, match=r"ends in '.txt'; expected .csv or .parquet"):
        read_actions(write(tmp_path / "a.txt", "torque\n1\n"), ["torque"], DT)
    with pytest.raises(BadInput, match="cannot be read"):
        read_actions(write(tmp_path / "a.parquet", "no"), ["torque"], DT)


class Interface:
    """An interface of two states, one action and four known rows."""

    history, states = 4, ("angle", "velocity")


def test_a_start_takes_the_rows_up_to_the_present_and_the_actions_from_there():
    rows = np.arange(30.0).reshape(10, 3)
    start = start_of_rows(rows, Interface, 5, "a log")
    np.testing.assert_array_equal(start.states, rows[2:6, :2])
    np.testing.assert_array_equal(start.past_actions, rows[2:5, 2:])
    np.testing.assert_array_equal(start.actions, rows[5:9, 2:])
    np.testing.assert_array_equal(start.measured, rows[5:, :2])
    assert (len(start.first(2).actions), len(start.first(2).measured)) == (2, 3)
    with pytest.raises(BadInput, match="there are actions for only 4 steps"):
        start.first(5)
    for row in (2, 9):
        with pytest.raises(BadInput, match=r"expected 3 to 8, because the model needs 4 rows"):
            start_of_rows(rows, Interface, row, "a log")
    with pytest.raises(BadInput, match="expected at least 5 rows"):
        start_of_rows(rows[:4], Interface, 3, "a log")
