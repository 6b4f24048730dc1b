"""Experiments side by side in one file: the one to test with becomes the test split."""

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.draft_check import check_draft
from kinemill.draft.experiments import find_experiments, numbered_experiments
from kinemill.draft.text_table import table_of
from tests.draft.tables import table

ROWS, SHORT = 400, 150


def drive(rows, seed):
    """A first-order drive with a random input: (u, y), each (rows,)."""
    u = np.repeat(np.random.default_rng(seed).normal(size=rows // 10 + 1), 10)[:rows]
    y = np.zeros(rows)
    for k in range(1, rows):
        y[k] = 0.9 * y[k - 1] + 0.1 * u[k - 1]
    return u, y


def columns(first="Est", second="Val", short=SHORT):
    (u, y), (v, z) = drive(ROWS, 1), drive(short, 2)
    return {f"u{first}": u, f"h{first}": y, f"u{second}": v, f"h{second}": z}


def checked(path, rate=None):
    return check_draft(build("drive", path, rate))


def test_experiments_of_different_length_in_an_array_file(tmp_path):
    """They need not have the same number of rows, as each has its own clock."""
    np.savez(tmp_path / "log.npz", **columns(), Ts=np.array(0.5))
    result = checked(tmp_path / "log.npz")
    assert (result.task.states, result.task.actions) == (["h"], ["u"])
    assert result.task.dataset.test == ["*/val"]
    parts = {part: list(sources) for part, sources in result.task.ingest.parts.items()}
    assert parts["est"] == []
    assert sorted(parts["val"]) == ["h", "u"]
    assert sorted(entry["rows"] for entry in result.entries) == [SHORT + ROWS]
    assert result.problem == ""


@pytest.mark.parametrize("words", [("_train", "_test"), ("_id", "_val"), ("est", "val")])
def test_experiments_in_columns_of_a_table(tmp_path, words):
    seconds = 0.1 * np.arange(ROWS)
    result = checked(table(tmp_path / "log.csv", time=seconds, **columns(*words, short=ROWS)))
    assert (result.task.states, result.task.actions) == (["h"], ["u"])
    assert list(result.task.ingest.parts) == [word.strip("_") for word in words]
    assert result.problem == ""


@pytest.mark.parametrize(
    "names",
    [
        ["pos_est", "pos_val"],  # one pair
        ["pos_est", "vel_est", "pos_val"],  # without a counterpart
        ["pos", "vel", "pos_est", "vel_est", "pos_val", "vel_val"],  # readings of one quantity
        ["motor_id", "valid", "position", "u"],
    ],
)
def test_other_columns_are_no_experiments(names):
    assert find_experiments(names) is None


def test_elements_of_arrays_and_groups_are_matched():
    names = ["train/x[0]", "train/x[1]", "test/x[0]", "test/x[1]", "fs"]
    first, second = find_experiments(names)
    assert (first.part, second.part) == ("train", "test")
    assert second.columns == {"train/x[0]": "test/x[0]", "train/x[1]": "test/x[1]"}


@pytest.mark.parametrize("name", ["dataBenchmark.mat", "dataBenchmark.csv"])
def test_the_tanks_are_tested_with_what_the_publisher_names_validation(shared_data, name):
    path = shared_data / "cascaded_tanks" / name
    result = checked(path, 0.25 if name.endswith(".csv") else None)
    assert (result.task.states, result.task.actions) == (["y"], ["u"])
    assert result.task.dataset.test == ["*/val"]
    (entry,) = result.entries
    assert (entry["episodes"], entry["rows"]) == (2, 2048)


def coupled(rows, seed):
    """A machine whose inputs each act on both outputs: u, y (rows, 2)."""
    random = np.random.default_rng(seed)
    u = np.repeat(random.normal(size=(rows // 5, 2)), 5, axis=0)
    y, gains = np.zeros((rows, 2)), np.array([[0.1, 0.03], [0.04, 0.1]])
    for k in range(1, rows):
        y[k] = 0.9 * y[k - 1] + gains @ u[k - 1]
    return u, y + 0.01 * random.normal(size=y.shape)


@pytest.mark.parametrize("inputs", ["independent", "up to a factor"])
def test_numbered_experiments_of_one_machine_become_recordings(tmp_path, inputs):
    columns, (same, _), random = {}, drive(600, 1), np.random.default_rng(9)
    for number in (1, 2, 3):
        u = number * same if inputs == "up to a factor" else drive(600, number)[0]
        z = np.zeros(600)
        for k in range(1, 600):
            z[k] = 0.9 * z[k - 1] + 0.1 * u[k - 1]
        columns |= {f"u{number}": u, f"z{number}": z + 0.01 * random.normal(size=600)}
    np.savez(tmp_path / "log.npz", **columns, Ts=np.array(0.02))
    result = checked(tmp_path / "log.npz")
    assert (result.task.states, result.task.actions) == (["z"], ["u"])
    assert list(result.task.ingest.parts) == ["run1", "run2", "run3"]
    assert result.task.dataset.test == ["*/run3"]
    (entry,) = result.entries
    assert (entry["episodes"], entry["rows"]) == (3, 1800)


def test_numbered_inputs_and_outputs_of_one_machine_stay_together(tmp_path):
    u, y = coupled(1000, 3)
    names = {f"{name}{at + 1}": one[:, at] for name, one in (("u", u), ("y", y)) for at in range(2)}
    np.savez(tmp_path / "log.npz", **names, Ts=np.array(0.02))
    result = checked(tmp_path / "log.npz")
    assert (result.task.states, result.task.actions) == (["y1", "y2"], ["u1", "u2"])
    assert result.task.ingest.parts == {}


def test_files_with_other_numbers_of_experiments_read_none_twice(tmp_path):
    for name, numbers in {"a": (1, 2), "b": (11, 12, 13)}.items():
        arrays = {
            f"{letter}{n}": values
            for n in numbers
            for letter, values in zip("uz", drive(600, n), strict=True)
        }
        np.savez(tmp_path / f"{name}.npz", **arrays, Ts=np.array(0.02))
    result = checked(tmp_path)
    sizes = [(entry["episodes"], entry["rows"]) for entry in result.entries]
    assert sizes == [(2, 1200), (3, 1800)]


@pytest.mark.parametrize("names", [("q1", "q2"), ("u1", "u2"), ("u1", "y1", "u2")])
def test_other_numbered_columns_are_no_experiments(tmp_path, names):
    columns = {name: drive(600, at)[at % 2] for at, name in enumerate(names)}
    log = table_of(tmp_path / "log.csv", columns, {}, 50.0)
    assert numbered_experiments(log) == []
