"""Clocks of a table: slower columns have their own; missing values of others do not."""

import numpy as np
import polars as pl
import pytest

from kinemill.ingest.raw import RawLog
from kinemill.ingest.topics import is_slower, read_topics
from kinemill.ingest.tracks import make_tracks


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([True, False] * 5, True),
        ([True] * 8 + [False] * 92, False),  # a sensor that fails
        ([True, True, False] * 5, False),  # a sensor that loses values
        ([True] + [False] * 9, False),  # a value alone
    ],
    ids=["half the rate", "failed", "losses", "once"],
)
def test_a_rate_differs_from_a_failure(present, expected):
    assert is_slower(np.array(present)) is expected


def topics(task, **columns):
    time = pl.Series("time_s", [0.0, 0.01, 0.02, 0.03, 0.04])
    frame = pl.DataFrame([time, *(pl.Series(n, v) for n, v in columns.items())])
    return read_topics(RawLog(frame, {}, 1.0), task)[0]


def test_columns_with_samples_in_the_same_rows_share_a_clock(task):
    slow, nan = [1.0, None, 3.0, None, 5.0], float("nan")
    fast, slower = topics(task, angle=[1.0] * 5, velocity=slow, torque=[2.0, nan, 2.0, nan, 2.0])
    assert fast.clock.seconds.tolist() == [0.0, 0.01, 0.02, 0.03, 0.04]
    assert slower.clock.seconds.tolist() == [0.0, 0.02, 0.04]
    assert slower.values["velocity"].tolist() == [1.0, 3.0, 5.0]
    assert slower.values["torque"].tolist() == [2.0, 2.0, 2.0]


def test_a_table_with_missing_values_has_one_clock(task):
    columns = {"angle": [1.0, None, 3.0, 4.0, 5.0], "velocity": [0.0] * 5, "torque": [0.0] * 5}
    (topic,) = topics(task, **columns)
    assert np.isnan(topic.values["angle"]).tolist() == [False, True, False, False, False]


def test_a_slower_column_of_a_log_with_its_newest_row_first_is_read(task):
    frame = pl.DataFrame({
        "time_s": [k / 100 for k in range(40)], "angle": [float(k) for k in range(40)],
        "velocity": [1.0] * 40, "torque": [float(k) if k % 2 == 0 else None for k in range(40)],
    })  # fmt: skip
    (expected,), (frame,) = (
        make_tracks(RawLog(rows, {}, 1.0), task).frames for rows in (frame, frame.reverse())
    )
    assert frame.equals(expected)
