"""Arguments of a wrong type or value are named, and never replaced by a default."""

import numpy as np
import pytest

import kinemill.api as km
from kinemill.errors import BadInput
from tests.api.conftest import logs_of, rod, swing


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([1, 2], "frames: is a list; expected frames by name"),
        (swing(0), "frames: is a DataFrame"),
        ({1: swing(0)}, "frame 1: is a int"),
        ({"a": swing(0).to_pandas()["angle"]}, "is a Series"),
        ({"a": {"angle": np.zeros(3) + 1j}}, "column 'angle' holds objects"),
    ],
)
def test_frames_of_another_type_are_refused(frames, message):
    with pytest.raises(BadInput, match=message):
        km.from_frames(frames, dt=0.02)


def test_column_name_that_is_repeated_is_refused():
    with pytest.raises(BadInput, match="has a name twice"):
        km.from_frames({"a": np.zeros((3, 2))}, columns=["angle", "angle"])


def test_masked_values_and_objects_are_missing_numbers():
    masked = np.ma.masked_greater([1.0, 2.0, 99.0], 9.0)
    logs = km.from_frames({"a": {"angle": masked, "torque": np.array([1, None, 2], dtype=object)}})
    assert np.isnan(logs.frames["a"]["angle"][2])
    assert logs.frames["a"]["torque"].to_list() == [1, None, 2]


def test_named_index_of_pandas_is_a_column():
    frame = swing(0).to_pandas().rename_axis("time")
    assert km.from_frames({"a": frame}).frames["a"].columns[0] == "time"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: km.make_dataset(rod(), {"a": swing(0)}), "data: is a dict; expected frames of"),
        (lambda: km.make_dataset("rod", logs_of(0)), "task: is a str"),
        (lambda: km.load_task({}, "learn.steps=3"), "overrides: is a str"),
        (lambda: km.register("rod"), "training: is a str"),
        (lambda: km.simulate_batch("rod", [1]), "source: is a list"),
        (lambda: km.evaluate(None, logs_of(0)), "model: is a NoneType"),
    ],
)
def test_argument_of_another_type_is_named(in_rod_home, call, message):
    with pytest.raises(BadInput, match=message):
        call()


@pytest.mark.parametrize("name", ["horizon", "stride"])
def test_count_of_zero_is_no_default(in_rod_home, training, name):
    with pytest.raises(BadInput, match=f"{name}: 0; expected 1 or more"):
        km.evaluate(training, logs_of(7), **{name: 0})
