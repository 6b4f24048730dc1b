"""Roles of columns without telling names: from the data, in either order, or not at all."""

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.draft_check import check_draft
from kinemill.draft.task_draft_writer import write_task
from tests.draft.tables import table


def driven(force):
    """Return the position (n,) of a damped mass on a spring under a force (n,), at 100 Hz."""
    position, velocity = np.zeros(len(force)), 0.0
    for row in range(1, len(force)):
        velocity += 0.05 * (force[row - 1] - position[row - 1] - 0.5 * velocity)
        position[row] = position[row - 1] + 0.05 * velocity
    return position


def steps(random):
    return np.repeat(random.choice([-1.0, 1.0], 150), 20)


def smooth_noise(random):
    return np.convolve(random.normal(size=3100), np.hanning(30) / 15, "same")[:3000]


def write(path, *columns):
    return table(path, **{f"V{number}": one for number, one in enumerate(columns, start=1)})


@pytest.mark.parametrize(("signal", "noise"), [(steps, 0.01), (smooth_noise, 0.0)])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_input_of_an_experiment_is_inferred_in_either_order(tmp_path, signal, noise, is_first):
    random = np.random.default_rng(2)
    force = signal(random)
    position = driven(force) + noise * random.normal(size=len(force))
    columns = (force, position) if is_first else (position, force)
    draft = build("inferred", write(tmp_path / "a.csv", *columns), 100.0)
    roles = {column.guess.name: column.role for column in draft.columns}
    driver, output = ("V1", "V2") if is_first else ("V2", "V1")
    assert roles == {driver: "action", output: "state"}
    (action,) = [column for column in draft.columns if column.role == "action"]
    assert any(note.startswith("inferred an action") for note in action.reasons)


@pytest.mark.parametrize("late", [0, 1])
def test_an_input_that_acts_in_its_own_row_is_shifted(tmp_path, late):
    force = steps(np.random.default_rng(6))
    # Row k of the position depends on the force of row k - 1.
    position = driven(force)[1 - late :]
    force = force[: len(position)]
    draft = build("lead", write(tmp_path / "a.csv", force, position), 100.0)
    (action,) = [column for column in draft.columns if column.role == "action"]
    assert action.lead == 1 - late
    assert ("resample: {lead: 1}" in write_task(draft)) == (late == 0)


def test_a_loop_with_feedback_shows_no_input(tmp_path):
    random = np.random.default_rng(3)
    position, command, velocity = np.zeros(3000), np.zeros(3000), 0.0
    for row in range(1, 3000):
        velocity += 0.05 * (command[row - 1] - 0.5 * velocity + 0.5 * random.normal())
        position[row] = position[row - 1] + 0.05 * velocity
        command[row] = -5.0 * position[row] - 2.0 * velocity
    draft = build("loop", write(tmp_path / "a.csv", position, command), 100.0)
    assert [column.role for column in draft.columns] == ["state", "state"]
    assert "no action found (no column drives another without being driven)" in write_task(draft)


def test_two_independent_columns_show_no_input(tmp_path):
    random = np.random.default_rng(4)
    columns = (smooth_noise(random), smooth_noise(random))
    draft = build("apart", write(tmp_path / "a.csv", *columns), 100.0)
    assert {column.role for column in draft.columns} == {"state"}
    assert draft.no_action


def test_a_third_column_that_nothing_drives_leaves_the_roles_open(tmp_path):
    random = np.random.default_rng(5)
    force = steps(random)
    columns = (force, driven(force), smooth_noise(random))
    draft = build("open", write(tmp_path / "a.csv", *columns), 100.0)
    assert {column.role for column in draft.columns} == {"state"}
    assert "V3" in draft.no_action


def test_an_input_next_to_a_named_action_stays_a_state_with_a_question(tmp_path):
    random = np.random.default_rng(7)
    force = smooth_noise(random)
    brake = smooth_noise(random)
    log = table(tmp_path / "a.csv", speed=driven(force - 0.3 * brake), force=force, delta_H=brake)
    columns = {column.guess.name: column for column in build("car", log, 100.0).columns}
    assert {name: column.role for name, column in columns.items()} == {
        "speed": "state",
        "force": "action",
        "delta_H": "state",
    }
    question = "an action? it drives speed, and nothing logged drives it"
    assert [question in column.notes for column in columns.values()] == [False, True, False]


