"""Slower columns of a table have their own clock; missing values of others do not."""

import numpy as np
import polars as pl
import pytest

from kinemill.ingest.raw import RawLog
from kinemill.ingest.slow_columns import is_slower, with_slow_columns


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


def log(**columns) -> RawLog:
    time = pl.Series("time_s", [0.0, 0.01, 0.02, 0.03, 0.04])
    return RawLog(pl.DataFrame([time, *(pl.Series(n, v) for n, v in columns.items())]), {}, 1.0)


def test_columns_with_samples_in_the_same_rows_share_a_clock():
    slow, nan = [1.0, None, 3.0, None, 5.0], float("nan")
    own = with_slow_columns(log(fast=[1.0] * 5, slow=slow, also=[2.0, nan, 2.0, nan, 2.0]))
    assert own.frame.is_empty()
    assert own.signals["fast"].time.to_list() == [0.0, 0.01, 0.02, 0.03, 0.04]
    assert own.signals["slow"].time.to_list() == [0.0, 0.02, 0.04]
    assert own.signals["slow"].values.to_list() == [1.0, 3.0, 5.0]
    assert own.signals["also"].time is own.signals["slow"].time


def test_a_table_with_missing_values_is_unchanged():
    table = log(fast=[1.0, None, 3.0, 4.0, 5.0])
    assert with_slow_columns(table) is table
