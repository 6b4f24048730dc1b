"""Columns with letters for names, as a log of a control loop or of a drone has them."""

from pathlib import Path

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.letter_names import with_letters
from kinemill.draft.table import Table
from tests.draft.tables import table

TIME = 0.1 * np.arange(300)  # s


def roles(folder, **columns):
    """Return the role of each channel of a draft; columns are (n,)."""
    draft = build("loop", table(folder / "a.csv", time=TIME, **columns))
    return {column.full_name: column.role for column in draft.columns}, draft.left_out


@pytest.mark.parametrize("sign", [1, -1])
def test_an_error_and_its_reference_are_left_out_by_the_data(tmp_path, sign):
    goal, speed = np.sign(np.sin(0.5 * TIME)), np.sin(0.5 * TIME)
    columns = {"y_speed": speed, "r_speed": goal, "e_speed": sign * (goal - speed), "u": TIME % 3}
    used, left_out = roles(tmp_path, **columns)
    assert used == {"y_speed": "state", "u": "action"}
    assert set(left_out) == {"r_speed", "e_speed"}


GOAL = 20 + np.sign(np.sin(TIME))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"e": np.sin(TIME), "y": np.cos(0.3 * TIME), "u": TIME % 3},
         {"e": "state", "y": "state", "u": "action"}),  # no difference
        ({"Ux": TIME % 3, "Uyaw": TIME % 2, "x": np.sin(TIME), "yaw": np.cos(TIME)},
         {"control_x": "action", "control_yaw": "action", "x": "state", "yaw": "state"}),
        ({"q": np.sin(TIME), "tq": 40 * np.sin(3 * TIME), "u": TIME % 3},
         {"q": "state", "tq": "state", "u": "action"}),  # a torque, as it does not follow q
        ({"ux": np.sin(TIME), "uy": np.cos(TIME)}, {"ux": "state", "uy": "state"}),
        # In T_in, the last word is inside and no inflow, since there is a T_set.
        ({"T_in": 20 + np.sin(TIME), "valve": TIME % 7, "T_set": GOAL},
         {"T_in": "state", "valve": "action"}),
    ],
    ids=["e", "Uyaw", "tq", "ux", "T_in"],
)  # fmt: skip
def test_role_of_a_letter_follows_from_the_other_columns(tmp_path, columns, expected):
    used, left_out = roles(tmp_path, **columns)
    assert used == expected
    assert {*used} | {*left_out} >= {*columns} - {"Ux", "Uyaw"}


@pytest.mark.parametrize(
    ("measured", "reference"),
    [("q[{}]", "q_d[{}]"), ("q_{}", "q_d_{}"), ("q_{}", "tq_{}"), ("qm{}", "qg{}")],
)
def test_each_joint_has_its_reference_as_an_action(tmp_path, measured, reference):
    """A log of a position controller that holds no torque."""
    goals = {index: np.sin((0.3 + 0.1 * index) * TIME) for index in range(3)}
    columns = {measured.format(index): np.roll(goal, 1) for index, goal in goals.items()}
    columns |= {reference.format(index): goal for index, goal in goals.items()}
    used, left_out = roles(tmp_path, **columns)
    assert ([*used.values()], left_out) == (3 * ["state"] + 3 * ["action"], {})


def test_the_axes_of_an_inertial_sensor(tmp_path):
    random = np.random.default_rng(0)
    columns = {f"{letter}{axis}": random.normal(size=300) for letter in "ag" for axis in "xyz"}
    used, _ = roles(tmp_path, **columns, u=TIME % 3)
    assert [used.pop(f"gyro_{axis}") for axis in "xyz"] == 3 * ["state"]
    assert [used.pop(f"acceleration_{axis}") for axis in "xyz"] == 3 * ["output"]
    assert used == {"u": "action"}


def test_the_pair_of_an_error_is_found_among_two_thousand_columns():
    seconds, random = 0.01 * np.arange(2000), np.random.default_rng(0)
    values = {f"c{n}": (seconds, random.normal(size=2000)) for n in range(2000)}
    values["e"] = (seconds, values["c1500"][1] - values["c40"][1] + 3.0)
    labeled = with_letters(Table(Path("a.csv"), "t", "s", values, {}))
    assert labeled.labels == {"e": "error_e"}
