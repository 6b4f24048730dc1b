"""Experiments side by side in one file: the one to test with becomes the test split."""

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.draft_check import check_draft
from kinemill.draft.experiments import find_experiments, numbered_remark
from kinemill.draft.text_table import table_of

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
    table = columns(*words, short=ROWS)
    header = ",".join(["time", *table])
    rows = np.column_stack([0.1 * np.arange(ROWS), *table.values()])
    np.savetxt(tmp_path / "log.csv", rows, delimiter=",", header=header, comments="", fmt="%.9g")
    result = checked(tmp_path / "log.csv")
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


@pytest.mark.parametrize(
    ("names", "asks"),
    [(("u1", "z1", "u2", "z2"), True), (("q1", "q2"), False), (("u1", "y1", "u2"), False)],
)
def test_numbered_inputs_and_outputs_are_asked_about(tmp_path, names, asks):
    columns = {name: drive(600, at)[at % 2] for at, name in enumerate(names)}
    assert bool(numbered_remark(table_of(tmp_path / "log.csv", columns, {}, 50.0))) is asks