def test_the_silverbox_is_driven_by_its_first_column(shared_data):
    draft = build("silverbox", shared_data / "silverbox" / "SNLS80mV.csv", 610.35)
    roles = {column.guess.name: column.role for column in draft.columns}
    assert roles == {"V1": "action", "V2": "state"}
    (action,) = [column for column in draft.columns if column.role == "action"]
    assert action.lead == 1  # as in the shipped task: both are sampled at the same time


def test_the_tanks_without_names_are_driven_by_their_pumps(shared_data, tmp_path):
    source = shared_data / "cascaded_tanks" / "dataBenchmark.csv"
    rows = np.genfromtxt(source, delimiter=",", skip_header=1)[:, :4]
    draft = build("tanks", write(tmp_path / "a.csv", *rows.T), 0.25)
    roles = {column.guess.name: column.role for column in draft.columns}
    assert roles == {"V1": "action", "V2": "action", "V3": "state", "V4": "state"}


def test_names_of_another_language_are_read_by_their_units_and_their_data(tmp_path):
    """An angle in degrees, a speed in rpm that follows it, and a current that drives both."""
    random, rows, dt = np.random.default_rng(0), 1500, 0.01
    current = np.repeat(random.normal(0.0, 2.0, rows // 25), 25)
    angle, speed = np.zeros(rows), np.zeros(rows)
    for k in range(1, rows):
        push = 3.0 * current[k - 4] if k >= 4 else 0.0
        speed[k] = speed[k - 1] + dt * (push - 9.0 * np.sin(angle[k - 1]) - 0.4 * speed[k - 1])
        angle[k] = angle[k - 1] + dt * speed[k]
    values = [1e3 * dt * np.arange(rows), np.rad2deg(angle), speed * 30.0 / np.pi, current]
    names = ["Zeit [ms]", "Achse1 Winkel [°]", "Drehzahl_rpm", "Motorstrom (A)"]
    lines = [
        ";".join(f"{value:.5f}".replace(".", ",") for value in row)
        for row in zip(*values, strict=True)
    ]
    path = tmp_path / "lauf.csv"
    path.write_text("\n".join([";".join(names), *lines]))
    task = check_draft(build("axis", path)).task
    angle, speed = task.channels["achse1_winkel"], task.channels["drehzahl"]
    assert (angle.kind, angle.unit, angle.source[0].unit) == ("angle", "rad", "deg")
    assert (speed.unit, speed.source[0].unit) == ("rad/s", "rpm")
    assert speed.derivative_of == "achse1_winkel"
    assert task.actions == ["motorstrom"]
    assert task.channels["motorstrom"].unit == "A"


def test_held_velocity_that_another_of_its_axis_follows_is_its_command(tmp_path):
    """Twists on topics without a word of a command; a smooth one may be the input of a filter."""
    random = np.random.default_rng(0)
    steps = np.repeat(random.uniform(-1.0, 1.0, 60), 25)
    time = 0.05 * np.arange(len(steps))

    def lagged(command):
        values = np.zeros(len(command))
        for row in range(1, len(command)):
            values[row] = 0.8 * values[row - 1] + 0.2 * command[row - 1]
        return values

    noise = 0.005 * random.normal(size=len(time))
    names = ("/vel.linear.x", "/odom.twist.linear.x")
    for command, role in ((steps, "action"), (lagged(steps), "state")):
        velocity = lagged(command) + noise
        values = {"time": time, names[0]: command, names[1]: velocity}
        draft = build("drafted", table(tmp_path / "a.csv", **values))
        columns = {column.guess.name: column for column in draft.columns}
        assert [columns[name].role for name in names] == [role, "state"]
        assert f"{names[1]} follows it" in " ".join(columns[names[0]].notes)
