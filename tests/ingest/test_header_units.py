"""Units in the names of columns against the units that the task reads them in."""

import pytest

from kinemill.ingest import stage as ingest
from kinemill.ingest.header_units import stated_unit
from tests.conftest import learning_task


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("Joint Speed (rpm)", "rpm"), ("Angle [deg]", "deg"), ("angle_deg", "deg"),
        ("vel (m/s)", "m/s"), ("duty (%)", "percent"), ("q(rad)", "rad"),
        ("state[hip]", None), ("joints_pos[m]", None), ("x (filtered)", None), ("pos_m", None),
        ("wheel(kmph)", "km/h"), ("ax [m/s2]", "m/s^2"),
        ("V_IN", None), ("x (1)", None), ("time", None),
    ],
)  # fmt: skip
def test_the_unit_that_a_name_states(column, unit):
    assert stated_unit(column) == unit


def reasons(home, tmp_path, speed: dict, angle: dict | None = None):
    channels = {
        "angle": {"role": "state", "unit": "rad", **(angle or {})},
        "speed": {"role": "state", **speed},
    }
    task = learning_task("joint", 0.1, channels, ingest={"min_file_age": 0.0, "format": "csv"})
    rows = "\n".join(f"{0.1 * row:.1f},{row % 7},{row % 5}" for row in range(60))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text(f"time,Angle (deg),Speed (rpm)\n{rows}\n")
    (file,) = ingest.run(task, home, tmp_path / "logs").files
    assert file["outcome"] == "episodes"
    return [(item["channel"], item["found"]) for item in file["reasons"]]


DEGREES = {"source": {"name": "Angle (deg)", "unit": "deg"}}


def test_a_speed_in_rpm_that_is_declared_a_mass_is_reported_and_goes_on(home, tmp_path):
    speed = {"unit": "kg", "source": "Speed (rpm)"}
    assert reasons(home, tmp_path, speed, DEGREES) == [
        ("speed", "the column 'Speed (rpm)' states rpm, and the task reads it as kg")
    ]


def test_another_unit_of_the_same_dimension_is_reported(home, tmp_path):
    speed = {"unit": "rad/s", "source": {"name": "Speed (rpm)", "unit": "rpm"}}
    assert reasons(home, tmp_path, speed, {"source": "Angle (deg)"}) == [
        ("angle", "the column 'Angle (deg)' states deg, and the task reads it as rad")
    ]


def test_the_unit_of_the_header_and_a_scale_of_the_task_are_accepted(home, tmp_path):
    speed = {"unit": "rad/s", "source": {"name": "Speed (rpm)", "scale": 0.10472}}
    assert reasons(home, tmp_path, speed, DEGREES) == []
