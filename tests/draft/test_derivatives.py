"""Derivatives of a draft, through faults, units, delays and clocks that start anew."""

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.draft_check import check_draft
from tests.draft.tables import table

TIME = 0.01 * np.arange(3000)
TURN = 180 / np.pi


def motion(random):
    """Return a position and its velocity, (n,) rad and rad/s, of several frequencies."""
    sines = [(random.uniform(0.3, 1.0), w, random.uniform(0, 6)) for w in (0.7, 1.9, 3.1, 4.3)]
    position = sum(a * np.sin(w * TIME + p) for a, w, p in sines)
    velocity = sum(a * w * np.cos(w * TIME + p) for a, w, p in sines)
    return position, velocity


def draft_of(tmp_path, seconds=TIME, **columns):
    return build("drafted", table(tmp_path / "log.csv", time=seconds, **columns))


def channel(draft, name):
    return next(item for item in draft.columns if item.channel == name)


def parents_of(draft):
    """Return the position that each velocity is the derivative of."""
    return {one.channel: one.derivative_of for one in draft.columns if one.derivative_of}


@pytest.mark.parametrize(
    ("position_unit", "velocity_unit", "position_scale", "velocity_scale"),
    [
        ("rad", "rad/s", 1.0, 1.0),
        ("rad", "deg/s", 1.0, TURN),
        ("rad", "rpm", 1.0, 30 / np.pi),
        ("deg", "rpm", TURN, 30 / np.pi),
        ("deg", "rad/s", TURN, 1.0),
    ],
)
@pytest.mark.parametrize("name", ["theta", "x"])
def test_units_follow_from_the_factor_without_a_unit_in_any_name(
    tmp_path, name, position_unit, velocity_unit, position_scale, velocity_scale
):
    x, v = motion(np.random.default_rng(1))
    draft = draft_of(tmp_path, **{name: position_scale * x, "speed": velocity_scale * v, "u": v})
    speed, position = channel(draft, "speed"), channel(draft, name)
    assert speed.derivative_of == name
    if name == "x" and velocity_unit == "rad/s" and position_unit == "rad":
        assert (position.unit, speed.unit) == ("1", "1/s")  # a factor of 1 tells no unit
        return
    assert (position.unit, position.log_unit or "rad") == ("rad", position_unit)
    assert (speed.unit, speed.log_unit or "rad/s") == ("rad/s", velocity_unit)


@pytest.mark.parametrize(
    ("position", "velocity", "factor", "expected"),
    [
        ("axis_pos [mm]", "axis_vel [mm/min]", 60.0, ("mm/s", "mm/min")),
        ("axis_pos [in]", "axis_vel [ft/s]", 1 / 12, ("inch/s", "ft/s")),
        ("axis_pos [um]", "axis_vel [mm/s]", 1e-3, ("um/s", "mm/s")),
        ("axis_pos [rev]", "axis_vel [rpm]", 60.0, ("turn/s", "rpm")),
        ("axis_pos", "axis_vel [rpm]", 60.0, ("turn/s", "rpm")),
        ("oven [degC]", "heating [degC/min]", 60.0, ("degC/s", "degC/min")),
    ],
)
def test_stated_units_of_position_and_velocity_are_related_by_their_factor(
    tmp_path, position, velocity, factor, expected
):
    x, v = motion(np.random.default_rng(1))
    draft = draft_of(tmp_path, **{position: x, velocity: factor * v})
    drafted = channel(draft, velocity.partition(" ")[0])
    assert (drafted.unit, drafted.log_unit, drafted.derivative_of) == (*expected, position)


def faulty(kind, x, v):
    """Return position and velocity with one fault, and its rows."""
    x, v, rows = x.copy(), v.copy(), slice(1000, 1800)
    if kind == "stuck position":
        x[rows] = x[1000]
    elif kind == "stuck velocity":
        v[rows] = v[1000]
    elif kind == "velocity in deg/s for a while":
        v[rows] *= TURN
    elif kind == "position lost":
        x[rows] = np.nan
    elif kind == "spikes":
        v[500:2500:40] += 30.0
        rows = slice(500, 2500)
    return x, v, rows


FAULTS = ["stuck position", "stuck velocity", "velocity in deg/s for a while", "position lost"]


@pytest.mark.parametrize("kind", [*FAULTS, "spikes"])
def test_a_fault_hides_no_derivative_and_is_reported_with_its_rows(tmp_path, kind):
    x, v, rows = faulty(kind, *motion(np.random.default_rng(2)))
    checked = check_draft(draft_of(tmp_path, theta=x, omega=v, u=np.cos(TIME)))
    assert checked.task.channels["omega"].derivative_of == "theta"
    (entry,) = checked.entries
    assert entry["reasons"], kind
    named = {item["channel"] for item in entry["reasons"]}
    assert named & {"theta", "omega"}
    assert rows.start >= 500


def test_a_late_velocity_is_recognized_and_its_delay_told(tmp_path):
    x, v = motion(np.random.default_rng(3))
    late = np.concatenate((np.full(15, v[0]), v[:-15]))
    omega = channel(draft_of(tmp_path, theta=x, omega=late, u=np.cos(TIME)), "omega")
    assert omega.derivative_of == "theta"
    assert "comes 0.15 s after the slope of theta" in omega.notes


def test_an_inverted_velocity_is_read_with_the_opposite_sign(tmp_path):
    x, v = motion(np.random.default_rng(4))
    checked = check_draft(draft_of(tmp_path, theta=x, omega=-v, u=np.cos(TIME)))
    assert checked.task.channels["omega"].source[0].scale == -1.0
    assert checked.entries[0]["reasons"] == []
    assert "its sign is opposite" in checked.text


def test_a_clock_that_starts_anew_hides_no_derivative(tmp_path):
    x, v = motion(np.random.default_rng(5))
    clock = np.tile(TIME[:600], 5)
    draft = draft_of(tmp_path, clock, theta=x, omega=v, u=np.cos(TIME))
    assert channel(draft, "omega").derivative_of == "theta"


def test_swapped_velocities_are_reported(tmp_path):
    random = np.random.default_rng(6)
    (x1, v1), (x2, v2) = motion(random), motion(random)
    draft = draft_of(tmp_path, pos1=x1, pos2=x2, vel1=v2, vel2=v1, tau1=np.cos(TIME))
    assert channel(draft, "vel1").derivative_of == "pos2"
    assert any("swapped columns?" in note for note in channel(draft, "vel1").notes)


def test_an_unrelated_velocity_follows_no_position(tmp_path):
    random = np.random.default_rng(7)
    (x, _), (_, v) = motion(random), motion(random)
    omega = channel(draft_of(tmp_path, theta=x, omega=v, u=np.cos(TIME)), "omega")
    assert omega.derivative_of is None
    assert "follows no position in the data" in omega.notes


def test_velocities_of_an_arm_are_found_among_thirty_columns_without_names(tmp_path):
    """A log of numbers alone: six angles, their velocities, and eighteen currents and torques."""
    random = np.random.default_rng(0)
    motions = [motion(random) for _ in range(6)]
    others = [random.normal(size=len(TIME)).cumsum() for _ in range(18)]
    columns = [*(one[0] for one in motions), *(one[1] for one in motions), *others]
    np.savetxt(tmp_path / "arm.txt", np.column_stack([TIME, *columns]))
    draft = build("arm", tmp_path / "arm.txt")
    assert parents_of(draft) == {f"column_{at + 8}": f"column_{at + 2}" for at in range(6)}


def test_a_rate_without_a_position_has_the_unit_of_the_others_of_its_vector(tmp_path, time):
    """The heading is not logged, so that no data shows the unit of the yaw rate."""
    columns = {"roll": np.sin(time), "pitch": np.sin(2 * time)}
    rates = {"roll": np.cos(time), "pitch": 2 * np.cos(2 * time), "yaw": np.sin(5 * time)}
    columns |= {f"{axis}_rate": TURN * rate for axis, rate in rates.items()}
    draft = build("drone", table(tmp_path / "a.csv", t=time, **columns, u=time % 3))
    units = {
        column.channel: (column.unit, column.log_unit, column.sure) for column in draft.columns
    }
    assert units["pitch_rate"] == ("rad/s", "deg/s", True)
    assert units["yaw_rate"] == ("rad/s", "deg/s", False)


@pytest.mark.parametrize(("name", "largest"), [("gyro_x", 300.0), ("gyroADC[0]", 71.0)])
def test_gyro_beyond_the_range_of_any_sensor_in_rad_per_second_asks_for_its_unit(
    tmp_path, name, largest
):
    _, v = motion(np.random.default_rng(1))
    draft = draft_of(tmp_path, **{name: largest * v / np.abs(v).max(), "u": v})
    (gyro,) = (item for item in draft.columns if item.channel.startswith("gyro"))
    assert (gyro.unit, gyro.sure) == ("rad/s", False)
    assert f"the values reach {largest:.4g}: in deg/s?" in gyro.notes
